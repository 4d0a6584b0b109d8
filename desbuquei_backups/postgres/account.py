"""Which user of the operating system runs a server: PostgreSQL refuses to run as root.

Whoever runs it must reach its data and its programs: those below a closed folder such as /root are copied to where it
can.
"""

import os
import pwd
import shutil
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CANDIDATES = ("nobody", "postgres", "daemon")
_copying = threading.Lock()


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user of the operating system."""

    uid: int
    gid: int

    def reaches(self, path: Path) -> bool:
        """Whether this user may enter every folder above `path`, and read it, going by the permission bits."""
        return self._may(path, stat.S_IROTH) and self.enters(path.parent)

    def enters(self, folder: Path) -> bool:
        """Whether this user may enter `folder` and every one above it, going by the permission bits."""
        return all(self._may(each, stat.S_IXOTH) for each in (folder, *folder.parents))

    def _may(self, path: Path, right: int) -> bool:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return bool(status.st_mode & (right << shift))

    def give(self, path: Path) -> None:
        """Make it the owner of `path`, and of all that is below, whatever links lead elsewhere."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        if path.is_symlink() or not path.is_dir():
            return
        for _, folders, files, here in os.fwalk(path, follow_symlinks=False):
            for name in (*folders, *files):
                os.chown(name, self.uid, self.gid, dir_fd=here, follow_symlinks=False)


def first_of(names: Iterable[str]) -> Account | None:
    """The first of these users that exists here and is not root; None if there is none."""
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    return None


def within_reach(program: Path, root: Path, beside: Path, account: Account | None) -> Path:
    """`root` (a folder or the program itself) if the account can run `program` in it, else a copy in `beside`."""
    if account is None or account.reaches(program):
        return root
    with _copying:  # several servers start at once, from the same programs
        return _copy(program, root, beside)


def _copy(program: Path, root: Path, beside: Path) -> Path:
    status = program.stat()
    target = beside / f"{root.name}-{status.st_size}-{status.st_mtime_ns}"
    if not target.exists():
        for old in beside.glob(f"{root.name}-*"):
            _remove(old)
        aside = beside / f"copy-of-{root.name}"
        _remove(aside)
        if root.is_dir():
            shutil.copytree(root, aside)
        else:
            shutil.copy2(root, aside)
        for path in [aside, *aside.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        aside.rename(target)
    return target


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
