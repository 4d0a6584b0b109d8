"""The one error of the embedded servers, and the end of a log to put into it."""

from pathlib import Path

from desbuquei_backups.core.errors import BackupError

__all__ = ["EmbeddedError", "log_tail"]

_TAIL_LINES = 15
_TAIL_BYTES = 8192


class EmbeddedError(BackupError):
    """An embedded server could not be had: what happened, the end of its log, and what to do next."""


def log_tail(log: Path) -> str:
    """The last lines of `log` for an error's text, with its path; says so when there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        lines = []
    if not lines:
        return f"Its log {log} is empty."
    return f"The end of its log {log}:\n" + "\n".join(f"  {line}" for line in lines)
