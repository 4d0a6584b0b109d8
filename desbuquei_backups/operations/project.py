"""A managed platform's fresh project: what it has, what this role may do there, and whether it is fresh."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.postgres import contents
from desbuquei_backups.postgres.connection import Connection
from desbuquei_backups.postgres.server import Platform

# Tables in which a platform notes how far its own schema is: the new project's are true of it, the old one's are not.
MIGRATIONS = re.compile(r"(?:.*_)?migrations")

_RELATIONS = """
select n.nspname, c.relname,
       case c.relkind when 'S' then has_sequence_privilege(c.oid, 'UPDATE')
                      else has_table_privilege(c.oid, 'INSERT') end
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'S') and n.nspname = any (%s) and has_schema_privilege(n.oid, 'USAGE')
"""
_OBJECTS = """
select 'EVENT TRIGGER', '-', evtname::text from pg_event_trigger
union all select 'PUBLICATION', '-', pubname::text from pg_publication
union all select 'EXTENSION', '-', extname::text from pg_extension
union all select 'TRIGGER', n.nspname, c.relname || ' ' || t.tgname
            from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
           where not t.tgisinternal
union all select 'POLICY', n.nspname, c.relname || ' ' || p.polname
            from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
"""
_REFERENCES = """
select n.nspname, c.relname, fn.nspname, f.relname
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_class f on f.oid = k.confrelid join pg_namespace fn on fn.oid = f.relnamespace
 where k.contype = 'f' and k.conrelid <> k.confrelid and n.nspname = any (%(all)s) and fn.nspname = any (%(all)s)
"""
# Grants that every new table of this role would get: a dump grants what the source had, and nothing revokes the rest.
_DEFAULTS = """
select distinct format('alter default privileges %s revoke all on %s from %s',
              case when d.defaclnamespace = 0 then '' else 'in schema ' || d.defaclnamespace::regnamespace end,
              case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                                   when 'T' then 'types' when 'n' then 'schemas' else 'large objects' end,
              case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
  from pg_default_acl d, aclexplode(d.defaclacl) a
 where d.defaclrole = current_user::regrole and not (a.grantee = d.defaclrole and d.defaclnamespace = 0)
"""


@dataclass(frozen=True, slots=True)
class Project:
    """What a fresh project has: schemas, relations (and whether the role may write them), named objects, own roles.

    `replica`: this role may switch triggers off. Where it may not, `first` are the platform's tables whose rows must be
    there before others refer to them, one set after another.
    """

    schemas: frozenset[str]
    relations: Mapping[tuple[str, str], bool]
    objects: frozenset[tuple[str, str, str]]
    acts_as: frozenset[str]
    replica: bool
    first: Sequence[frozenset[tuple[str, str]]] = ()


def project(connection: Connection, platform: Platform) -> Project:
    """Look at a project, as the role of `connection`."""
    schemas = {name for (name,) in connection.execute("select nspname::text from pg_namespace").fetchall()}
    relations = connection.execute(_RELATIONS, (list(platform.schemas),)).fetchall()
    roles = connection.execute(
        "select rolname::text from pg_roles where pg_has_role(current_user, oid, 'MEMBER')"
    ).fetchall()
    may_write = {(schema, name): may for schema, name, may in relations}
    replica = _may_replicate(connection)
    references = connection.execute(_REFERENCES, {"all": list(platform.schemas)}).fetchall()
    return Project(
        schemas=frozenset(schemas),
        relations=may_write,
        objects=frozenset((kind, schema, name) for kind, schema, name in connection.execute(_OBJECTS).fetchall()),
        acts_as=frozenset(name for (name,) in roles),
        replica=replica,
        first=() if replica else _in_order({((a, b), (c, d)) for a, b, c, d in references}, may_write),
    )


def rows_there(connection: Connection, manifest: Manifest, there: Project) -> list[str]:
    """The platform's tables that would be loaded and are not empty: no fresh project's."""
    found = []
    wanted = {table.identity for table in manifest.tables if table.rows}
    for relation in contents.relations(connection):
        key = (relation.schema, relation.name)
        if relation.identity not in wanted or not relation.readable or not there.relations.get(key):
            continue
        if MIGRATIONS.fullmatch(relation.name):
            continue
        # Of an extension's table only the rows that a dump carries: it came with rows of its own.
        query = sql.SQL("select exists (select from {} {})").format(relation.quoted, sql.SQL(relation.condition or ""))
        row = connection.execute(query).fetchone()
        if row and row[0]:
            found.append(f"rows in {relation.identity}")
    return found


def without_default_grants(connection: Connection) -> None:
    """Take back what the project grants on every new object of this role; the dump's own defaults come at its end."""
    for (statement,) in connection.execute(_DEFAULTS).fetchall():
        connection.execute(statement)


def _in_order(
    references: Collection[tuple[tuple[str, str], tuple[str, str]]], may_write: Mapping[tuple[str, str], bool]
) -> list[frozenset[tuple[str, str]]]:
    """The writable tables that others refer to, each set before those that refer to it; what is in a circle is left."""
    left = {table for pair in references for table in pair}
    levels = []
    while ready := {table for table in left if not any(a == table and b in left for a, b in references)}:
        left -= ready
        levels.append(frozenset(t for t in ready if may_write.get(t) and not MIGRATIONS.fullmatch(t[1])))
    # The last set is loaded with everything else: nobody waits for it.
    return levels[:-1]


def _may_replicate(connection: Connection) -> bool:
    """Whether this role may switch triggers off for its session: no superuser may have been given the right."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("set local session_replication_role = replica")
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
