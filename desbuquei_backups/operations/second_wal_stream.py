"""What a streamer does for the second place, in a thread of its own: it holds up neither receiving nor archiving."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from desbuquei_backups.operations.second_wal import catch_up
from desbuquei_backups.operations.site import Site

_QUIET_TURNS = 15  # then it is looked at all the same: other processes archive, too, and base backups come
_END_SECONDS = 10.0  # to end what it is at; the next run goes on with it


@dataclass
class Follower:
    """Looks after the second place, at most once in `every_seconds`, when anything was `archived`.

    `say`: told what is in the way, by subject; an empty text: nothing is any more.
    """

    site: Site
    stop: Event
    say: Callable[[str, str], None]
    every_seconds: float
    archived: Event = field(default_factory=Event)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Until the block ends, and `stop` is set; nothing where there is no second place."""
        if self.site.second is None:
            yield
            return
        thread = Thread(target=self._run, name="second place", daemon=True)
        thread.start()
        yield
        thread.join(_END_SECONDS)

    def _run(self) -> None:
        quiet = _QUIET_TURNS
        while True:
            if self.archived.is_set() or quiet >= _QUIET_TURNS:
                self.archived.clear()
                quiet = 0
                if not self._caught_up():
                    self.archived.set()
            quiet += 1
            if self.stop.wait(self.every_seconds):
                return

    def _caught_up(self) -> bool:
        done = catch_up(self.site, stopped=self.stop.is_set)
        trouble = done.trouble
        self.say("second place", f"WAL in the second place: {trouble.what}; it is made up later" if trouble else "")
        for fault in done.faults:
            self.say(fault.what, f"WAL in the second place: {fault.what}. {fault.remedy}")
        return trouble is None
