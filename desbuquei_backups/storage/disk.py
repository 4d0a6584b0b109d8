"""The backup folder: nothing half-written ever bears a final name, and one run at a time holds a database's lock."""

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from desbuquei_backups.core.errors import Busy, DiskError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
PARTIAL = ".partial"
_BACKUP = "*-????-??-??-??????"  # a backup's id; what else is written here has locks of its own


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into a DiskError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            what, remedy = "the disk is full", "free space or enlarge the disk, then run again; nothing was lost"
        elif isinstance(error, FileNotFoundError):
            what, remedy = "it is not there", "see whether the disk is mounted"
        else:
            what, remedy = error.strerror or str(error), "see that the folder exists and its owner may write there"
        raise DiskError(f"{path}: {what}", remedy=remedy) from None


def prepare(folder: Path) -> None:
    """Make the backup folder, for its owner alone."""
    with disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def aside(final: Path) -> Iterator[Path]:
    """A path beside `final` to write to; renamed to `final` when the block ends well, removed when it does not.

    The writer fsyncs the file; the rename is fsynced here. Files are readable by their owner alone.
    """
    partial = final.with_name(f".{final.name}{PARTIAL}")
    with disk_errors(partial):
        os.close(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
    try:
        yield partial
        with disk_errors(final):
            partial.rename(final)
            sync_folder(final.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_file(final: Path, content: bytes) -> None:
    """Write a small file whole, or not at all."""
    with aside(final) as partial, disk_errors(partial), partial.open("wb", buffering=0) as file:
        write_all(file, content)
        os.fsync(file.fileno())


def link(source: Path, final: Path) -> None:
    """Give the file `source` a second name, at no cost of space; where the file system cannot, copy it."""
    with disk_errors(final):
        final.unlink(missing_ok=True)
        try:
            os.link(source, final)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            sync_folder(final.parent)
            return
    with aside(final) as partial, disk_errors(partial):
        shutil.copyfile(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())


def remove_abandoned(folder: Path) -> list[str]:
    """Remove what killed runs left half-written; to be called under the lock. Returns the names."""
    with disk_errors(folder):
        left = [path for path in folder.glob(f".{_BACKUP}.*{PARTIAL}") if path.is_file()]
        for path in left:
            path.unlink(missing_ok=True)
    return [path.name for path in left]


def set_aside(path: Path, reason: str) -> Path:
    """Move a file that is not what it should be out of the way, under a name that says why; nothing is deleted."""
    folder = path.parent / "rejected"
    with disk_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / f"{path.name}.{reason}-{time.time_ns()}"
        path.rename(target)
        sync_folder(path.parent)
    return target


def keep_aside(path: Path, reason: str) -> Path:
    """Give a file that is about to be replaced a second name, as `set_aside` does: what it held is not lost."""
    folder = path.parent / "rejected"
    with disk_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{path.name}.{reason}-{time.time_ns()}"
    link(path, target)
    return target


@contextmanager
def lock(
    folder: Path, database: str, *, doing: str, wait_seconds: float, waiting: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the database's lock, which dies with the process. Busy, naming the holder, after `wait_seconds`.

    `waiting` is told once who holds it, if that is somebody else.
    """
    prepare(folder)
    path = folder / f".{database}.lock"
    with disk_errors(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        deadline, told = time.monotonic() + wait_seconds, False
        while not try_lock(descriptor):
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip() or "another run"
            if not told:
                waiting(f"waiting for {holder}")
                told = True
            if time.monotonic() >= deadline:
                raise Busy(
                    f"{database} is busy: {holder}", remedy="wait for it to end; if its process hangs, end that process"
                )
            time.sleep(0.2)
        with disk_errors(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "doing": doing}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_locked(folder: Path, name: str) -> bool:
    """Whether somebody holds the lock of that name: of the database, or of one of its proofs."""
    try:
        descriptor = os.open(folder / f".{name}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # it is there, and somebody else's: nothing is known of it
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def write_all(file: FileIO, data: bytes) -> None:
    """Write all of `data` to an unbuffered file: a raw write may take only a part."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file or folder, held until it is closed or the process dies; False if it is taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """See that the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
