"""The folder that a cluster is recovered into: empty, or what a recovery that was cut off left, and then begun anew."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.core.errors import Busy, DiskError, TargetRefused
from desbuquei_backups.postgres.account import CANDIDATES, Account, first_of
from desbuquei_backups.storage.disk import disk_errors, try_lock

WORK = "desbuquei_recovery"  # in the data directory, until the cluster is whole


@dataclass(frozen=True, slots=True)
class RecoveryFolder:
    """A data directory that is being filled. `lock` is held as long as this process or its server lives.

    `account` runs the server; None: whoever runs this.
    """

    data: Path
    account: Account | None
    lock: int

    @property
    def work(self) -> Path:
        return self.data / WORK

    @property
    def wal(self) -> Path:
        """Where the segments wait that are replayed."""
        return self.work / "wal"

    @property
    def log(self) -> Path:
        return self.work / "server.log"

    def give(self) -> None:
        """All that is in it belongs to who runs the server."""
        if self.account is not None:
            with disk_errors(self.data):
                self.account.give(self.data)

    def write(self, path: Path, text: str) -> None:
        """A file that the server alone may read, whatever was there before."""
        with disk_errors(path):
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_text(text, errors="surrogateescape")
            if self.account is not None:
                self.account.give(path)

    def finish(self) -> None:
        """It is a cluster like any other from now on."""
        with disk_errors(self.work):
            shutil.rmtree(self.work)


@contextmanager
def recovery_folder(data: Path, *, doing: str) -> Iterator[RecoveryFolder]:
    """Make or empty `data` for a recovery, and hold it. What fails leaves it marked as ours, to be begun anew.

    TargetRefused if there is anything in it that a recovery did not leave, or if nobody can run a server there; Busy if
    another recovery, or its server, still runs in it.
    """
    data = Path(os.path.abspath(data))  # noqa: PTH100 - what a link leads to stays what it was
    if not data.parent.is_dir():
        raise TargetRefused(
            f"{data.parent} is not there", remedy="make it, owned by the user that is to run the server; then run again"
        )
    if data.is_symlink() or (data.exists() and not data.is_dir()):
        raise TargetRefused(f"{data} is no folder", remedy="name one that is empty, or that is not there yet")
    account = _account(data)
    with disk_errors(data):
        data.mkdir(mode=0o700, exist_ok=True)
        work = data / WORK
        if any(path != work for path in data.iterdir()) and not (work / "begun.json").exists():
            raise TargetRefused(
                f"{data} is not empty", remedy="nothing is ever recovered over anything: name an empty folder, or none"
            )
        data.chmod(0o700)
        work.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(work / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _hold(lock, data)
        with disk_errors(data):
            _empty(data, work)
            (work / "begun.json").write_text(json.dumps({"by": "desbuquei recover", "doing": doing}) + "\n")
            (work / "wal").mkdir(mode=0o700)
        yield RecoveryFolder(data, account, lock)
    finally:
        os.close(lock)


def require_room(folder: Path, wanted: int) -> None:
    """DiskError unless so many bytes are free there."""
    with disk_errors(folder):
        free = shutil.disk_usage(folder).free
    if free < wanted:
        raise DiskError(
            f"{folder} has {free / 1e9:.1f} GB free, and the recovery takes {wanted / 1e9:.1f} GB",
            remedy="free space, or recover onto another disk; nothing was fetched yet",
        )


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _account(data: Path) -> Account | None:
    """PostgreSQL refuses to run as root: the owner of the folder above runs it, else an account for such servers."""
    if os.geteuid() != 0:
        return None
    above = data.parent.stat()
    account = Account(above.st_uid, above.st_gid) if above.st_uid else first_of(("postgres", *CANDIDATES))
    if account is None:
        raise TargetRefused(
            "PostgreSQL refuses to run as root, and there is no user here that could run it",
            remedy=f"give {data.parent} to the user that is to run it, or add one: useradd --system postgres",
        )
    if not account.enters(data.parent):
        raise TargetRefused(
            f"the user {account.uid}, who would run the server, cannot enter {data.parent}",
            remedy="PostgreSQL refuses to run as root: name a folder that this user reaches",
        )
    return account


def _hold(lock: int, data: Path) -> None:
    if not try_lock(lock) or _has_server(data):
        raise Busy(f"another recovery into {data}, or its server, still runs", remedy="wait for it to end, or end it")


def _has_server(data: Path) -> bool:
    """Whether somebody started a server on what a recovery left that was cut off."""
    try:
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), 0)
    except (OSError, ValueError, IndexError):
        return False
    return True


def _empty(data: Path, work: Path) -> None:
    """What a recovery left that was cut off goes; its mark last. No link is followed."""
    for path in [*(each for each in data.iterdir() if each != work), *(each for each in work.iterdir())]:
        if path.name in ("lock", "begun.json") and path.parent == work:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
