"""A server to restore into: what it has, what it lacks for a backup, and the database made there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from desbuquei_backups.core.errors import TargetRefused
from desbuquei_backups.core.manifest import Manifest, Requirement, ServerFacts
from desbuquei_backups.postgres.connection import Connection, parse

_CONTENTS = """
with ours as (
    select oid, nspname from pg_namespace n
     where nspname not like 'pg\\_%%' and nspname <> 'information_schema' and nspname <> all (%(but)s)
       and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid
                          and d.deptype = 'e')
), member as (select classid, objid from pg_depend where deptype = 'e')
select quote_ident(nspname) || '.' || quote_ident(relname)
  from pg_class c join ours on ours.oid = c.relnamespace
 where relkind in ('r','p','v','m','S','f')
   and ('pg_class'::regclass, c.oid) not in (select classid, objid from member)
union all
select 'function ' || p.oid::regprocedure::text from pg_proc p join ours on ours.oid = p.pronamespace
 where ('pg_proc'::regclass, p.oid) not in (select classid, objid from member)
union all
select 'type ' || t.oid::regtype::text from pg_type t join ours on ours.oid = t.typnamespace
 where (t.typtype in ('d','e','r') or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
   and ('pg_type'::regclass, t.oid) not in (select classid, objid from member)
union all
select 'schema ' || quote_ident(nspname) from ours where nspname <> 'public'
union all
select 'publication ' || quote_ident(pubname) from pg_publication where %(but)s::text[] = '{}'
union all
select 'event trigger ' || quote_ident(evtname) from pg_event_trigger where %(but)s::text[] = '{}'
union all
select 'large object ' || oid from pg_largeobject_metadata
 limit 10
"""


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that a server does not meet, and why."""

    requirement: Requirement
    why: str


def refuse_source(connection: Connection, manifest: Manifest, *, source_url: str | None, restore_url: str) -> None:
    """TargetRefused if this server is the backup's own source, or too old for its dump.

    It is known by its system identifier; where that may not be asked, by being at the source's own address.
    """
    major = connection.info.server_version // 10000
    if major < manifest.server.major:
        raise TargetRefused(
            f"the server is PostgreSQL {major}, the dump is from {manifest.server.major}",
            remedy=f"restore on PostgreSQL {manifest.server.major} or newer",
        )
    row = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
    known = bool(row and manifest.server.system_identifier)
    same = known and row is not None and row[0] == manifest.server.system_identifier
    if same or (not known and source_url and _address(source_url) == _address(restore_url)):
        raise TargetRefused(
            "the server for restored copies is the source itself: a copy made there proves nothing",
            remedy="let DESBUQUEI_RESTORE_URL name a server that has never seen the source",
        )


def _address(url: str) -> tuple[str, str]:
    parameters = parse(url, setting="a URL")
    return str(parameters.get("host") or parameters.get("hostaddr") or ""), str(parameters.get("port") or 5432)


def roles(connection: Connection) -> set[str]:
    return {name for (name,) in connection.execute("select rolname::text from pg_roles").fetchall()}


def tablespaces(connection: Connection) -> set[str]:
    return {name for (name,) in connection.execute("select spcname::text from pg_tablespace").fetchall()}


def create_database(connection: Connection, name: str, like: ServerFacts) -> str | None:
    """Create an empty database with the source's encoding and locale.

    Where the server has not that locale: with C.UTF-8 or C. Then the reason is returned, otherwise None.
    """
    try:
        connection.execute(_create(name, like.encoding, _locale(connection, like)))
    except (psycopg.errors.InvalidParameterValue, psycopg.errors.FeatureNotSupported, psycopg.errors.WrongObjectType,
            psycopg.errors.UndefinedObject, psycopg.errors.InvalidObjectDefinition) as error:  # fmt: skip
        fallback = "C"
        connection.execute(_create(name, like.encoding, {"LOCALE": fallback, "LOCALE_PROVIDER": "libc"}))
        wanted = like.locale or like.collate
        return f"the server has not the locale {wanted} ({like.locale_provider}): {_first_line(error)}"
    return None


def unmet(connection: Connection, requirements: Iterable[Requirement], locale_missing: str | None) -> list[Unmet]:
    """Which requirements the new, empty database `connection` is in cannot meet: each is tried, and undone."""
    lacking = []
    for requirement in requirements:
        why = _why_unmet(connection, requirement, locale_missing)
        if why is not None:
            lacking.append(Unmet(requirement, why))
    return lacking


def _why_unmet(connection: Connection, requirement: Requirement, locale_missing: str | None) -> str | None:
    if requirement.kind == "relation":
        return f"{requirement.name} is not in the backup"
    if requirement.kind == "locale":
        return locale_missing
    if requirement.kind == "extension":
        create = sql.SQL("create extension if not exists {} cascade").format(sql.Identifier(requirement.name))
    elif requirement.definition is not None:
        create = sql.SQL("create collation pg_temp.wanted ({})").format(sql.SQL(requirement.definition))
    else:
        return None
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("set local search_path = public")
            connection.execute(create)
    except psycopg.Error as error:
        return f"the restore server has not the {requirement.kind} {requirement.name}: {_first_line(error)}"
    return None


def emptiness(connection: Connection, *, but: Collection[str] = ()) -> list[str]:
    """What is in a database that is not a new one's: up to ten user objects; empty if there is nothing.

    `but` are schemas of a platform: what is in them, and what the platform keeps outside of schemas, does not count.
    """
    rows = connection.execute(_CONTENTS, {"but": list(but)}).fetchall()
    return [identity for (identity,) in rows]


def _locale(connection: Connection, like: ServerFacts) -> Mapping[str, str]:
    version = connection.info.server_version // 10000
    options = {"LC_COLLATE": like.collate, "LC_CTYPE": like.ctype}
    if version >= 15:
        options["LOCALE_PROVIDER"] = like.locale_provider
    if like.locale_provider == "icu":
        options["ICU_LOCALE"] = like.locale or ""
    if like.locale_provider == "builtin":
        options["BUILTIN_LOCALE"] = like.locale or ""
    return options


def _create(name: str, encoding: str, options: Mapping[str, str]) -> sql.Composed:
    provider = options.get("LOCALE_PROVIDER")
    rest = {key: value for key, value in options.items() if key != "LOCALE_PROVIDER"}
    parts: list[sql.Composable] = [sql.SQL("encoding {}").format(sql.Literal(encoding))]
    if provider in ("libc", "icu", "builtin"):
        parts.append(sql.SQL("locale_provider {}").format(sql.Identifier(provider)))
    parts += [sql.SQL("{} {}").format(sql.SQL(key), sql.Literal(value)) for key, value in rest.items()]
    return sql.SQL("create database {} template template0 {}").format(sql.Identifier(name), sql.SQL(" ").join(parts))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def skipped_objects(lacking: Sequence[Unmet]) -> dict[tuple[int, int], str]:
    """For each object that cannot be restored, by catalog and OID: why."""
    return {(needed.class_oid, needed.oid): each.why for each in lacking for needed in each.requirement.dependants}
