"""What is being read just now: a backup that is restored or proven is not pruned meanwhile."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk


@contextmanager
def reading(site: Site, *backup_ids: str) -> Iterator[None]:
    """Keep those backups from being pruned from this machine until the block ends, or the process dies.

    Any number may read one at a time. Where there is no backup folder, as where one restores with nothing but the
    bucket, no prune runs that could be told.
    """
    folder = site.settings.folder
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield
        return
    descriptors = [_opened(folder, each) for each in backup_ids]
    try:
        for descriptor in descriptors:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@contextmanager
def unless_read(folder: Path, backup_id: str) -> Iterator[bool]:
    """Whether nobody reads the backup; if so, nobody begins to until the block ends."""
    descriptor = _opened(folder, backup_id)
    try:
        if not disk.try_lock(descriptor):
            yield False
            return
        yield True
        _path(folder, backup_id).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _path(folder: Path, backup_id: str) -> Path:
    return folder / f".{backup_id}.reading.lock"


def _opened(folder: Path, backup_id: str) -> int:
    path = _path(folder, backup_id)
    with disk.disk_errors(path):
        return os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
