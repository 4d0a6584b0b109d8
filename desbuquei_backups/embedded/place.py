"""Where the servers' data and programs rest, and which user of the operating system runs them.

PostgreSQL refuses to run as root. As root the servers run as an unprivileged user, who can reach neither a home nor
programs below a closed folder such as /root: data, and a copy of the programs, then go to a place of their own.
"""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.embedded.errors import EmbeddedError
from desbuquei_backups.embedded.home import Home
from desbuquei_backups.postgres.account import CANDIDATES, Account, first_of, within_reach

__all__ = ["Account", "Place", "forget", "link_tree", "settle"]

OPEN_GROUND = Path("/var/lib/desbuquei")


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
        return within_reach(program, root, self.path, self.account)


def settle(home: Home) -> Place:
    """The place of this home's servers, made if need be and always the same one afterwards."""
    inside = home.path / "servers"
    if os.geteuid() != 0:
        inside.mkdir(mode=0o755, exist_ok=True)
        return Place(inside, None)
    if (account := first_of(CANDIDATES)) is None:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, and none of the users {', '.join(CANDIDATES)} exists here.",
            remedy="Run this as an ordinary user, or add one: useradd --system postgres",
        )
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
