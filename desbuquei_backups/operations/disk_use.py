"""How full the disk of the backup folder is."""

import shutil
from dataclasses import dataclass
from pathlib import Path

DISK_THRESHOLD_PERCENT = 80


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The file system of the backup folder; sizes are bytes."""

    folder: str
    used: int
    free: int
    percent: int

    @property
    def full(self) -> bool:
        return self.percent >= DISK_THRESHOLD_PERCENT


def disk_use(folder: Path) -> DiskUse | None:
    """Of the folder, or where it would be made; None if that cannot be told."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if there is None:
        return None
    try:
        usage = shutil.disk_usage(there)
    except OSError:
        return None
    return DiskUse(str(folder), usage.used, usage.free, round(100 * usage.used / max(usage.used + usage.free, 1)))
