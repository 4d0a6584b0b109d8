"""What must not wait for ever: it is done in a thread, which is left alone when its time is over."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from desbuquei_backups.core.errors import BackupError

T = TypeVar("T")
_UNDER_WAY: dict[Hashable, threading.Thread] = {}


class TooSlow(BackupError):
    """There was no answer in time; there may be one later."""

    permanent = False


@dataclass(slots=True)
class _Outcome(Generic[T]):
    done: list[T]
    failed: Exception | None = None


def in_time(what: Hashable, do: Callable[[], T], *, seconds: float) -> T:
    """What `do` returns or raises; TooSlow if that takes longer, or if the same `what` is still at it from before.

    A thread that hangs cannot be ended: there is one of each kind at most, or they would use up all there are.
    """
    before = _UNDER_WAY.get(what)
    if before is not None and before.is_alive():
        raise TooSlow("the look before this one still waits for an answer", remedy="end what hangs, or wait for it")
    outcome: _Outcome[T] = _Outcome([])

    def run() -> None:
        try:
            outcome.done.append(do())
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.failed = error

    thread = _UNDER_WAY[what] = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TooSlow(f"there was no answer for {seconds:.0f} s", remedy="end what hangs, or wait for it")
    del _UNDER_WAY[what]
    if outcome.failed is not None:
        raise outcome.failed
    return outcome.done[0]
