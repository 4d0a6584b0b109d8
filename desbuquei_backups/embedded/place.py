"""Where the servers' data and programs rest, and which user of the operating system runs them.

PostgreSQL refuses to run as root. As root the servers run as an unprivileged user, who can reach neither a home nor
programs below a closed folder such as /root: data, and a copy of the programs, then go to a place of their own.
"""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.embedded.errors import EmbeddedError
from desbuquei_backups.embedded.home import Home

__all__ = ["Account", "Place", "forget", "link_tree", "settle"]

OPEN_GROUND = Path("/var/lib/desbuquei")
_copying = threading.Lock()
_CANDIDATES = ("nobody", "postgres", "daemon")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user of the operating system."""

    uid: int
    gid: int

    def reaches(self, path: Path) -> bool:
        """Whether this user may enter every folder above `path`, and read it, going by the permission bits."""
        return self._may(path, stat.S_IROTH) and all(self._may(folder, stat.S_IXOTH) for folder in path.parents)

    def _may(self, path: Path, right: int) -> bool:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return bool(status.st_mode & (right << shift))


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of the servers, and who runs them: None means whoever runs this."""

    path: Path
    account: Account | None

    def folder(self, name: str) -> Path:
        """A server's own folder, closed to everyone else."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        self.give(folder)
        return folder

    def give(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    def write(self, path: Path, text: str) -> None:
        """A file that the server alone may read."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
        self.give(path)

    def within_reach(self, program: Path, root: Path) -> Path:
        """`root` (a folder or the program itself) if the account can run `program` in it, else a copy that it can."""
        if self.account is None or self.account.reaches(program):
            return root
        with _copying:  # several servers start at once, from the same programs
            return self._copy(program, root)

    def _copy(self, program: Path, root: Path) -> Path:
        status = program.stat()
        target = self.path / f"{root.name}-{status.st_size}-{status.st_mtime_ns}"
        if not target.exists():
            for old in self.path.glob(f"{root.name}-*"):
                _remove(old)
            aside = self.path / f"copy-of-{root.name}"
            _remove(aside)
            if root.is_dir():
                shutil.copytree(root, aside)
            else:
                shutil.copy2(root, aside)
            for path in [aside, *aside.rglob("*")]:
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
            aside.rename(target)
        return target


def settle(home: Home) -> Place:
    """The place of this home's servers, made if need be and always the same one afterwards."""
    inside = home.path / "servers"
    if os.geteuid() != 0:
        inside.mkdir(mode=0o755, exist_ok=True)
        return Place(inside, None)
    account = _account()
    path = Path(home.read("place").get("path") or _choose(home, inside, account))
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    home.write("place", {"path": str(path)})
    return Place(path, account)


def forget(home: Path) -> None:
    """Remove a home and its servers' data, wherever they are. Nobody may be using it."""
    if recorded := Home(home).read("place").get("path"):
        _remove(Path(recorded))
    _remove(home)


def _choose(home: Home, inside: Path, account: Account) -> Path:
    if account.reaches(home.path):
        return inside
    path = OPEN_GROUND / hashlib.sha256(os.fsencode(home.path)).hexdigest()[:16]
    try:
        OPEN_GROUND.mkdir(mode=0o755, parents=True, exist_ok=True)
        OPEN_GROUND.chmod(0o755)
        # A home that does not know its place is new; what is there is what a removed home of the same name left.
        _remove(path)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="desbuquei-"))
    return path


def _account() -> Account:
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        f"PostgreSQL refuses to run as root, and none of the users {', '.join(_CANDIDATES)} exists here.",
        remedy="Run this as an ordinary user, or add one: useradd --system postgres",
    )


def link_tree(source: Path, target: Path) -> None:
    """A copy of the folder `source` that shares its files where it can: add files to it, change none."""

    def link(from_: str, to: str) -> str:
        try:
            os.link(from_, to)
        except OSError:  # another file system, or a file of another user
            shutil.copy2(from_, to)
        return to

    _remove(target)
    shutil.copytree(source, target, copy_function=link)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
