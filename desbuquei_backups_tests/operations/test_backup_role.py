"""docs/sql/backup_role.sql: with too little the first night finds it out, with too much whoever takes the host."""

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from desbuquei_backups.operations import backup_logs
from desbuquei_backups.operations.backup_logs_table import prepare
from desbuquei_backups.operations.doctor import Outcome, Precondition
from desbuquei_backups.operations.doctor_source import source
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import physical, wal
from desbuquei_backups_tests.backup_role import backup_role, run_script
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.operations.story import taken
from desbuquei_backups_tests.operations.wal import SLOT, drained, missing, said, there, write
from desbuquei_backups_tests.urls import with_credentials

_OURS = ("recovery_heartbeats", "backup_logs")
FORBIDDEN = (
    "insert into loja.clientes (nome) values ('x')",
    "update loja.clientes set nome = ''",
    "delete from loja.clientes",
    "truncate loja.clientes",
    "drop table loja.clientes",
    "select lo_put(oid, 0, 'x') from pg_largeobject_metadata",
    "create table public.nova (a int)",
    "create schema nova",
    "create database nova",
    "create role nova",
    "alter role backup superuser",
    "alter system set archive_mode = off",
    "select pg_read_file('PG_VERSION')",
    "copy (select 1) to program 'true'",
)
_COLUMNS = """
select attname, format_type(atttypid, atttypmod), attnotnull, pg_get_constraintdef(i.oid), c.relrowsecurity
  from pg_attribute a join pg_class c on c.oid = attrelid
  left join pg_constraint i on i.conrelid = c.oid and i.contype = 'p'
 where c.oid = to_regclass(%s) and attnum > 0 order by attnum
"""


@pytest.fixture
def full(own_server: Cluster) -> Cluster:
    """A server whose database has what a role can be kept from: schemas, policies, large objects, other databases."""
    own_server.settings = {"max_slot_wal_keep_size": "1GB"}
    own_server.restart()
    with own_server.connect() as connection:
        connection.execute(
            """
            create schema loja; revoke all on schema public from public;
            create table loja.clientes (id int generated always as identity primary key, nome text);
            alter table loja.clientes enable row level security;
            alter table loja.clientes force row level security;
            insert into loja.clientes (nome) select 'cliente ' || i from generate_series(1, 20) i;
            select lo_from_bytea(0, 'contrato');
            """
        )
        connection.execute("create database fechado")
        connection.execute("revoke all on database fechado, postgres from public")
    return own_server


def found_wanting(site: Site) -> dict[str, Precondition]:
    """What doctor finds fault with in the database, but for the test's own lack of TLS."""
    return {each.name: each for each in source(site) if each.outcome is not Outcome.OK and each.name != "TLS"}


def test_it_can_do_all_that_a_backup_needs(full, make_site, slot) -> None:
    site = make_site(backup_role(full, role="cópia de segurança"))
    assert found_wanting(site) == {}
    manifest = taken(site, slot)
    assert {table.identity: table.rows for table in manifest.tables}["loja.clientes"] == 20
    assert manifest.base is not None
    assert manifest.server.settings.keys() >= {"shared_preload_libraries"}
    write(full, 2)
    done = drained(site)
    assert done.point.heartbeat
    assert missing(there(site)) == []
    assert said(site, untrue_only=True) == {}
    assert backup_logs.catch_up(site) is None
    with full.connect() as connection:
        assert connection.execute("select backup_id from backup_logs").fetchall() == [(slot.backup_id,)]
        assert connection.execute("select name from recovery_heartbeats").fetchall() == [(done.point.name,)]
        assert connection.execute("select slot_name from pg_replication_slots").fetchall() == [(SLOT,)]


def allowed(connection: psycopg.Connection, statement: str) -> bool:
    try:
        connection.execute(statement)
    except InsufficientPrivilege:
        return False
    return True


def test_it_can_change_nothing_but_its_own_tables(full) -> None:
    with psycopg.connect(backup_role(full), autocommit=True) as connection:
        assert [each for each in FORBIDDEN if allowed(connection, each)] == []


def test_the_configuration_is_read_only_where_that_is_asked_for(full) -> None:
    outside = full.folder / f"{full.name}-hba.conf"
    outside.write_text("host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n")
    outside.chmod(0o644)
    full.settings = {**full.settings, "hba_file": str(outside)}
    full.restart()
    run_script(full)
    with psycopg.connect(with_credentials(full.url, "backup", "none"), autocommit=True) as connection:
        assert physical.configuration(connection) == {}
        run_script(full, configuration="yes")
        assert physical.configuration(connection).keys() == {"postgresql.conf", outside.name, "pg_ident.conf"}
    outside.unlink()


def test_run_again_it_changes_nothing_and_knows_new_large_objects(full, make_site, slot) -> None:
    url = backup_role(full)
    drained(make_site(url))
    with full.connect() as connection:
        connection.execute("select lo_from_bytea(0, 'aditivo')")
        assert "large objects may not be read" in found_wanting(make_site(url))["privileges"].said
        run_script(full)
        assert found_wanting(make_site(url)) == {}
        assert connection.execute("select count(*) from recovery_heartbeats").fetchone() == (1,)


def test_its_tables_are_those_that_the_program_makes(own_server) -> None:
    def columns(connection: psycopg.Connection) -> list[object]:
        return [connection.execute(_COLUMNS, (f"public.{name}",)).fetchall() for name in _OURS]

    with own_server.connect() as connection:
        with connection.transaction():
            prepare(connection)
            assert wal.beat(connection, "hourly")
        made = columns(connection)
        connection.execute("drop table recovery_heartbeats, backup_logs")
        run_script(own_server)
        assert columns(connection) == made
        assert all(made)
