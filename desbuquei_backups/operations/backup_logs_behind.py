"""What the table backup_logs was not told yet: a small file beside the records, so that nobody compares all of both."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.storage import disk

_FILE = ".backup-logs-behind"


@dataclass(frozen=True, slots=True)
class Behind:
    """The backups whose lines are to be sent, each with a token that its next change makes another one.

    `lines` and `rows` were counted when file and table last agreed; None: it is not known that they ever did.
    """

    owed: Mapping[str, int] = field(default_factory=dict)
    lines: int | None = None
    rows: int | None = None


def read(folder: Path) -> Behind:
    """What is written there. Without it, or if it cannot be read, nothing is known: all lines are to be sent."""
    path = folder / _FILE
    try:
        with disk.disk_errors(path):
            found = json.loads(path.read_bytes())
        owed = {str(backup_id): int(token) for backup_id, token in found["owed"].items()}
        return Behind(owed, int(found["lines"]), int(found["rows"]))
    except (BackupError, ValueError, TypeError, KeyError, AttributeError):
        return Behind()


def owe(folder: Path, backup_id: str) -> None:
    """Write down that the backup's line changes; call it under the records' lock."""
    before = read(folder)
    if before.lines is not None:
        _write(folder, Behind({**before.owed, backup_id: time.time_ns()}, before.lines, before.rows))


def forget(folder: Path) -> None:
    """Let all lines be sent the next time; call it under the records' lock, before they change."""
    path = folder / _FILE
    with disk.disk_errors(path):
        path.unlink(missing_ok=True)


def sent(folder: Path, told: Behind, *, lines: int, rows: int) -> None:
    """Write down that the table was told all that `told` owed; what changed meanwhile is still owed."""
    with metadata_file.lock(folder):
        owed = {key: token for key, token in read(folder).owed.items() if told.owed.get(key) != token}
        _write(folder, Behind(owed, lines, rows))


def _write(folder: Path, behind: Behind) -> None:
    content = {"lines": behind.lines, "rows": behind.rows, "owed": behind.owed}
    disk.write_file(folder / _FILE, json.dumps(content).encode())
