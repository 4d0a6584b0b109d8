"""What an archive_command calls on the database host, once a segment: one file, off this host or into S3, or an error.

It imports next to nothing: it is started anew for each segment, and the server waits for it.
"""

import os
from pathlib import Path

from desbuquei_backups.core.errors import ConfigurationError, DiskError, IntegrityError, NotFound
from desbuquei_backups.core.wal import WalKind, kind_of
from desbuquei_backups.core.wal_pages import PageWatcher
from desbuquei_backups.storage.disk import disk_errors, sync_folder

_CHUNK = 1024 * 1024
# File systems whose files are on another host, by the names that Linux has for them.
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs"}
_REMOTE |= {"9p", "virtiofs", "lustre", "beegfs", "gpfs", "afs", "fuse.s3fs", "fuse.rclone"}
_PARTIAL = ".partial"  # what a promoted server archives of the timeline that it left


def push_to_folder(path: Path, folder: Path, *, off_host: bool = False) -> bool:
    """Copy the file into `folder`, under its name, whole and fsynced; whether it was not there before.

    An equal one that is there is as good; another one is never overwritten: IntegrityError. ConfigurationError unless
    the folder is on another host, by its file system or because `off_host` says so. DiskError.
    """
    _refuse_unknown(path)
    if not folder.is_dir():
        raise DiskError(f"{folder}: it is not there", remedy="mount it: until then the server keeps its WAL")
    if not off_host and (kind := file_system(folder, Path("/proc/self/mountinfo").read_text())) not in _REMOTE:
        raise ConfigurationError(
            f"{folder} is on this host ({kind}): WAL there is lost with the database",
            remedy="name a folder of another host, or give --off-host if it is on one all the same; or send to S3",
        )
    final, partial = folder / path.name, folder / f".{path.name}.{os.getpid()}{_PARTIAL}"
    with disk_errors(folder):
        try:
            _copy(path, partial)
            _name(partial, final)
        except FileExistsError:
            _refuse_another(partial, final)
            return False
        finally:
            partial.unlink(missing_ok=True)
            sync_folder(folder)
    return True


def push_to_s3(path: Path, database: str | None = None) -> bool:
    """Store the file in S3, under its name; whether it was not there before. IntegrityError, StoreError.

    `database`: that of the policy in whose prefix it goes; the first one by default.
    """
    _refuse_unknown(path)
    from desbuquei_backups.operations.settings import from_environment
    from desbuquei_backups.operations.site import Site
    from desbuquei_backups.operations.wal_bucket import folder_of
    from desbuquei_backups.operations.wal_storing import SUFFIXES, store_wal

    site, identifier = Site(from_environment(os.environ, database)), system_identifier(path)
    key = f"{folder_of(identifier)}{path.name}"
    there = next((suffix for suffix in SUFFIXES if site.bucket.head(f"{key}{suffix}") is not None), None)
    return store_wal(site, identifier, path, suffix=there).new


def system_identifier(path: Path) -> str:
    """The cluster's, by pg_control beside the folder that the segment is in: what an archive_command is given.

    NotFound if there is none.
    """
    control = path.absolute().parent.parent / "global" / "pg_control"
    try:
        with control.open("rb") as file:
            return str(int.from_bytes(file.read(8), "little"))
    except OSError:
        raise NotFound(
            f"{path} is not in a cluster's pg_wal: there is no {control}",
            remedy="call it as archive_command does, with %p, in the data directory",
        ) from None


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system that `folder` is on, by the text of /proc/self/mountinfo."""
    best, found = -1, "unknown"
    place = os.path.realpath(folder)
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        mount = fields[4].encode().decode("unicode_escape")
        inside = mount == "/" or place == mount or place.startswith(f"{mount}/")
        if inside and len(mount) >= best:
            best, found = len(mount), right.split()[0]
    return found


def _refuse_unknown(path: Path) -> None:
    if kind_of(path.name.removesuffix(_PARTIAL)) is None:
        raise ConfigurationError(
            f"{path.name} is nothing that a server archives", remedy="archive_command = 'desbuquei wal push %p'"
        )


def _copy(path: Path, to: Path) -> None:
    segment = kind_of(path.name.removesuffix(_PARTIAL)) is WalKind.SEGMENT
    watcher = PageWatcher(path.name.removesuffix(_PARTIAL), system_identifier(path)) if segment else None
    with path.open("rb", buffering=0) as source, to.open("xb", buffering=0) as target:
        while chunk := source.read(_CHUNK):
            if watcher is not None:
                watcher.feed(chunk)
            view = memoryview(chunk)
            while view:
                view = view[target.write(view) :]
        if watcher is not None:
            watcher.finish()
            if watcher.fault is not None:
                raise IntegrityError(
                    f"{path.name} is not the WAL that it is called: {watcher.fault}",
                    remedy="look at the server's disk; it keeps the segment, and tries again",
                )
        os.fsync(target.fileno())


def _name(partial: Path, final: Path) -> None:
    """Give it its name, unless that is taken: FileExistsError."""
    try:
        os.link(partial, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if final.exists():
            raise FileExistsError from None
        partial.rename(final)


def _refuse_another(ours: Path, theirs: Path) -> None:
    """An equal file is made sure of; another one is left, and said."""
    with ours.open("rb") as left, theirs.open("rb") as right:
        while True:
            a, b = left.read(_CHUNK), right.read(_CHUNK)
            if a != b:
                raise IntegrityError(
                    f"{theirs} is another segment of the same name: it is not overwritten",
                    remedy="two servers archive to one place (a restored clone?), or a copy was cut off: see which one "
                    "is right, and move the other away; the server keeps its own, and tries again",
                )
            if not a:
                os.fsync(right.fileno())
                return
