"""What a server must have to hold a backup, and what cannot be restored where it has not."""

from collections.abc import Sequence
from typing import LiteralString

from desbuquei_backups.core.manifest import DatabaseObject, Requirement
from desbuquei_backups.postgres.connection import Connection, explained

# Who needs whom. A default, a check and a view's rule stand inside the statement of their table, domain or view:
# without what they need, the whole statement fails.
_NEEDED_BY = """
with recursive edge(classid, objid, refclassid, refobjid) as (
    select classid, objid, refclassid, refobjid from pg_depend where deptype in ('n', 'a', 'e', 'i', 'P', 'S', 'x')
    union all select 'pg_class'::regclass, adrelid, 'pg_attrdef'::regclass, oid from pg_attrdef
    union all select 'pg_class'::regclass, conrelid, 'pg_constraint'::regclass, oid
                from pg_constraint where contype = 'c' and conrelid <> 0
    union all select 'pg_type'::regclass, contypid, 'pg_constraint'::regclass, oid
                from pg_constraint where contypid <> 0
    union all select 'pg_class'::regclass, ev_class, 'pg_rewrite'::regclass, oid
                from pg_rewrite where rulename = '_RETURN'
), needed_by(classid, objid) as (
    select s.classid, s.objid from unnest(%(classes)s::oid[], %(objects)s::oid[]) as s(classid, objid)
    union
    select e.classid, e.objid from needed_by n join edge e on e.refclassid = n.classid and e.refobjid = n.objid
)
select n.classid, n.objid, i.type, i.identity
  from needed_by n, lateral pg_identify_object(n.classid, n.objid, 0) i
 where (n.classid, n.objid) not in (select * from unnest(%(classes)s::oid[], %(objects)s::oid[]))
   and i.identity is not null and i.type not in ('toast table', 'toast table column',
                                               'operator of access method', 'function of access method')
   and coalesce(i.schema, '') not like 'pg\\_toast%%'
   and not exists (
       select from pg_depend m where m.deptype = 'e' and m.classid = n.classid and m.objid = n.objid
          and not exists (select from pg_extension x where x.oid = m.refobjid
                             and m.classid = 'pg_class'::regclass and m.objid = any (x.extconfig)))
 order by i.type collate "C", i.identity collate "C"
"""

# Tables whose rows a server with another locale may refuse: order decides where a row goes, or whether it may stay.
_LOCALE_SENSITIVE = """
select 'pg_class'::regclass::oid, p.partrelid from pg_partitioned_table p
 where p.partstrat = 'r' and exists (select from unnest(p.partcollation) c where c <> 0)
union
select 'pg_class'::regclass::oid, k.conrelid from pg_constraint k
  join pg_attribute a on a.attrelid = k.conrelid and a.attnum = any (k.conkey)
 where k.contype = 'c' and a.attcollation <> 0 and k.conrelid >= 16384
union
select 'pg_class'::regclass::oid, a.attrelid from pg_attribute a join pg_class c on c.oid = a.attrelid
 where a.atttypid = 'money'::regtype and c.relkind in ('r', 'p') and a.attrelid >= 16384
"""


def requirements(connection: Connection, left_out: Sequence[tuple[int, str]]) -> list[Requirement]:
    """Extensions, ICU and operating-system collations and the locale, each with its dependants.

    `left_out` are relations (OID, identity) that the dump does not hold: what depends on them cannot be restored
    anywhere. PL/pgSQL is everywhere and is not listed.
    """
    with explained("finding what a restore needs"):
        found = [
            Requirement(
                kind="extension", name=name, version=version, dependants=_needed_by(connection, "pg_extension", oid)
            )
            for oid, name, version in connection.execute(
                "select oid, extname::text, extversion from pg_extension where extname <> 'plpgsql' order by 2"
            ).fetchall()
        ]
        found += [
            Requirement(kind="collation", name=name, definition=definition, dependants=dependants)
            for oid, name, definition in connection.execute(_collations(connection)).fetchall()
            if (dependants := _needed_by(connection, "pg_collation", oid))
        ]
        found += [
            Requirement(kind="relation", name=identity, dependants=dependants)
            for oid, identity in left_out
            if (dependants := _needed_by(connection, "pg_class", oid))
        ]
        sensitive = connection.execute(_LOCALE_SENSITIVE).fetchall()
        found.append(
            Requirement(
                kind="locale", name="the database's locale", dependants=_closure(connection, sensitive, own=True)
            )
        )
    return found


def _collations(connection: Connection) -> LiteralString:
    """The query for collations that some object depends on: OID, quoted name, and the options that create its like."""
    version = connection.info.server_version
    locale: LiteralString = (
        "colllocale" if version >= 170000 else "colliculocale" if version >= 150000 else "collcollate"
    )
    return (
        "select c.oid, quote_ident(nspname) || '.' || quote_ident(collname), "  # noqa: S608 - the column is one of three
        "case collprovider when 'i' then format('provider = icu, deterministic = %L, locale = %L', "
        "collisdeterministic, " + locale + ") "
        "else format('provider = libc, lc_collate = %L, lc_ctype = %L', collcollate, collctype) end "
        "from pg_collation c join pg_namespace n on n.oid = c.collnamespace "
        "where collprovider in ('i', 'c') and collname not in ('C', 'POSIX') and exists (select from pg_depend "
        "where refclassid = 'pg_collation'::regclass and refobjid = c.oid and deptype = 'n') order by 2"
    )


def _needed_by(connection: Connection, catalog: str, oid: int) -> list[DatabaseObject]:
    row = connection.execute("select %s::regclass::oid::bigint", (f"pg_catalog.{catalog}",)).fetchone()
    assert row is not None
    return _closure(connection, [(row[0], oid)], own=False)


def _closure(connection: Connection, seeds: Sequence[tuple[int, ...]], *, own: bool) -> list[DatabaseObject]:
    if not seeds:
        return []
    classes, objects = [seed[0] for seed in seeds], [seed[1] for seed in seeds]
    rows = connection.execute(_NEEDED_BY, {"classes": classes, "objects": objects}).fetchall()
    if own:
        rows += connection.execute(
            "select s.classid, s.objid, i.type, i.identity from unnest(%s::oid[], %s::oid[]) s(classid, objid), "
            "lateral pg_identify_object(s.classid, s.objid, 0) i",
            (classes, objects),
        ).fetchall()
    return [DatabaseObject(class_oid=c, oid=o, kind=kind, identity=identity) for c, o, kind, identity in rows]
