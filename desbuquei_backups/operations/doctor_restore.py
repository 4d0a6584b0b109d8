"""The server for restored copies: never the source, and able to hold what the source has."""

from collections.abc import Iterator

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.manifest import ServerFacts
from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.doctor_source import tools
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import server

_AREA = Area("restore server")


def restore_server(site: Site) -> Iterator[Precondition]:
    """Everything about it; what must be compared with the source is left out when that does not answer."""
    url = site.settings.restore_url
    try:
        connection = pg.connect(url, setting=RESTORE_URL)
    except BackupError as error:
        yield _AREA.error("reachable", error)
        return
    with connection:
        pg.pin(connection)
        yield _AREA.ok("reachable", pg.described(pg.parse(url, setting=RESTORE_URL)))
        yield tools(_AREA, connection)
        yield from _AREA.guarded("rights", lambda: _rights(connection))
        try:
            source = pg.connect(site.settings.database_url, setting=DATABASE_URL)
        except BackupError:
            yield _AREA.not_applicable("extensions", "the database does not answer: nothing to compare with")
            return
        with source:
            pg.pin(source)
            yield from _AREA.guarded("compared with the source", lambda: _compared(source, connection))


def _rights(connection: pg.Connection) -> Iterator[Precondition]:
    row = connection.execute(
        "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user"
    ).fetchone()
    superuser, databases, roles = row if row else (False, False, False)
    if superuser:
        yield _AREA.ok("rights", "roles, databases and tablespaces may be created")
    elif not (databases and roles):
        lacking = [name for name, may in (("CREATEDB", databases), ("CREATEROLE", roles)) if not may]
        yield _AREA.failure(
            "rights",
            f"{connection.info.user} may not create what a restored copy needs: {', '.join(lacking)}",
            f"ALTER ROLE {connection.info.user} {' '.join(lacking)}; better a superuser of a server for this alone",
        )
    else:
        yield _AREA.warning(
            "rights",
            "no superuser: tablespaces, event triggers and some extensions cannot be restored",
            "let DESBUQUEI_RESTORE_URL name a superuser of a server for this alone",
        )


def _compared(source: pg.Connection, restore: pg.Connection) -> Iterator[Precondition]:
    ours, theirs = server.facts(source, None), server.facts(restore, None)
    yield _not_the_source(ours, theirs)
    if theirs.major < ours.major:
        yield _AREA.failure(
            "version",
            f"PostgreSQL {theirs.version}, the source is {ours.version}",
            f"let DESBUQUEI_RESTORE_URL name a server of PostgreSQL {ours.major} or newer",
        )
    else:
        yield _AREA.ok("version", f"PostgreSQL {theirs.version} holds dumps of {ours.version}")
    wanted = {name for (name,) in source.execute("select extname::text from pg_extension").fetchall()}
    there = {name for (name,) in restore.execute("select name::text from pg_available_extensions").fetchall()}
    if missing := sorted(wanted - there):
        yield _AREA.warning(
            "extensions",
            f"not available there: {', '.join(missing)}: what needs them cannot be proven",
            "install their packages on the restore server",
        )
    else:
        yield _AREA.ok("extensions", f"all {len(wanted)} are available")
    yield _locale(ours, restore)


def _not_the_source(ours: ServerFacts, theirs: ServerFacts) -> Precondition:
    if ours.system_identifier is None or theirs.system_identifier is None:
        return _AREA.warning(
            "not the source",
            "cannot be told: a role may not read the system identifier",
            "see for yourself that the two URLs name two servers",
        )
    if ours.system_identifier == theirs.system_identifier:
        return _AREA.failure(
            "not the source",
            "it is the source's own server, or a physical copy of it: a copy made there proves nothing",
            "let DESBUQUEI_RESTORE_URL name a server that has never seen the source",
        )
    return _AREA.ok("not the source", "another server")


def _locale(ours: ServerFacts, restore: pg.Connection) -> Precondition:
    name = f"{ours.locale or ours.collate} ({ours.locale_provider})"
    if ours.locale_provider == "builtin":
        known = restore.info.server_version >= 170000
    elif ours.locale_provider == "icu":
        known = _any(restore, "select 1 from pg_collation where collprovider = 'i'", ())
    else:
        wanted = (ours.collate, ours.collate.replace("UTF-8", "utf8"))
        known = ours.collate in ("C", "POSIX") or _any(
            restore, "select 1 from pg_collation where collcollate = any (%s)", (list(wanted),)
        )
    if known:
        return _AREA.ok("locale", f"{name} is known there")
    return _AREA.warning(
        "locale",
        f"{name} is not known there: tables whose rows depend on it cannot be proven",
        "install the locale on the restore server",
    )


def _any(connection: pg.Connection, query: str, parameters: tuple[object, ...]) -> bool:
    return connection.execute(query.encode(), parameters).fetchone() is not None
