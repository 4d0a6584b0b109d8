"""Let a recovered cluster replay to its target, and read back what was reached: by what the server itself says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from desbuquei_backups.core.errors import IntegrityError, OutOfReach, ToolFailed
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.recovery import Plan
from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.wal import parse_lsn, show_lsn
from desbuquei_backups.operations import recovered_configuration as configuration
from desbuquei_backups.operations.progress import Progress
from desbuquei_backups.operations.recovery_folder import RecoveryFolder
from desbuquei_backups.postgres.cluster import Cluster, Server

# The server's own words; it is started with lc_messages C, and its log in UTC.
_REDONE = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
_LAST_COMMIT = re.compile(r"last completed transaction was at log time (\S+ \S+)")
_TIMELINE = re.compile(r"selected new timeline ID: (\d+)")
_RESTORED = "restored log file"
_ENDED_BEFORE = "recovery ended before configured recovery target was reached"
_NO_MANAGER = "resource manager with ID"
# Where it cannot read on: at the end of all WAL there is nothing, or nothing but zeros.
_UNREADABLE = re.compile(r"LOG:\s+(.*(?:record at|record length at|in WAL segment).*)")
_NOTHING = ("got 0", "magic number 0000")


@dataclass(frozen=True, slots=True)
class Reached:
    """Where replay ended: the position of its last record, the last commit's moment (None: none was replayed).

    Before the target the record is the first that was not replayed, at the end of the WAL the last that was.
    `timeline` is the new one that the cluster began there. `at_the_end`: nothing later than the target is in the WAL.
    """

    position: int
    committed_at: datetime | None
    timeline: int
    at_the_end: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay. `control`: what pg_controldata said before the first start; `given`: what the server starts with."""

    cluster: Cluster
    folder: RecoveryFolder
    plan: Plan
    manifest: Manifest
    control: Mapping[str, str]
    port: int
    preload: Sequence[str]
    given: Mapping[str, str]
    progress: Progress

    def configure(self, *, to_the_end: bool = False) -> None:
        """Let the next start replay to the target, or all that there is. IntegrityError if a setting would not hold."""
        configuration.to_replay(
            self.cluster,
            self.folder,
            self.plan,
            self.control,
            port=self.port,
            preload=self.preload,
            to_the_end=to_the_end,
            given=self.given,
        )

    def run(self) -> tuple[Server, Reached]:
        """Start, replay, and read what was reached. Where the WAL ends at the target, its end is the target.

        IntegrityError if it ends where it is damaged; OutOfReach if the target is not in it; ToolFailed.
        """
        self.progress.stage("replaying WAL", len(self.plan.segments), unit="files")
        to_the_end = self.plan.target == Target()
        try:
            server = self._start()
        except ToolFailed as error:
            self._refuse_unless_at_the_end(error)
            to_the_end = True
            self.configure(to_the_end=True)
            server = self._start()
        try:
            return server, self._reached(server, to_the_end=to_the_end)
        except BaseException:
            server.stop()
            raise

    def _start(self) -> Server:
        def watch(line: str) -> None:
            if _RESTORED in line:
                self.progress.advance(1)

        return self.cluster.start(self.folder.log, self.given, self.folder.lock, watching=watch)

    def _refuse_unless_at_the_end(self, error: ToolFailed) -> None:
        """Raise what the server's refusal means, unless the end of the WAL is what was asked for."""
        if _NO_MANAGER in error.what:
            known = self.manifest.server.settings.get("shared_preload_libraries", "")
            raise ToolFailed(
                error.what, remedy=f"an extension wrote this WAL: --preload its library, one of the source's: {known}"
            ) from None
        if _ENDED_BEFORE not in error.what:
            raise error
        said = self.folder.log.read_text(errors="replace")
        _refuse_damaged(said)
        if self.plan.certain:
            return
        last, at = _last_commit(said), self.plan.target.at
        if last is not None and at is not None and last >= at:
            return
        until = f"its last commit was at {last:%Y-%m-%d %H:%M:%S.%f} UTC" if last else "it holds no commit"
        raise OutOfReach(
            f"{self.plan.target} is not in the WAL from {self.plan.base.backup_id} on: {until}",
            remedy="recover to a moment before that, or to the end: --to latest",
        ) from None

    def _reached(self, server: Server, *, to_the_end: bool) -> Reached:
        said = server.said()
        done, timeline = _REDONE.findall(said), _TIMELINE.findall(said)
        position = parse_lsn(done[-1]) if done else self.plan.base.stop
        if to_the_end:
            _refuse_damaged(said)
            self._require_last(position)
        return Reached(
            position,
            _last_commit(said),
            int(timeline[-1]) if timeline else self.plan.timeline,
            to_the_end,
        )

    def _require_last(self, position: int) -> None:
        """That replay came to the last segment that was fetched."""
        if self.plan.segments and position < self.plan.segments[-1].start:
            raise _damaged(f"replay ended at {show_lsn(position)}, and there is WAL up to {show_lsn(self.plan.until)}")


def _refuse_damaged(said: str) -> None:
    """PostgreSQL takes damaged WAL for the end of it, says why in its log, and promotes."""
    for why in _UNREADABLE.findall(said):
        if not any(words in why for words in _NOTHING):
            raise _damaged(why)


def _damaged(why: str) -> IntegrityError:
    return IntegrityError(
        f"the WAL is damaged: {why}",
        remedy="recover from the copy in the other place (--from), or to a position before that",
    )


def _last_commit(said: str) -> datetime | None:
    found = _LAST_COMMIT.findall(said)
    return datetime.fromisoformat(found[-1]).astimezone(UTC) if found else None
