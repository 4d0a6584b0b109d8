"""A folder in memory for the servers' files: ext4 looks long for an inode where thousands have just been given back.

A database is some 300 files, and each test has one of its own: on ext4 a fifth of the processors' time went there.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108
# Short: a path to a socket has 107 bytes at most.
_PREFIX = "dbq"
# One process of the suite leaves less than a gigabyte there; several run side by side.
_ROOM = 6_000_000_000


@contextmanager
def folder_in_memory() -> Iterator[Path | None]:
    """A folder that every user reaches, gone afterwards; None where memory is scarce, or no program may run there."""
    if not _fits():
        yield None
        return
    _clear()
    path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{os.getpid()}-", dir=_MEMORY))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _fits() -> bool:
    try:
        found = os.statvfs(_MEMORY)
        available = Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]
    except (OSError, IndexError):
        return False
    free = min(found.f_bavail * found.f_frsize, int(available) * 1024)
    return os.access(_MEMORY, os.W_OK) and not found.f_flag & os.ST_NOEXEC and free > _ROOM


def _clear() -> None:
    """Remove what a killed run left: it would take up memory until the machine is started again."""
    for path in _MEMORY.glob(f"{_PREFIX}-*"):
        process = path.name.removeprefix(f"{_PREFIX}-").partition("-")[0]
        if not Path(f"/proc/{process}").exists():
            with suppress(OSError):
                shutil.rmtree(path)
