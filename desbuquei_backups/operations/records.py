"""The records people grep: backup-metadata.jsonl, and its mirror in the database, the table backup_logs."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from desbuquei_backups.core.errors import BackupError, IntegrityError, NotFound
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.connection import Connection, connect
from desbuquei_backups.storage import disk

FILE = "backup-metadata.jsonl"
_LOG = logging.getLogger(__name__)

# Row-level security without a policy: on platforms that publish the schema `public` as an API, only the owner reads it.
_TABLE = """
create table if not exists public.backup_logs (
    backup_id text primary key,
    backup_type text not null,
    backup_timestamp timestamptz not null,
    backup_size_bytes bigint not null,
    status text not null,
    recovery_tested boolean not null,
    database_name text not null,
    checksum_md5 text,
    checksum_sha256 text,
    s3_uri text,
    storage_class text,
    duration_seconds double precision,
    error text
);
alter table public.backup_logs enable row level security;
do $$
declare reader text;
begin
    -- A platform's default privileges would grant it to the roles of its public API.
    for reader in
        select distinct case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end
          from pg_class c, aclexplode(c.relacl) a
         where c.oid = 'public.backup_logs'::regclass and a.grantee <> c.relowner
    loop
        execute 'revoke all on public.backup_logs from ' || reader;
    end loop;
end $$;
"""
_UPSERT = """
insert into public.backup_logs (backup_id, backup_type, backup_timestamp, backup_size_bytes, status, recovery_tested,
                         database_name, checksum_md5, checksum_sha256, s3_uri, storage_class, duration_seconds, error)
values (%(backup_id)s, %(backup_type)s, %(backup_timestamp)s, %(size)s, %(status)s, %(recovery_tested)s,
        %(database)s, %(checksum_md5)s, %(checksum_sha256)s, %(s3_uri)s, %(storage_class)s, %(duration_seconds)s,
        %(error)s)
on conflict (backup_id) do update set
    backup_timestamp = excluded.backup_timestamp, backup_size_bytes = excluded.backup_size_bytes,
    status = excluded.status, recovery_tested = excluded.recovery_tested, checksum_md5 = excluded.checksum_md5,
    checksum_sha256 = excluded.checksum_sha256, s3_uri = excluded.s3_uri, storage_class = excluded.storage_class,
    duration_seconds = excluded.duration_seconds, error = excluded.error
"""


def record(site: Site, manifest: Manifest, *, status: str, **changed: Any) -> None:
    """Write the backup's line, over what it said before but for `changed`; then let the table catch up."""
    line = {
        "backup_id": manifest.backup_id,
        "backup_type": manifest.tier,
        "backup_timestamp": _instant(manifest.taken_at),
        "database": manifest.database,
        "status": status,
        "size": manifest.dump.size,
        "file": manifest.dump.name,
        "checksum_md5": manifest.dump.md5,
        "checksum_sha256": manifest.dump.sha256,
        "duration_seconds": manifest.duration_seconds,
        "error": None,
    }
    _write(site, line | changed)


def change(site: Site, backup_id: str, **changed: Any) -> None:
    """Change what the backup's line says, if it has one here; then let the table catch up."""
    if any(line["backup_id"] == backup_id for line in read(site.settings.folder)):
        _write(site, {"backup_id": backup_id, **changed})


@contextmanager
def record_failures(site: Site, slot: Slot) -> Iterator[None]:
    """Record a step that failed, with its error.

    A backup that is archived stays one: the error is only noted beside it, unless bytes are gone or not what they were.
    """
    try:
        yield
    except BackupError as error:
        try:
            _write_failure(site, slot, error)
        except BackupError as second:
            _LOG.warning("the failure of %s could not be recorded: %s", slot.backup_id, second.what)
        raise


def _write_failure(site: Site, slot: Slot, error: BackupError) -> None:
    there = {line["backup_id"]: line for line in _readable(site.settings.folder)}.get(slot.backup_id)
    if there is not None and there["status"] == "success":
        kept = there.get("s3_uri") and not isinstance(error, IntegrityError | NotFound)
        status = "success" if kept else "failed"
        _write(site, {"backup_id": slot.backup_id, "status": status, "error": error.what})
    elif there is not None or not isinstance(error, NotFound):  # a step that found nothing to do made no attempt
        failed = {
            "backup_id": slot.backup_id,
            "backup_type": slot.tier,
            "backup_timestamp": _instant(site.now()),
            "database": site.policy.database,
            "size": 0,
            "file": None,
            "checksum_md5": None,
            "checksum_sha256": None,
            "duration_seconds": None,
        }
        _write(site, {**failed, **(there or {}), "status": "failed", "error": error.what})


def read(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metadata file, in order. A last line torn by a crash is left out."""
    path = folder / FILE
    with disk.disk_errors(path):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            _LOG.warning("%s: a line that is not JSON is left out: %.60s", path, line)
    return lines


def _readable(folder: Path) -> list[dict[str, Any]]:
    try:
        return read(folder)
    except BackupError:
        return []


def _write(site: Site, line: Mapping[str, Any]) -> None:
    folder = site.settings.folder
    disk.prepare(folder)
    with _file_lock(folder):
        lines = {old["backup_id"]: old for old in read(folder)}
        empty = {"s3_uri": None, "storage_class": None, "recovery_tested": False}
        lines[line["backup_id"]] = empty | lines.get(line["backup_id"], {}) | dict(line)
        text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines.values())
        disk.write_file(folder / FILE, text.encode())
    _mirror(site, list(lines.values()))


def _mirror(site: Site, lines: Sequence[Mapping[str, Any]]) -> None:
    """Bring backup_logs up to the file. The table is never the truth: a database that is down catches up later."""
    try:
        with connect(site.settings.database_url, setting=DATABASE_URL, connect_timeout="5") as connection:
            _catch_up(connection, lines)
    except (BackupError, psycopg.Error) as error:
        reason = error.what if isinstance(error, BackupError) else " ".join(str(error).split())
        _LOG.warning("backup_logs is behind, it catches up with the next backup: %s", reason)


def _catch_up(connection: Connection, lines: Sequence[Mapping[str, Any]]) -> None:
    exists = connection.execute("select to_regclass('public.backup_logs') is not null").fetchone()
    if not (exists and exists[0]):
        with connection.transaction():
            connection.execute(_TABLE)
    known = {
        backup_id: rest
        for backup_id, *rest in connection.execute(
            "select backup_id, status, recovery_tested, s3_uri, error from public.backup_logs"
        ).fetchall()
    }
    behind = [
        {"error": None, **line}
        for line in lines
        if known.get(line["backup_id"]) != [line["status"], line["recovery_tested"], line["s3_uri"], line.get("error")]
    ]
    if behind:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_UPSERT, behind)


@contextmanager
def _file_lock(folder: Path) -> Iterator[None]:
    path = folder / f".{FILE}.lock"
    with disk.disk_errors(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
