"""The database to back up: reached, readable as a whole, and what its server allows."""

import os
from collections.abc import Iterator

import psycopg

from desbuquei_backups.core.errors import BackupError, ToolMissing
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.transport import Transport
from desbuquei_backups.operations.doctor import Area, Precondition, clock
from desbuquei_backups.operations.egress import incremental_tiers, price, takes_wal
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.survey import survey
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import server, wal
from desbuquei_backups.postgres.programs import choose, choose_server

_AREA = Area("database")
_LOST = "base backups, point-in-time recovery and hourly increments: only logical dumps are taken"
_NEEDED = (
    *("pg_amcheck", "pg_basebackup", "pg_checksums", "pg_combinebackup", "pg_controldata"),
    *("pg_receivewal", "pg_verifybackup", "pg_waldump", "postgres"),
)
_COLLATION = """
select datcollversion, case datlocprovider when 'b' then datcollversion
                            else pg_database_collation_actual_version(oid) end
  from pg_database where datname = current_database()
"""


def source(site: Site) -> Iterator[Precondition]:
    """Everything about the source; a database that cannot be reached is one finding, and the last."""
    url = site.settings.database_url
    try:
        connection = pg.connect(url, setting=DATABASE_URL)
    except BackupError as error:
        yield _AREA.error("reachable", error)
        return
    with connection:
        pg.pin(connection)
        yield _AREA.ok("reachable", pg.described(pg.parse(url, setting=DATABASE_URL)))
        yield _transport(connection)
        yield from _AREA.guarded("pooler", lambda: _pooler(url))
        yield tools(_AREA, connection)
        yield _server_programs(connection)
        yield from _AREA.guarded("privileges", lambda: _privileges(connection))
        yield from _AREA.guarded("locale", lambda: _locale(connection))
        yield from _AREA.guarded("replication", lambda: _replication(url, connection))
        row = connection.execute("select clock_timestamp()").fetchone()
        yield clock(_AREA, "clock", row[0] if row else None)


def _transport(connection: pg.Connection) -> Precondition:
    how = server.transport_of(connection)
    if how is Transport.TLS:
        return _AREA.ok("TLS", "the connection is encrypted")
    if how is Transport.LOCAL:
        return _AREA.ok("TLS", "not used, and not needed on this machine")
    return _AREA.warning(
        "TLS", "rows and password hashes cross the network in the clear", "add sslmode=verify-full to the URL"
    )


def _pooler(url: str) -> Iterator[Precondition]:
    server.refuse_transaction_pooler(url, setting=DATABASE_URL)
    yield _AREA.ok("pooler", "sessions keep their state")


def tools(area: Area, connection: pg.Connection) -> Precondition:
    """pg_dump and psql against the version of a server: never older, at best the same."""
    version = connection.info.parameter_status("server_version") or "?"
    major = connection.info.server_version // 10000
    try:
        programs = choose(major)
    except ToolMissing as error:
        return area.error("tools", error)
    said = f"pg_dump and psql {programs.version} for PostgreSQL {version}, in {programs.folder}"
    if programs.major > major:
        return area.warning(
            "tools",
            f"{said}: its dumps restore on PostgreSQL {programs.major} or newer only",
            f"install postgresql-client-{major}, or name its bin folder in DESBUQUEI_PG_BIN",
        )
    return area.ok("tools", said)


def _server_programs(connection: pg.Connection) -> Precondition:
    """What a base backup is verified with, and a cluster recovered and drilled with: of just that major version."""
    major = connection.info.server_version // 10000
    try:
        programs = choose_server(major)
    except ToolMissing as error:
        return _AREA.warning("server's programs", f"{error.what}: no recovery and no drill on this host", error.remedy)
    lacking = [name for name in _NEEDED if not os.access(programs.path(name), os.X_OK)]
    if major < 17:
        lacking = [name for name in lacking if name != "pg_combinebackup"]
    if lacking:
        return _AREA.warning(
            "server's programs", f"not in {programs.folder}: {', '.join(lacking)}", f"install postgresql-{major}"
        )
    return _AREA.ok("server's programs", f"PostgreSQL {programs.version}: recover and drill work on this host")


def _privileges(connection: pg.Connection) -> Iterator[Precondition]:
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        seen = survey(connection, server.platform(connection))
    yield _AREA.ok("privileges", f"{len(seen.readable)} tables and sequences may be read, and their large objects")
    for left in seen.left_out:
        yield _AREA.warning(
            "left out",
            f"{left.kind} {left.identity}: {left.reason}",
            "nothing, if it can be done without: each backup's manifest names it too",
        )


def _locale(connection: pg.Connection) -> Iterator[Precondition]:
    facts = server.facts(connection, None)
    name = f"{facts.encoding}, {facts.locale or facts.collate} ({facts.locale_provider})"
    row = connection.execute(_COLLATION).fetchone() if facts.version_number >= 150000 else None
    if row and row[0] != row[1]:
        yield _AREA.warning(
            "locale",
            f"{name}: made with version {row[0]}, the system has {row[1]}: indexes may be out of order",
            "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION",
        )
    else:
        yield _AREA.ok("locale", name)


def _replication(url: str, connection: pg.Connection) -> Iterator[Precondition]:
    """Proven by IDENTIFY_SYSTEM on a replication connection; nothing is created."""
    try:
        replica = pg.connect(url, setting=DATABASE_URL, replication="true")
    except BackupError as error:
        yield _AREA.not_applicable(
            "replication",
            f"refused, which costs {_LOST}. {error.what}",
            "if the server is yours: docs/sql/backup_role.sql makes the role, and has the lines for pg_hba.conf",
        )
        return
    with replica:
        answer = replica.pgconn.exec_(b"IDENTIFY_SYSTEM")
        if answer.status != psycopg.pq.ExecStatus.TUPLES_OK:
            yield _AREA.not_applicable("replication", f"refused, which costs {_LOST}")
            return
    yield _AREA.ok("replication", "IDENTIFY_SYSTEM answers")
    rows = connection.execute(
        "select name, setting from pg_settings where name in ('wal_level', 'summarize_wal', 'max_slot_wal_keep_size')"
    ).fetchall()
    yield from _wal(dict(rows))
    if lacking := wal.lacking_rights(connection):
        yield _AREA.warning(
            "recovery points",
            f"{connection.info.user} may not call {', '.join(lacking)}: hourly recovery points cannot be made",
            f"GRANT EXECUTE ON FUNCTION {', '.join(lacking)} TO {connection.info.user}",
        )


def _wal(settings: dict[str, str]) -> Iterator[Precondition]:
    level = settings["wal_level"]
    if level == "minimal":
        yield _AREA.failure("wal_level", "minimal: no base backup can be taken", "set wal_level = replica, restart")
    else:
        yield _AREA.ok("wal_level", level)
    if "summarize_wal" not in settings:
        yield _AREA.not_applicable("summarize_wal", "before PostgreSQL 17 there are no incremental base backups")
    elif settings["summarize_wal"] == "off":
        yield _AREA.warning(
            "summarize_wal",
            "off: no incremental base backups",
            "ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf()",
        )
    else:
        yield _AREA.ok("summarize_wal", "on")
    keep = settings.get("max_slot_wal_keep_size", "-1")
    if keep == "-1":
        yield _AREA.failure(
            "max_slot_wal_keep_size",
            "unbounded: a slot that nobody reads fills the server's disk",
            "set it to what the disk can spare, like 50GB",
        )
    else:
        yield _AREA.ok("max_slot_wal_keep_size", f"{keep} MB")


def recovery_point(site: Site) -> Iterator[Precondition]:
    """What logical dumps in place of increments read in a month, and how old the newest backup gets between them."""
    for tier in incremental_tiers(site):
        try:
            if takes_wal(site, tier):
                yield _AREA.ok(tier, "takes WAL: any second can be recovered to")
                continue
            found = price(site, tier)
        except BackupError as error:
            yield _AREA.error(tier, error)
            continue
        if found is None:
            yield _AREA.not_applicable(tier, "what its dumps read in a month is known after the first one")
        elif found.recovery_point <= site.policy.recovery_point_objective:
            yield _AREA.ok(tier, found.said())
        else:
            promised = in_words(site.policy.recovery_point_objective)
            remedy = "raise max_monthly_egress_gb in the policy" if found.cadence.stretched else ""
            age = in_words(found.recovery_point)
            yield _AREA.warning(
                tier,
                f"the newest backup gets up to {age} old, promised: {promised}; {found.said()}",
                remedy or "nothing, if that will do: between logical dumps there is no point in time",
            )
