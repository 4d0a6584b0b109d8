"""A restore that loses something, or overwrites something, is found out by the one who can least afford it."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import BackupError, IntegrityError, NotFound, RestoreFailed, TargetRefused
from desbuquei_backups.core.manifest import Requirement
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.destination import destination
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.restore import Restored, Wanted, restore
from desbuquei_backups.operations.restore_tables import restore_tables
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.catalog import key_of, manifest_path

WANTED = Wanted(without_tablespaces=True)
Restore = Callable[..., Restored]


def archived(site: Site, slot):
    take_dump(site, slot)
    seal(site, slot)
    return archive(site, slot).manifest


def into(site: Site, slot, url: str, **wanted: object) -> Restored:
    return restore(site, slot.backup_id, destination(url), replace(WANTED, **wanted))


def refused(site: Site, slot, url: str, kind: type[BackupError] = TargetRefused, **wanted: object) -> BackupError:
    with pytest.raises(kind) as caught:
        into(site, slot, url, **wanted)
    assert caught.value.backup_id == slot.backup_id
    return caught.value


def execute(url: str, *statements: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            found = connection.execute(statement)
        return found.fetchall() if found.description else []


def names(scratch: psycopg.Connection, catalog: str, column: str) -> set[str]:
    return {name for (name,) in scratch.execute(f"select {column}::text from {catalog}").fetchall()}


def left_over(scratch: psycopg.Connection) -> set[str]:
    return {name for name in names(scratch, "pg_database", "datname") if name.startswith("restoring_")}


def test_every_row_is_back_in_a_new_database(sample_site, sample_url, slot, target, database_name):
    execute(sample_url, f"alter database {database_name} owner to desbuquei_app")
    manifest = archived(sample_site, slot)
    done = into(sample_site, slot, target)
    assert done.verdict is Verdict.MATCHES
    assert len(done.row_counts) == len(manifest.tables) > 30
    assert not done.left
    owner = execute(target, "select pg_get_userbyid(datdba) from pg_database where datname = current_database()")
    assert owner == [("desbuquei_app",)]


def test_nothing_but_the_bucket_is_needed(sample_site, slot, target, make_site, tmp_path):
    archived(sample_site, slot)
    elsewhere = make_site(None, urls={S3_URL: sample_site.settings.s3_url}, folder=tmp_path / "no-folder")
    assert into(elsewhere, slot, target).verdict is Verdict.MATCHES
    assert not (tmp_path / "no-folder").exists()


def test_the_disk_alone_is_enough(site, source, slot, target, make_site):
    source.execute("create table pedidos as select i from generate_series(1, 10) i")
    take_dump(site, slot)
    seal(site, slot)
    alone = make_site(None, urls={S3_URL: None})
    into(alone, slot, target, place=Place.DISK)
    assert execute(target, "select count(*) from pedidos") == [(10,)]


def test_an_altered_file_on_disk_is_found_before_anything_is_made(site, slot, target, scratch):
    take_dump(site, slot)
    path = site.settings.folder / seal(site, slot).manifest.dump.name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    error = refused(site, slot, target, IntegrityError, place=Place.DISK)
    assert "--from s3" in error.remedy
    assert destination(target).name not in names(scratch, "pg_database", "datname")


def test_what_s3_holds_of_another_backup_leaves_no_database_behind(site, source, slot, target, scratch, bucket):
    source.execute("create table pedidos as select i from generate_series(1, 10) i")
    manifest = archived(site, slot)
    key = key_of(manifest.dump.name)
    whole = b"".join(bucket.read(key))
    bucket.delete(key)
    bucket.put_bytes(key, whole[: len(whole) // 2], tags={})
    error = refused(site, slot, target, IntegrityError)
    assert "was not made" in error.remedy
    assert destination(target).name not in names(scratch, "pg_database", "datname")
    assert not left_over(scratch)


def test_a_backup_that_is_not_archived_is_not_half_found(site, slot, target):
    assert "--from disk" in refused(site, slot, target, NotFound).remedy


def test_the_source_itself_is_refused_whatever_is_said(site, source, source_url, slot, database_name):
    source.execute("create table pedidos as select 1 as id")
    archived(site, slot)
    error = refused(site, slot, source_url, overwrite=database_name)
    assert "the database that was backed up" in error.what
    assert source.execute("select * from pedidos").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("create table cliente (id int)", "public.cliente"),
        ("create function f() returns int language sql return 1", "function public.f()"),
        ("create type situacao as enum ('aberta')", "type public.situacao"),
        ("create schema vendas", "schema vendas"),
        ("select lo_create(77)", "large object 77"),
    ],
)
def test_a_database_that_holds_anything_is_not_filled(site, slot, target, scratch, made, named):
    archived(site, slot)
    scratch.execute(sql.SQL("create database {}").format(sql.Identifier(destination(target).name)))
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("set search_path = public")
        connection.execute(made)
    assert named.removeprefix("function public.").removeprefix("type public.") in refused(site, slot, target).what


def test_an_empty_database_is_filled_where_it_is(site, source, slot, target, scratch):
    source.execute("create table pedidos as select 1 as id")
    archived(site, slot)
    scratch.execute(sql.SQL("create database {}").format(sql.Identifier(destination(target).name)))
    assert into(site, slot, target).verdict is Verdict.MATCHES


def test_overwriting_wants_the_name_of_what_is_lost(site, source, slot, target):
    source.execute("create table pedidos as select 1 as id")
    archived(site, slot)
    into(site, slot, target)
    execute(target, "create table novidade (id int)")
    refused(site, slot, target, overwrite="another")
    assert execute(target, "select to_regclass('novidade') is not null") == [(True,)]
    into(site, slot, target, overwrite=destination(target).name)
    assert execute(target, "select to_regclass('novidade') is not null") == [(False,)]


def test_what_was_to_be_overwritten_survives_a_restore_that_fails(site, source, slot, target, scratch):
    source.execute("create table pedidos as select 1 as id")
    manifest = archived(site, slot)
    into(site, slot, target)
    execute(target, "create table novidade as select 7 as id")
    site.bucket.delete(key_of(manifest.dump.name))
    error = refused(site, slot, target, BackupError, overwrite=destination(target).name)
    assert "is as it was" in error.remedy
    assert execute(target, "select id from novidade") == [(7,)]
    assert not left_over(scratch)


def test_a_missing_tablespace_is_named_before_anything_is_made(sample_site, slot, target, scratch):
    archived(sample_site, slot)
    error = refused(sample_site, slot, target, without_tablespaces=False)
    assert "desbuquei_frio" in error.what
    assert "--no-tablespaces" in error.remedy
    assert not left_over(scratch)


def lacking_an_extension(site: Site, slot) -> None:
    """A backup whose manifest asks for an extension that no server has."""
    take_dump(site, slot)
    sealed = seal(site, slot).manifest
    wanted = [*sealed.requirements, Requirement(kind="extension", name="no_such_extension")]
    path = manifest_path(site.settings.folder, slot.backup_id)
    path.write_bytes(sealed.model_copy(update={"requirements": wanted}).to_bytes())
    archive(site, slot)


def test_what_the_server_lacks_is_listed_and_may_be_restored_around(site, source, slot, target):
    source.execute("create table pedidos as select 1 as id")
    lacking_an_extension(site, slot)
    error = refused(site, slot, target)
    assert "no_such_extension" in error.what
    assert "--around-missing" in error.remedy
    into(site, slot, target, around_missing=True)
    assert execute(target, "select id from pedidos") == [(1,)]


def test_roles_that_are_there_are_never_altered_and_missing_ones_are_as_they_were(site, source, slot, target, scratch):
    names_ = [f"r_{uuid.uuid4().hex[:8]}" for _ in range(2)]
    there, missing = names_
    try:
        source.execute(f"create role {there} createdb")
        source.execute(f"create role {missing} login connection limit 3 valid until '2031-06-05 00:00Z'")
        source.execute(f"alter role {missing} set statement_timeout = '7s'")
        source.execute(f"grant {there} to {missing}")
        source.execute(f"alter database {source.info.dbname} set datestyle = 'SQL, DMY'")
        archived(site, slot)
        scratch.execute(f"create role {there} nologin")
        done = into(site, slot, target)
        assert missing in done.roles
        assert there not in done.roles
        row = scratch.execute(
            "select rolcanlogin, rolconnlimit, rolvaliduntil = '2031-06-05 00:00Z', pg_has_role(oid, %s, 'member') "
            "from pg_roles where rolname = %s",
            (there, missing),
        ).fetchone()
        assert row == (True, 3, True, True)
        assert scratch.execute("select rolcreatedb from pg_roles where rolname = %s", (there,)).fetchone() == (False,)
    finally:
        for connection in (source, scratch):
            for name in reversed(names_):
                connection.execute(f"drop role if exists {name}")


def test_one_lost_table_comes_back_and_no_other_is_touched(site, source, slot, target):
    source.execute(
        """create schema "Relatórios; 2026"; create table "Relatórios; 2026"."d'água" (id serial primary key, t text);
        insert into "Relatórios; 2026"."d'água" (t) select 'x' from generate_series(1, 5);
        create table outra as select 1 as id;
        create table medidas (dia date) partition by range (dia);
        create table medidas_2026 partition of medidas for values from ('2026-01-01') to ('2027-01-01');
        insert into medidas values ('2026-02-02')"""
    )
    archived(site, slot)
    into(site, slot, target)
    execute(target, """drop table "Relatórios; 2026"."d'água", medidas""", "update outra set id = 2")
    wanted = ["Relatórios; 2026.d'água", "public.medidas"]
    done = restore_tables(site, slot.backup_id, wanted, destination(target), WANTED)
    assert done.verdict is Verdict.MATCHES
    assert len(done.row_counts) == 2
    assert execute(target, "select id from outra") == [(2,)]
    assert execute(target, """insert into "Relatórios; 2026"."d'água" (t) values ('y') returning id""") == [(6,)]


def test_a_table_that_is_there_is_not_replaced(site, source, slot, target):
    source.execute("create table pedidos as select 1 as id")
    archived(site, slot)
    into(site, slot, target)
    execute(target, "update pedidos set id = 2")
    with pytest.raises(TargetRefused, match=r"public\.pedidos already"):
        restore_tables(site, slot.backup_id, ["public.pedidos"], destination(target), WANTED)
    assert execute(target, "select id from pedidos") == [(2,)]


def test_a_table_that_cannot_be_made_leaves_the_target_as_it_was(site, source, slot, target, scratch):
    source.execute("create type cor as enum ('azul'); create table a (id int); create table b (c cor)")
    archived(site, slot)
    scratch.execute(sql.SQL("create database {}").format(sql.Identifier(destination(target).name)))
    with pytest.raises(RestoreFailed, match="cor") as caught:
        restore_tables(site, slot.backup_id, ["public.a", "public.b"], destination(target), WANTED)
    assert "as it was" in caught.value.remedy
    assert execute(target, "select to_regclass('a')") == [(None,)]


def test_a_table_that_the_backup_has_not_is_said_with_those_like_it(site, source, slot, target, scratch):
    source.execute("create table pedidos (id int)")
    archived(site, slot)
    with pytest.raises(NotFound, match=r"public\.pedidos"):
        restore_tables(site, slot.backup_id, ["public.pedido"], destination(target), WANTED)
