"""Which runs are at work on this machine: a lock for each, which dies with its process whatever ended that."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk


@contextmanager
def at_work(site: Site, run_id: str) -> Iterator[None]:
    """Show that the run is at work until the block ends or the process dies. Where there is no folder, nobody looks."""
    folder = site.settings.folder
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield
        return
    path = _path(folder, run_id)
    with disk.disk_errors(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        disk.try_lock(descriptor)
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def is_at_work(site: Site, run_id: str) -> bool:
    """Whether a living process of this machine is at that run's step."""
    return _is_locked(_path(site.settings.folder, run_id))


def is_busy(site: Site, name: str) -> bool:
    """Whether somebody holds the lock of that name: of the database, or of one of its proofs."""
    return _is_locked(site.settings.folder / f".{name}.lock")


def _path(folder: Path, run_id: str) -> Path:
    return folder / f".run-{run_id}.lock"


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # it is there, and somebody else's: nothing is known of it
    try:
        return not disk.try_lock(descriptor)
    finally:
        os.close(descriptor)
