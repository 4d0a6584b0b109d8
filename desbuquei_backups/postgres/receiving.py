"""pg_receivewal: WAL through a slot into a folder, up to a position or until somebody ends it."""

import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import BackupError, DiskError, SourceUnreachable, ToolFailed, ToolMissing
from desbuquei_backups.core.wal import show_lsn
from desbuquei_backups.postgres.connection import described, environment
from desbuquei_backups.postgres.programs import Programs, clean_environment

_PROGRAM = "pg_receivewal"
_PR_SET_PDEATHSIG = 1
_STATUS_SECONDS = 5
_STOP_SECONDS = 30
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_GONE = (
    "has already been removed",
    "is not in this server's history",
    "can no longer get changes",
    "is ahead of the WAL flush position",
)
_LOST = ("server closed the connection", "connection to server", "terminating connection", "is active for PID")


class WalGone(ToolFailed):
    """The server has no longer the WAL that is wanted next, or never had it: it was failed over, or set back."""

    permanent = True


class Receiver:
    """One run of pg_receivewal, which writes and fsyncs whole segments to `folder`, the last one as `.partial`.

    It ends at the position `until`, or, where that is None, when it is told to. However this process ends, it ends too.
    """

    def __init__(
        self,
        programs: Programs,
        parameters: Mapping[str, Any],
        folder: Path,
        slot: str | None,
        *,
        until: int | None = None,
    ) -> None:
        arguments = [f"--directory={folder}", "--no-loop", "--no-password", *([f"--slot={slot}"] if slot else [])]
        arguments += [f"--status-interval={_STATUS_SECONDS}"]
        # Of what is streamed all the time each record is to be safe here; of a hurry to an end, each segment.
        arguments += ["--synchronous"] if until is None else [f"--endpos={show_lsn(until)}"]
        replication = {name: value for name, value in parameters.items() if name != "dbname"}
        self._where = described(parameters)
        self._version = programs.version
        self._folder = folder
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the program has ended
        mother = os.getpid()

        def die_with_us() -> None:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM.value, 0, 0, 0)
            if os.getppid() != mother:
                os._exit(1)

        try:
            self._process = subprocess.Popen(
                [programs.path(_PROGRAM), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                env=clean_environment(**{"PGAPPNAME": "desbuquei_wal"} | environment(replication)),
                start_new_session=True,  # Ctrl-C is for us to pass on
                preexec_fn=die_with_us,
            )
        except FileNotFoundError:
            self._said.close()
            raise ToolMissing(
                f"{_PROGRAM} is not in {programs.folder}",
                remedy=f"install postgresql-client-{programs.major}, or name its bin folder in DESBUQUEI_PG_BIN",
            ) from None

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended within that time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """End it cleanly: what was received is on disk when this returns."""
        for sent in (signal.SIGINT, signal.SIGKILL):
            if self.ended():
                break
            self._process.send_signal(sent)
            self.wait(_STOP_SECONDS)
        self._process.wait()
        self._said.close()

    def finish(self) -> None:
        """When it has ended: what went wrong, if anything did."""
        status = self._process.wait()
        self._said.seek(0)
        text = " ".join(self._said.read().decode(errors="replace").split())[-1000:]
        self._said.close()
        if status:
            raise self._meaning(status, text or f"it ended with status {status}")

    def _meaning(self, status: int, text: str) -> BackupError:
        if status == -signal.SIGXFSZ or any(words in text for words in _FULL):
            return DiskError(
                f"{self._folder}: the disk is full, WAL cannot be received",
                remedy="free space or enlarge the disk; the server keeps the WAL meanwhile, nothing was lost",
            )
        what = f"{_PROGRAM} {self._version} failed on {self._where}: {text}"
        if any(words in text for words in _GONE):
            return WalGone(what, remedy="the gap is declared by the next drain; take a new base backup then")
        kind = SourceUnreachable if any(words in text for words in _LOST) else ToolFailed
        return kind(what, remedy="look at the server's log; what was received is kept, run again")


def receive(
    programs: Programs, parameters: Mapping[str, Any], folder: Path, slot: str | None, *, until: int, seconds: float
) -> None:
    """Receive all WAL before `until`, the end of a segment, and return. ToolFailed, SourceUnreachable, DiskError.

    Without a slot it is what the server still has. The program is told to end one byte before: at the end itself it
    would wait for the next record.
    """
    receiver = Receiver(programs, parameters, folder, slot, until=until - 1)
    try:
        if receiver.wait(seconds):
            receiver.finish()
            return
    finally:
        if not receiver.ended():
            receiver.stop()
    raise ToolFailed(
        f"{_PROGRAM} did not reach {show_lsn(until)} within {seconds:.0f} s",
        remedy="look at the network and at the server's log; what was received is kept, run again",
    )
