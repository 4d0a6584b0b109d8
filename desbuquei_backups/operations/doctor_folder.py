"""The backup folder, tried by writing and taking away again."""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg

from desbuquei_backups.core.errors import BackupError, Busy
from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import DISK_THRESHOLD_PERCENT
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.storage import disk

_FOLDER = Area("backup folder")
_PROBE = "probe"


def folder(site: Site, *, read_only: bool) -> Iterator[Precondition]:
    """Whether it is there, ours alone, writable, roomy, and not held by another run."""
    path = site.settings.folder
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if there != path:
        yield from _to_be_made(path, there)
    else:
        yield from _FOLDER.guarded("writable", lambda: _writable(path, read_only=read_only))
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            yield _FOLDER.warning("permissions", f"{mode:o}: others may look into it", f"chmod 700 {path}")
        else:
            yield _FOLDER.ok("permissions", f"{mode:o}")
        yield from _FOLDER.guarded("lock", lambda: _lock(site, path, read_only=read_only))
    yield _room(there, _database_size(site))


def _to_be_made(path: Path, there: Path) -> Iterator[Precondition]:
    if os.access(there, os.W_OK | os.X_OK):
        yield _FOLDER.ok("writable", f"{path} is made by the first backup")
    else:
        yield _FOLDER.failure(
            "writable", f"{path} is not there, and may not be made", f"create it, owned by uid {os.getuid()}, mode 700"
        )


def _writable(path: Path, *, read_only: bool) -> Iterator[Precondition]:
    if read_only:
        may = os.access(path, os.W_OK | os.X_OK)
        who = f"uid {os.getuid()}"
        yield (
            _FOLDER.ok("writable", f"{path} (by its permissions; not tried)")
            if may
            else _FOLDER.failure("writable", f"{who} may not write to {path}", f"chown it to {who}")
        )
        return
    probe = path / f".{_PROBE}-{secrets.token_hex(6)}"
    try:
        disk.write_file(probe, b"probe")
    finally:
        probe.unlink(missing_ok=True)
    yield _FOLDER.ok("writable", str(path))


def _lock(site: Site, path: Path, *, read_only: bool) -> Iterator[Precondition]:
    name = site.policy.database
    if read_only and not (path / f".{name}.lock").exists():
        yield _FOLDER.not_applicable("lock", "nobody has ever held it, and nothing is written")
        return
    try:
        with disk.lock(path, name, doing="doctor", wait_seconds=0):
            yield _FOLDER.ok("lock", f"{name} is free")
    except Busy as error:
        yield _FOLDER.warning("lock", error.what, "nothing, if a backup is being taken just now")


def _room(there: Path, needed: int | None) -> Precondition:
    usage = shutil.disk_usage(there)
    percent = round(100 * usage.used / max(usage.used + usage.free, 1))
    said = f"{usage.free / 1e9:.1f} GB free, {percent} % used"
    remedy = "enlarge the disk, or keep fewer days on it"
    if needed is not None:
        said += f"; the database has {needed / 1e9:.1f} GB"
        if usage.free < needed / 10:
            return _FOLDER.failure("room", said, remedy)
        if usage.free < needed:
            return _FOLDER.warning("room", f"{said}: a dump that compresses badly may not fit", remedy)
    if percent >= DISK_THRESHOLD_PERCENT:
        return _FOLDER.warning("room", said, remedy)
    return _FOLDER.ok("room", said)


def _database_size(site: Site) -> int | None:
    try:
        with pg.connect(site.settings.database_url, setting=DATABASE_URL) as connection:
            row = connection.execute("select pg_database_size(current_database())").fetchone()
    except (BackupError, psycopg.Error):
        return None
    return int(row[0]) if row else None
