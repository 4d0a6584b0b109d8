"""How full the disk was, once an hour for a fortnight: `disk-samples.json` in the backup folder."""

from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.forecast import WINDOW, Forecast, Sample, forecast
from desbuquei_backups.operations.disk_use import DiskUse
from desbuquei_backups.storage import disk

FILE = "disk-samples.json"
_SAMPLES = TypeAdapter(list[Sample])
_EVERY = timedelta(hours=1)


def samples(folder: Path) -> list[Sample]:
    """What was seen, the oldest first; nothing if it cannot be read: the next hours bring it again."""
    try:
        return _SAMPLES.validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return []


def note(folder: Path, use: DiskUse, now: datetime) -> None:
    """Remember how full it is, if the last hour has no sample. DiskError."""
    known = [each for each in samples(folder) if now - WINDOW <= each.at <= now]
    if not known or now - known[-1].at >= _EVERY:
        disk.write_file(folder / FILE, _SAMPLES.dump_json([*known, Sample(now, use.used)]) + b"\n")


def foreseen(folder: Path, use: DiskUse, now: datetime) -> Forecast | None:
    """When it fills; None if that is not known yet."""
    return forecast(samples(folder), use.used + use.free, now)


def try_to_note(folder: Path, use: DiskUse, now: datetime) -> None:
    """The same where a disk that cannot be written to is told of by others."""
    try:
        note(folder, use, now)
    except BackupError:
        return
