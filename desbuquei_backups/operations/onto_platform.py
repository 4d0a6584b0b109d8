"""A dump onto a managed platform's fresh project: what is the platform's stays its own, its tables get their rows."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from desbuquei_backups.core.manifest import LeftOut, Manifest
from desbuquei_backups.operations.loading import Around
from desbuquei_backups.operations.schema import label
from desbuquei_backups.postgres import contents
from desbuquei_backups.postgres.connection import Connection
from desbuquei_backups.postgres.contents import PG_CLASS, Relation
from desbuquei_backups.postgres.plain_dump import Entry
from desbuquei_backups.postgres.server import Platform

# Tables in which a platform notes how far its own schema is: the new project's are true of it, the old one's are not.
_MIGRATIONS = re.compile(r"(?:.*_)?migrations")
_ROWS = frozenset({"TABLE DATA", "SEQUENCE SET"})
# What only its owner, or the platform's leave, may make: tried one by one when all else is there.
_TRIED = frozenset({"EVENT TRIGGER", "PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA"})
_TRIED_ON_MANAGED = frozenset({"TRIGGER", "POLICY"})
_ABOUT_SCHEMA = re.compile(r'SCHEMA (?:"(.+)"|(.+))')
_OWN = "the platform's own"

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
        if _MIGRATIONS.fullmatch(relation.name):
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


@dataclass
class OntoPlatform:
    """Decides, entry by entry, what goes into a fresh project; remembers what must be tried later, or was left.

    While `only` is set, the rows of those tables and nothing else.
    """

    platform: Platform
    there: Project
    manifest: Manifest
    around: Around
    left: list[LeftOut] = field(default_factory=list)
    tried_later: set[int] = field(default_factory=set)
    reasons: dict[int, str] = field(default_factory=dict)
    managed: set[str] = field(default_factory=set)
    only: frozenset[tuple[str, str]] | None = None

    def __post_init__(self) -> None:
        self.managed = set(self.platform.schemas)
        lacking = {each.requirement.name for each in self.around.lacking}
        self._made = {
            needed.oid
            for requirement in self.manifest.requirements
            if requirement.kind == "extension" and requirement.name not in lacking
            for needed in requirement.dependants
            if needed.class_oid == PG_CLASS
        }

    def keep(self, entry: Entry) -> bool:
        if self.only is not None:
            return entry.kind == "TABLE DATA" and (entry.schema, entry.name) in self.only
        schema = _schema_of(entry)
        if entry.kind == "SCHEMA" and entry.owner in self.there.acts_as and entry.name not in self.there.schemas:
            self.managed.discard(entry.name)  # the project's own, by a name that the platform uses too
        if not self.around.keep(entry):
            return False
        if entry.kind == "EXTENSION":
            return ("EXTENSION", "-", entry.name) not in self.there.objects
        if entry.kind in ("COMMENT", "SECURITY LABEL") and entry.name.startswith(("EXTENSION ", "EVENT TRIGGER ")):
            return False
        if entry.kind in _TRIED or (schema in self.managed and entry.kind in _TRIED_ON_MANAGED):
            return self._try_later(entry)
        if entry.kind == "DEFAULT ACL" and entry.owner not in self.there.acts_as:
            return False
        if schema not in self.managed:
            return True
        return entry.kind in _ROWS and self._takes_rows(entry)

    def _try_later(self, entry: Entry) -> bool:
        there = (entry.kind, "-" if entry.kind in ("EVENT TRIGGER", "PUBLICATION") else entry.schema, entry.name)
        ours = entry.kind in _TRIED_ON_MANAGED or entry.owner in self.there.acts_as
        if ours and there not in self.there.objects:
            self.tried_later.add(entry.number)
        return False

    def _takes_rows(self, entry: Entry) -> bool:
        if entry.kind == "TABLE DATA" and any((entry.schema, entry.name) in early for early in self.there.first):
            return False  # they are there by now
        what = "rows" if entry.kind == "TABLE DATA" else "sequence"
        may = self.there.relations.get((entry.schema, entry.name))
        if _MIGRATIONS.fullmatch(entry.name):
            why = f"{_OWN}: the new project's are true of it"
        elif may is None and entry.oid not in self._made:
            why = "the new project has no such table" if what == "rows" else "the new project has no such sequence"
        elif may is False:
            why = "the role may not write it"
        else:
            return True
        self.left.append(LeftOut(kind=what, identity=f"{entry.schema}.{entry.name}", reason=why))
        self.reasons[entry.oid] = why
        return False

    def try_rest(self, connection: Connection, ddl: Collection[tuple[Entry, str]]) -> None:
        """Make triggers and policies on the platform's tables, publications, event triggers; note what is refused."""
        for entry, text in ddl:
            if entry.number not in self.tried_later:
                continue
            try:
                with connection.transaction():
                    connection.execute(text.encode())
            except psycopg.Error as error:
                why = error.diag.message_primary or type(error).__name__
                self.left.append(LeftOut(kind=entry.kind.lower(), identity=label(entry), reason=why))

    def uncompared(self) -> dict[str, str]:
        """Tables and sequences whose rows were left, by identity."""
        found = {
            table.identity: self.reasons[oid]
            for table in self.manifest.tables
            for oid in (table.oid, *table.parts)
            if oid in self.reasons
        }
        left = {each.identity: each.reason for each in self.left if each.kind == "sequence"}
        names = {sequence.name: sequence.name.replace('"', "") for sequence in self.manifest.sequences}
        return found | {f"sequence {name}": left[plain] for name, plain in names.items() if plain in left}

    def ours(self, relation: Relation) -> bool:
        """Whether the backup answers for a relation: the project's own, and those of the platform that it speaks of."""
        spoken_of = {table.identity for table in self.manifest.tables}
        spoken_of |= {sequence.name for sequence in self.manifest.sequences}
        return relation.schema not in self.managed or relation.identity in spoken_of


def _in_order(
    references: Collection[tuple[tuple[str, str], tuple[str, str]]], may_write: Mapping[tuple[str, str], bool]
) -> list[frozenset[tuple[str, str]]]:
    """The writable tables that others refer to, each set before those that refer to it; what is in a circle is left."""
    left = {table for pair in references for table in pair}
    levels = []
    while ready := {table for table in left if not any(a == table and b in left for a, b in references)}:
        left -= ready
        levels.append(frozenset(t for t in ready if may_write.get(t) and not _MIGRATIONS.fullmatch(t[1])))
    # The last set is loaded with everything else: nobody waits for it.
    return levels[:-1]


def _schema_of(entry: Entry) -> str:
    if entry.kind == "SCHEMA":
        return entry.name
    if entry.schema not in ("-", ""):
        return entry.schema
    about = _ABOUT_SCHEMA.fullmatch(entry.name) if entry.kind in ("ACL", "COMMENT", "SECURITY LABEL") else None
    return (about[1] or about[2]) if about else entry.schema


def _may_replicate(connection: Connection) -> bool:
    """Whether this role may switch triggers off for its session: no superuser may have been given the right."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("set local session_replication_role = replica")
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
