"""A fingerprint that overlooks a change calls a damaged restore proven."""

from collections.abc import Iterator

import psycopg
import pytest

from desbuquei_backups.core.errors import SourceUnreachable
from desbuquei_backups.core.manifest import LargeObjectFacts, TableFacts
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import contents


@pytest.fixture
def reader(source_url: str) -> Iterator[psycopg.Connection]:
    """A pinned session, as a backup has it."""
    with pg.connect(source_url, setting="X") as connection:
        pg.pin(connection)
        yield connection


def measured(reader: psycopg.Connection) -> dict[str, TableFacts]:
    carried = contents.relations(reader)
    counted = contents.compared(carried)
    facts = contents.measure(reader, counted, parts=contents.parts_of(carried, counted))
    return {table.identity: table for table in facts}


def fingerprint(source: psycopg.Connection, reader: psycopg.Connection, rows: str) -> str | None:
    """The fingerprint of a table of two columns that holds `rows`."""
    source.execute("drop table if exists public.t; create table public.t (a text, b text)")
    if rows:
        source.execute(f"insert into public.t values {rows}")
    return measured(reader)["public.t"].fingerprint


def test_an_empty_table_is_zero(source: psycopg.Connection, reader: psycopg.Connection) -> None:
    assert fingerprint(source, reader, "") == "0"
    assert measured(reader)["public.t"].rows == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("('1', '2')", "('2', '1')"),
        ("('1', '2')", "('1', '2'), ('1', '2')"),
        ("('1', NULL)", "('1', '')"),
        ("('1', NULL)", "(NULL, '1')"),
        ("('1,2', '3')", "('1', '2,3')"),
        ("('1', '2'), ('3', '4')", "('1', '4'), ('3', '2')"),
        ("('a ', 'b')", "('a', 'b')"),
        ("('é', 'b')", "('e', 'b')"),
    ],
)
def test_a_change_changes_the_fingerprint(source, reader, one: str, other: str) -> None:
    assert fingerprint(source, reader, one) != fingerprint(source, reader, other)


def test_the_order_of_rows_does_not_matter_and_doubled_rows_do_not_cancel(source, reader) -> None:
    assert fingerprint(source, reader, "('1', 'a'), ('2', 'b')") == fingerprint(
        source, reader, "('2', 'b'), ('1', 'a')"
    )
    many = {fingerprint(source, reader, ", ".join(["('1', 'a')"] * number)) for number in range(5)}
    assert len(many) == 5


def test_the_order_of_columns_does_not_matter(source, reader) -> None:
    source.execute("create table public.t (a text, b text, gone int); alter table public.t drop column gone")
    source.execute("create table public.u (b text, a text)")
    source.execute("insert into public.t values ('1', '2'); insert into public.u values ('2', '1')")
    facts = measured(reader)
    assert facts["public.t"].fingerprint == facts["public.u"].fingerprint


def test_a_column_named_as_its_table_hides_no_other_column(source, reader) -> None:
    source.execute("create table public.t (t text, \"T\" text, x int); insert into public.t values ('a', 'b', 1)")
    before = measured(reader)["public.t"].fingerprint
    source.execute("update public.t set x = 2")
    assert measured(reader)["public.t"].fingerprint != before


def test_tables_without_columns_are_counted(source, reader) -> None:
    source.execute("create table public.bare (); insert into public.bare default values")
    source.execute("insert into public.bare default values; create table public.empty ()")
    facts = measured(reader)
    assert (facts["public.bare"].rows, facts["public.empty"].rows) == (2, 0)
    assert facts["public.bare"].fingerprint != "0"


def test_a_parent_does_not_count_its_childrens_rows(source, reader) -> None:
    source.execute("create table public.p (a int); create table public.c (b int) inherits (public.p)")
    source.execute("insert into public.p values (1); insert into public.c values (1, 2), (3, 4)")
    facts = measured(reader)
    assert (facts["public.p"].rows, facts["public.c"].rows) == (1, 2)


def test_a_partitioned_table_stands_for_its_partitions(source, reader) -> None:
    source.execute(
        "create table public.p (a int) partition by list (a);"
        "create table public.p1 partition of public.p for values in (1);"
        "create table public.p2 partition of public.p for values in (2) partition by list (a);"
        "create table public.p2a partition of public.p2 for values in (2);"
        "insert into public.p values (1), (2), (2)"
    )
    facts = measured(reader)
    assert set(facts) == {"public.p"}
    assert facts["public.p"].rows == 3
    oids = dict(reader.execute("select relname, oid::int from pg_class where relname in ('p1', 'p2a')").fetchall())
    assert sorted(facts["public.p"].parts) == sorted(oids.values())


def test_a_root_with_a_foreign_partition_is_counted_by_its_own_partitions(source, reader) -> None:
    source.execute(
        "create extension file_fdw; create server s foreign data wrapper file_fdw;"
        "create table public.p (a int) partition by list (a);"
        "create table public.p1 partition of public.p for values in (1);"
        "create foreign table public.p2 partition of public.p for values in (2) server s options (filename '/nowhere');"
        "insert into public.p1 values (1)"
    )
    assert {name: table.rows for name, table in measured(reader).items()} == {"public.p1": 1}


def test_generated_columns_are_made_again_not_compared(source, reader) -> None:
    source.execute(
        "create table public.g (a int, b int generated always as (a * 2) stored); insert into public.g values (1)"
    )
    relation = next(r for r in contents.relations(reader) if r.name == "g")
    assert relation.columns == ["a"]


def test_what_is_not_in_a_dump_is_not_counted(source, reader) -> None:
    source.execute(
        "create extension hstore; create materialized view public.m as select 1 as a; create view public.v as select 1;"
        "create unlogged table public.u (a int)"
    )
    source.execute("create temporary table nope (a int)")
    assert set(measured(reader)) == {"public.u"}


@pytest.mark.parametrize("name", ['a "b" c', "d'água", "x; drop table y", "ação 🗄", "T", "%s {} $$", "back\\slash"])
def test_odd_names_are_names(source, reader, name: str) -> None:
    quoted = psycopg.sql.Identifier(name)
    make = psycopg.sql.SQL("create schema {0}; create table {0}.{0} ({0} text); insert into {0}.{0} values ('x')")
    source.execute(make.format(quoted))
    (table,) = measured(reader).values()
    assert table.rows == 1
    assert table.identity == f"{quoted.as_string(source)}.{quoted.as_string(source)}" or name == "T"


def test_sequences_are_read_as_the_dump_sets_them(source, reader) -> None:
    source.execute("create sequence public.\"S; 1\"; create sequence public.used; select nextval('public.used')")
    read = {one.name: (one.last_value, one.is_called) for one in contents.sequences(reader, contents.relations(reader))}
    assert read == {'public."S; 1"': (1, False), "public.used": (1, True)}


def test_large_objects_are_read_to_the_last_byte(source, reader) -> None:
    none = contents.large_objects(reader)
    assert none == LargeObjectFacts(count=0, fingerprint="0")
    source.execute("select lo_from_bytea(700001, '\\x0102')")
    one = contents.large_objects(reader)
    assert one.count == 1
    source.execute("select lo_put(700001, 1, '\\x03')")
    changed = contents.large_objects(reader)
    # Sparse: two MiB of nothing, then a byte.
    source.execute("select lo_put(700001, 2097152, '\\x04')")
    sparse = contents.large_objects(reader)
    source.execute("select lo_put(700001, 2097152, '\\x05')")
    last = contents.large_objects(reader)
    source.execute("comment on large object 700001 is 'contrato'")
    commented = contents.large_objects(reader)
    source.execute("grant select on large object 700001 to public")
    granted = contents.large_objects(reader)
    seen = [none, one, changed, sparse, last, commented, granted]
    assert len({facts.fingerprint for facts in seen}) == len(seen)


def test_a_lock_that_is_not_granted_in_time_says_so(source_url: str, source, reader) -> None:
    source.execute("create table public.t ()")
    with psycopg.connect(source_url) as migration:
        migration.execute("lock table public.t in access exclusive mode")
        with (
            pytest.raises(SourceUnreachable, match="a lock was not granted"),
            pg.explained("taking the snapshot"),
            reader.transaction(),
        ):
            contents.lock(reader, contents.relations(reader), timeout_ms=50)


def test_more_tables_than_fit_one_statement_are_locked(source, reader) -> None:
    source.execute("do $$ begin for i in 1..620 loop execute format('create table public.t%s ()', i); end loop; end $$")
    with reader.transaction():
        contents.lock(reader, contents.relations(reader), timeout_ms=5000)
        row = reader.execute(
            "select count(*) from pg_locks where pid = pg_backend_pid() and mode = 'AccessShareLock' "
            "and relation in (select oid from pg_class where relnamespace = 'public'::regnamespace)"
        ).fetchone()
    assert row == (620,)
