"""What a source server is: identity, version, platform, and whether this is a pooler that cannot serve a dump."""

from dataclasses import dataclass

import psycopg

from desbuquei_backups.core.errors import SourceRefused
from desbuquei_backups.core.manifest import ServerFacts
from desbuquei_backups.core.transport import Transport, transport
from desbuquei_backups.postgres.connection import Connection, connect, explained

# Settings of the source that a restore or a recovery depends on.
_SETTINGS = (
    "max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
    "max_locks_per_transaction", "wal_level", "shared_preload_libraries", "data_checksums", "block_size",
    "wal_segment_size", "default_text_search_config",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Platform:
    """A provider of managed PostgreSQL: how to know it, and the schemas that are its own."""

    name: str
    roles: frozenset[str]
    schemas: frozenset[str]


SUPABASE = Platform(
    "Supabase",
    roles=frozenset({"supabase_admin", "authenticator"}),
    schemas=frozenset(
        "_analytics _realtime _supavisor auth cron extensions graphql graphql_public net pgbouncer pgmq pgsodium "
        "pgsodium_masks realtime repack storage supabase_functions supabase_migrations tiger vault".split()
    ),
)
PLATFORMS = (SUPABASE,)

_POOLER_TRIES = 8  # a pooler that picks its sessions at random may pick the same one again


def platform(connection: Connection) -> Platform | None:
    """The managed platform this database is on, known by the roles and schemas that only it has."""
    row = connection.execute(
        "select array(select rolname::text from pg_roles), array(select nspname::text from pg_namespace)"
    ).fetchone()
    roles, schemas = row if row else ((), ())
    for known in PLATFORMS:
        if known.roles.issubset(roles) and known.schemas.intersection(schemas):
            return known
    return None


def facts(connection: Connection, on: Platform | None) -> ServerFacts:
    """All that a restore depends on; what the role may not ask is None, never a guess."""
    number = connection.info.server_version
    provider = "datlocprovider::text" if number >= 150000 else "'c'"
    locale = "datlocale" if number >= 170000 else "daticulocale" if number >= 150000 else "null"
    version = "datcollversion" if number >= 150000 else "null"
    database = connection.execute(
        f"select datname, pg_encoding_to_char(encoding), {provider}, datcollate, datctype, {locale}, {version}, "  # noqa: S608 - no input in it
        "current_setting('server_version'), current_setting('lc_monetary') "
        "from pg_database where datname = current_database()"
    ).fetchone()
    assert database is not None
    settings = connection.execute(
        "select name, setting from pg_settings where name = any(%s)", (list(_SETTINGS),)
    ).fetchall()
    # Only those that something in this database uses: another database's tablespaces are not this backup's.
    tablespaces = connection.execute(
        "select distinct spcname from pg_tablespace t join pg_class c on c.reltablespace = t.oid "
        "where spcname not like 'pg\\_%' order by 1"
    ).fetchall()
    return ServerFacts(
        system_identifier=_optional(connection, "select system_identifier::text from pg_control_system()"),
        version=database[7],
        version_number=number,
        timeline=_number(_optional(connection, "select timeline_id::text from pg_control_checkpoint()")),
        lsn=_optional(
            connection,
            "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end::text",
        ),
        database=database[0],
        encoding=database[1],
        locale_provider={"c": "libc", "i": "icu", "b": "builtin"}[database[2]],
        collate=database[3],
        ctype=database[4],
        locale=database[5],
        collation_version=database[6],
        lc_monetary=database[8],
        settings=dict(settings),
        tablespaces=[name for (name,) in tablespaces],
        platform=on.name if on else None,
        transport=transport_of(connection),
    )


def transport_of(connection: Connection) -> Transport:
    """How the server is reached."""
    host = connection.info.hostaddr or connection.info.host
    return transport(host, encrypted=connection.pgconn.ssl_in_use)


def refuse_transaction_pooler(url: str, *, setting: str) -> None:
    """SourceRefused if sessions of `url` do not keep their state: pg_dump's settings would be lost between statements.

    A pooler is known by its cancel key naming another process than the one that answers; a transaction pooler by
    another process answering from one statement to the next while another session is busy. Nothing is set meanwhile:
    a pooled session is the application's too.
    """
    with connect(url, setting=setting) as first, explained("asking whether this is a pooler"):
        process = _process(first)
        if process == first.info.backend_pid:
            return
        try:
            with connect(url, setting=setting) as second:
                kept = all(_process_beside(first, second) == process for _ in range(_POOLER_TRIES))
        except psycopg.Error:
            kept = False
    if not kept:
        raise SourceRefused(
            f"{setting} leads to a transaction pooler, which cannot serve pg_dump: a session's settings are lost there",
            remedy="use the direct host, or the session pooler (on Supabase: port 5432 instead of 6543)",
        )


def _process(connection: Connection) -> int:
    row = connection.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def _process_beside(first: Connection, second: Connection) -> int:
    """Which process answers `first` while `second` keeps one of the pool's busy."""
    with second.transaction():
        second.execute("select 1")
        return _process(first)


def _optional(connection: Connection, query: str) -> str | None:
    """The one value of `query`, or None where the role may not ask."""
    try:
        with connection.transaction():
            row = connection.execute(query).fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
        return None
    return None if row is None else row[0]


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
