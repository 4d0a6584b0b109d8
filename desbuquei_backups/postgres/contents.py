"""What a database holds, as pg_dump carries it: tables and their exact counts and fingerprints, in one snapshot."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from desbuquei_backups.core.manifest import LargeObjectFacts, SequenceFacts, TableFacts
from desbuquei_backups.postgres.connection import Connection, explained

# Relations whose rows pg_dump writes. A member of an extension is carried only as far as its extconfig says.
PG_CLASS = 1259  # the OID of the catalog of relations

_RELATIONS = """
select c.oid, n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind::text,
       c.relispartition,
       coalesce((select r.oid from pg_partition_ancestors(c.oid) with ordinality p(relid, depth)
                 join pg_class r on r.oid = p.relid order by depth desc limit 1), c.oid) as root,
       has_schema_privilege(n.oid, 'USAGE')
         and case c.relkind when 'S' then has_sequence_privilege(c.oid, 'SELECT')
                            else has_table_privilege(c.oid, 'SELECT') end as readable,
       c.relkind in ('r', 'p') and row_security_active(c.oid) as hides_rows,
       config.condition,
       (select coalesce(array_agg(a.attname::text order by a.attname::text collate "C"), '{}')
          from pg_attribute a
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_depend member on member.classid = 'pg_class'::regclass and member.objid = c.oid
       and member.refclassid = 'pg_extension'::regclass and member.deptype = 'e'
  left join lateral (
       select condition from pg_extension e, unnest(e.extconfig, e.extcondition) as u(relid, condition)
        where e.oid = member.refobjid and u.relid = c.oid) config on true
 where c.relkind in ('r', 'p', 'f', 'S')
   and c.relpersistence <> 't'
   and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'
   and (member.objid is null or config.condition is not null)
 order by n.nspname collate "C", c.relname collate "C"
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, partitioned table (`p`), foreign table (`f`) or sequence (`S`) that pg_dump would carry."""

    oid: int
    schema: str
    name: str
    identity: str
    kind: str
    is_partition: bool
    root: int
    readable: bool
    hides_rows: bool
    condition: LiteralString | None
    columns: Sequence[str]

    @property
    def quoted(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


def relations(connection: Connection) -> list[Relation]:
    """All relations with rows or state of their own that a dump of this database carries, by schema and name."""
    with explained("listing the tables"):
        rows = connection.execute(_RELATIONS).fetchall()
    return [Relation(*row) for row in rows]


def lock(connection: Connection, tables: Iterable[Relation], *, timeout_ms: int) -> None:
    """Take ACCESS SHARE on each table, before any snapshot: TRUNCATE and rewrites are not MVCC-safe.

    A table that was dropped meanwhile is an UndefinedTable of psycopg, for the caller to list again.
    """
    names = [table.quoted for table in tables if table.kind in "rp"]
    connection.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(timeout_ms)))
    for start in range(0, len(names), 500):
        statement = sql.SQL("lock table only {} in access share mode").format(
            sql.SQL(", only ").join(names[start : start + 500])
        )
        connection.execute(statement)
    connection.execute("set local lock_timeout = 0")


def compared(carried: Sequence[Relation]) -> list[Relation]:
    """The tables to count: partitioned roots instead of their partitions, everything else by itself.

    A root with a foreign or unreadable partition cannot be read as a whole: its own partitions stand for it.
    """
    whole = {r.oid for r in carried if r.kind == "p" and not r.is_partition}
    whole -= {r.root for r in carried if r.is_partition and (r.kind == "f" or not r.readable)}
    return [
        relation
        for relation in carried
        if relation.readable and ((relation.kind == "r" and relation.root not in whole) or relation.oid in whole)
    ]


def measure(
    connection: Connection,
    tables: Sequence[Relation],
    *,
    parts: Mapping[int, Sequence[int]],
    done: Callable[[Relation], None] = lambda _: None,
) -> list[TableFacts]:
    """Exact row counts and content fingerprints, in the snapshot and with the pinned session of `connection`."""
    facts = []
    for table in tables:
        row_text = sql.SQL("row({})::text").format(
            sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column)) for column in table.columns)
        )
        query = sql.SQL(
            'select count(*), coalesce(sum(hashtextextended(({row}) collate "C", 0)), 0)::text '
            "from {only}{name} as t {where}"
        ).format(
            row=row_text,
            only=sql.SQL("" if table.kind == "p" else "only "),
            name=table.quoted,
            where=sql.SQL(table.condition or ""),
        )
        with explained(f"counting {table.identity}"):
            row = connection.execute(query).fetchone()
        assert row is not None
        facts.append(
            TableFacts(
                identity=table.identity, oid=table.oid, rows=row[0], fingerprint=row[1], parts=parts.get(table.oid, ())
            )
        )
        done(table)
    return facts


def sequences(connection: Connection, carried: Iterable[Relation]) -> list[SequenceFacts]:
    """The state of sequences, read now: sequences are not MVCC, so this is meant for a database nobody writes to."""
    facts = []
    for relation in carried:
        if relation.kind == "S":
            with explained(f"reading the sequence {relation.identity}"):
                row = connection.execute(
                    sql.SQL("select last_value, is_called, {}::regclass::text from {}").format(
                        sql.Literal(relation.quoted.as_string(connection)), relation.quoted
                    )
                ).fetchone()
            assert row is not None
            facts.append(SequenceFacts(name=row[2], last_value=row[0], is_called=row[1]))
    return facts


def large_objects(connection: Connection) -> LargeObjectFacts:
    """How many large objects there are, and one fingerprint of them all (content in pieces of 1 MiB, owner, grants)."""
    query = """
        select (select count(*) from pg_largeobject_metadata),
               coalesce(sum(hashtextextended(concat_ws(':', o.oid, o.about, piece,
                   md5(lo_get(o.oid, piece * 1048576, 1048576))), 0)), 0)::text
          from (select oid, about, lo_lseek64(fd, 0, 2) as size, lo_close(fd)
                  from (select oid, lo_open(oid, 262144) as fd,
                               concat_ws('|', pg_get_userbyid(lomowner), obj_description(oid, 'pg_largeobject'),
                                         (select string_agg(acl::text, ',' order by acl::text)
                                            from unnest(lomacl) acl)) as about
                          from pg_largeobject_metadata offset 0) opened
                offset 0) o,
               lateral generate_series(0, o.size / 1048576) as piece
    """
    with explained("reading the large objects"):
        row = connection.execute(query).fetchone()
    assert row is not None
    return LargeObjectFacts(count=row[0], fingerprint=row[1])


def unreadable_large_objects(connection: Connection) -> int:
    """How many large objects this role may not read; pg_read_all_data does not reach them."""
    query = """
        select count(*) from pg_largeobject_metadata m
         where not (select rolsuper from pg_roles where rolname = current_user)
           and not exists (
               select from aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) a
                where a.privilege_type = 'SELECT'
                  and (a.grantee = 0 or pg_has_role(current_user, a.grantee, 'USAGE')))
           and not pg_has_role(current_user, m.lomowner, 'USAGE')
    """
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


def parts_of(carried: Iterable[Relation], counted: Iterable[Relation]) -> dict[int, list[int]]:
    """For each counted partitioned table: the OIDs of the partitions below it that have rows of their own."""
    whole: dict[int, list[int]] = {table.oid: [] for table in counted if table.kind == "p"}
    for relation in carried:
        if relation.kind == "r" and relation.root in whole:
            whole[relation.root].append(relation.oid)
    return whole
