"""The sample databases are the same each time, and as hard to read as the real ones."""

import psycopg
from psycopg import sql

from desbuquei_backups.embedded.samples import SUPABASE_UNREADABLE, load_plain
from desbuquei_backups_tests.conftest import SAMPLE_ROWS, Endpoints
from desbuquei_backups_tests.urls import with_database

_PINNED = (
    "TimeZone=UTC", "DateStyle=ISO", "IntervalStyle=postgres", "extra_float_digits=3", "bytea_output=hex",
    "lc_monetary=C", "search_path=",
)  # fmt: skip
_ROOTS = """
select c.oid::regclass::text, c.relkind = 'r',
       array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
              order by attname collate "C")
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and not c.relispartition and nspname !~ '^pg_' and nspname <> 'information_schema'
"""
_UNREADABLE = """
select nspname || '.' || relname
  from pg_class c join pg_namespace n on n.oid = relnamespace
 where relkind in ('r', 'p', 'S', 'm') and nspname !~ '^pg_' and nspname <> 'information_schema'
   and not (has_schema_privilege(n.oid, 'USAGE')
            and case relkind when 'S' then has_sequence_privilege(c.oid, 'SELECT')
                             else has_table_privilege(c.oid, 'SELECT') end)
 order by 1
"""


def fingerprints(url: str) -> dict[str, object]:
    options = " ".join("-c " + setting for setting in _PINNED)
    with psycopg.connect(url, options=options) as connection:
        found: dict[str, object] = {}
        for table, plain, columns in connection.execute(_ROOTS).fetchall():
            row = sql.SQL("row({})").format(sql.SQL(", ").join(map(sql.Identifier, columns)))
            query = sql.SQL("select count(*), coalesce(sum(hashtextextended({}::text, 0)), 0) from {} {}").format(
                row, sql.SQL("only" if plain else ""), sql.SQL(table)
            )
            found[table] = connection.execute(query).fetchone()
        found["large objects"] = connection.execute(
            "select oid, md5(lo_get(oid)) from pg_largeobject_metadata order by oid"
        ).fetchall()
        return found


def test_plain_sample_is_the_same_each_time(source_url: str, endpoints: Endpoints, sample_template: str) -> None:
    """Otherwise no two runs, and no two machines, compare the same thing."""
    load_plain(source_url, rows=SAMPLE_ROWS)
    first, second = fingerprints(source_url), fingerprints(with_database(endpoints.source, sample_template))
    assert first == second
    assert len(first) > 40
    assert first["public.sem_colunas"] == (3, first["public.sem_colunas"][1])  # type: ignore[index]


def test_supabase_sample_hides_what_the_platform_hides(project_url: str) -> None:
    """Otherwise a backup that needs more than a project's own role would pass here and fail there."""
    with psycopg.connect(project_url) as connection:
        assert [name for (name,) in connection.execute(_UNREADABLE)] == list(SUPABASE_UNREADABLE)
        superuser, current = connection.execute(
            "select rolsuper, rolname::text from pg_roles where rolname = current_user"
        ).fetchone() or (None, None)
        assert (superuser, current) == (False, "postgres")
        assert connection.execute("show statement_timeout").fetchone() == ("2min",)
