"""The transactions in which backup_logs was written: ours, so that they do not count as changes of the database."""

from pathlib import Path

from desbuquei_backups.storage import disk

_FILE = ".own-transactions"
_MOST = 1000


def remember(folder: Path, transaction: int) -> None:
    """Write a transaction's id down. One that is lost costs a dump, and nothing else."""
    kept = [*_read(folder), transaction][-_MOST:]
    disk.write_file(folder / _FILE, "".join(f"{each}\n" for each in kept).encode())


def known(folder: Path) -> frozenset[int]:
    """Those that were written down lately; what is no number is passed over."""
    return frozenset(_read(folder))


def _read(folder: Path) -> list[int]:
    """In the order in which they were written down: another server may count from further back."""
    path = folder / _FILE
    with disk.disk_errors(path):
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return [int(line) for line in lines if line.isdecimal()]
