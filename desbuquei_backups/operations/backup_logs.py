"""The table backup_logs: a mirror of backup-metadata.jsonl in the database, for people who query."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.connection import Connection, connect, pin

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 5
_LOCK_TIMEOUT, _STATEMENT_TIMEOUT = "5s", "30s"  # a mirror is never worth a backup that hangs

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
# Each column, and what it is called in the file.
_MIRRORED = {
    "backup_id": "backup_id",
    "backup_type": "backup_type",
    "backup_timestamp": "backup_timestamp",
    "backup_size_bytes": "size",
    "status": "status",
    "recovery_tested": "recovery_tested",
    "database_name": "database",
    "checksum_md5": "checksum_md5",
    "checksum_sha256": "checksum_sha256",
    "s3_uri": "s3_uri",
    "storage_class": "storage_class",
    "duration_seconds": "duration_seconds",
    "error": "error",
}
_REQUIRED = ("backup_type", "backup_timestamp", "size", "status", "database")
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, _MIRRORED))
_SELECT = sql.SQL("select {} from public.backup_logs").format(_COLUMNS)
_UPSERT = sql.SQL("insert into public.backup_logs ({}) values ({}) on conflict (backup_id) do update set {}").format(
    _COLUMNS,
    sql.SQL(", ").join(sql.Placeholder() for _ in _MIRRORED),
    sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in _MIRRORED if column != "backup_id"
    ),
)


def catch_up(site: Site, lines: Sequence[Mapping[str, Any]]) -> None:
    """Bring backup_logs up to the file. The table is never the truth: a database that is down catches up later."""
    rows = [row for line in lines if (row := _row(line)) is not None]
    try:
        with connect(
            site.settings.database_url, setting=DATABASE_URL, connect_timeout=str(_CONNECT_SECONDS)
        ) as connection:
            pin(connection)  # a database with a DateStyle of its own words instants as nobody else reads them
            _catch_up(connection, rows)
    except Exception as error:  # noqa: BLE001 - no fault of a mirror may fail a backup
        reason = error.what if isinstance(error, BackupError) else f"{type(error).__name__}: {error}".split("\n")[0]
        _LOG.warning("backup_logs is behind, it catches up with the next backup: %s", reason)


def _catch_up(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(
            "select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
            (_LOCK_TIMEOUT, _STATEMENT_TIMEOUT),
        )
        exists = cursor.execute("select to_regclass('public.backup_logs') is not null").fetchone()
        if not (exists and exists[0]):
            cursor.execute(_TABLE)
        known = set(cursor.execute(_SELECT).fetchall())
        for row in rows:
            if row not in known:  # not executemany(): its pipeline swallows a Ctrl-C
                cursor.execute(_UPSERT, row)


def _row(line: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The row of a line; None, and a word about it, if the line was not written by us."""
    values = {"recovery_tested": False, **line}
    lacking = [field for field in _REQUIRED if values.get(field) is None]
    try:
        taken_at = datetime.fromisoformat("" if lacking else values["backup_timestamp"])
    except (TypeError, ValueError):
        what = f"it has no {', '.join(lacking)}" if lacking else "its backup_timestamp is none"
        _LOG.warning("the line of %s is not mirrored in backup_logs: %s", line.get("backup_id"), what)
        return None
    # Written without an offset, it is UTC, whatever the database's own time zone is.
    values["backup_timestamp"] = taken_at if taken_at.tzinfo else taken_at.replace(tzinfo=UTC)
    return tuple(_storable(values.get(field)) for field in _MIRRORED.values())


def _storable(value: object) -> object:
    """What PostgreSQL takes: its text has no NUL and no half of a surrogate pair, as a file's odd name may have."""
    return value.replace("\0", "").encode(errors="backslashreplace").decode() if isinstance(value, str) else value
