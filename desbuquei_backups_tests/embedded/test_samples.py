"""The sample databases are the same each time, and as hard to read as the real ones."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from desbuquei_backups.embedded.servers import Server, servers
from psycopg import sql

from desbuquei_backups.embedded.samples import SUPABASE_UNREADABLE, load_plain, load_supabase

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


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Server, str]]:
    home: Path = tmp_path_factory.mktemp("samples")
    with servers(home, Server.SOURCE, Server.SUPABASE) as embedded:
        yield {each: embedded.postgres[each].url for each in (Server.SOURCE, Server.SUPABASE)}


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


def test_plain_sample_is_the_same_each_time(urls: dict[Server, str]) -> None:
    """Otherwise no two runs, and no two machines, compare the same thing."""
    loaded = []
    for name in ("amostra_1", "amostra_2"):
        with psycopg.connect(urls[Server.SOURCE], autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template template0 encoding 'UTF8'").format(sql.Identifier(name))
            )
        url = urlsplit(urls[Server.SOURCE])._replace(path=f"/{name}").geturl()
        load_plain(url, rows=300)
        loaded.append(fingerprints(url))
    first, second = loaded
    assert first == second
    assert len(first) > 40
    assert first["public.sem_colunas"] == (3, first["public.sem_colunas"][1])  # type: ignore[index]


def test_supabase_sample_hides_what_the_platform_hides(urls: dict[Server, str]) -> None:
    """Otherwise a backup that needs more than a project's own role would pass here and fail there."""
    url = load_supabase(urls[Server.SUPABASE], postgres_password="not: a/secret@", rows=200)
    with psycopg.connect(url) as connection:
        assert [name for (name,) in connection.execute(_UNREADABLE)] == list(SUPABASE_UNREADABLE)
        superuser, current = connection.execute(
            "select rolsuper, rolname::text from pg_roles where rolname = current_user"
        ).fetchone() or (None, None)
        assert (superuser, current) == (False, "postgres")
        assert connection.execute("show statement_timeout").fetchone() == ("2min",)
