"""A dump that is not of one instant, or not whole, is found out years later, when it is needed."""

import gzip
import json
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.errors import IntegrityError, SlotError, SourceUnreachable, ToolFailed
from desbuquei_backups.core.manifest import Role
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import verify
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.postgres import contents
from desbuquei_backups.storage import catalog
from desbuquei_backups_tests.operations.elsewhere import elsewhere, said
from desbuquei_backups_tests.operations.losses import Watching, children, flip, line_of, spoil

SHORT = timedelta(milliseconds=200)


def text_of(site, name: str) -> str:
    return gzip.decompress((site.settings.folder / name).read_bytes()).decode()


def counted(manifest) -> dict[str, int | None]:
    return {table.identity: table.rows for table in manifest.tables}


def test_the_whole_sample_is_dumped_counted_and_described(sample_site, slot) -> None:
    taken = take_dump(sample_site, slot)
    manifest = taken.manifest
    assert not taken.reused
    assert verify.faults_on_disk(sample_site.settings.folder, manifest) == []
    assert len(manifest.tables) > 30
    for table in manifest.tables:
        assert table.dumped_rows == table.rows, table.identity
        assert table.fingerprint is not None
    assert manifest.rows > 1000
    assert manifest.large_objects is not None
    assert manifest.large_objects.count > 0
    assert {requirement.name for requirement in manifest.requirements} >= {"hstore", "citext", "postgres_fdw"}
    assert manifest.server.tablespaces == ["desbuquei_frio"]
    assert {file.role for file in manifest.files} == {Role.DUMP, Role.GLOBALS, Role.DATABASE}
    foreign = [left for left in manifest.left_out if "foreign table" in left.reason]
    assert foreign


def test_the_files_are_the_ones_in_the_contract(site, shop, slot, database_name: str) -> None:
    shop.execute(f"alter database {database_name} set work_mem = '7MB'; comment on database {database_name} is 'loja'")
    take_dump(site, slot)
    found = {path.name for path in site.settings.folder.iterdir() if not path.name.startswith(".")}
    assert found == {
        "daily-2026-02-02-020000.sql.gz",
        "daily-2026-02-02-020000.globals.sql.gz",
        "daily-2026-02-02-020000.database.sql.gz",
        "backup-metadata.jsonl",
    }
    assert "CREATE ROLE" in text_of(site, "daily-2026-02-02-020000.globals.sql.gz")
    properties = text_of(site, "daily-2026-02-02-020000.database.sql.gz")
    assert "SET work_mem TO '7MB'" in properties
    assert "'loja'" in properties
    assert "ENCODING = 'UTF8'" in properties
    assert "CREATE TABLE" not in properties
    for path in site.settings.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_rows_written_after_the_snapshot_do_not_show(make_site, source_url, shop, application, slot) -> None:
    def busy() -> None:
        application.execute("insert into clientes (nome) values ('tarde'); delete from pedidos where id < 10")

    site = make_site(source_url, progress=Watching(at={"dumping": busy}))
    manifest = take_dump(site, slot).manifest
    assert counted(manifest) == {"public.clientes": 50, "public.pedidos": 40, "public.vazia": 0}
    assert {table.identity: table.dumped_rows for table in manifest.tables} == counted(manifest)


def test_truncate_waits_for_the_dump(make_site, source_url, shop, application, slot) -> None:
    def truncate() -> None:
        application.execute("set lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            application.execute("truncate pedidos")

    site = make_site(source_url, progress=Watching(at={"dumping": truncate, "counting and fingerprinting": truncate}))
    assert counted(take_dump(site, slot).manifest)["public.pedidos"] == 40
    application.execute("truncate pedidos")


def test_a_lock_that_a_migration_holds_is_a_passing_error(make_site, source_url, shop, slot, losses) -> None:
    site = make_site(source_url, lock_timeout=SHORT)
    with psycopg.connect(source_url) as migration:
        migration.execute("alter table pedidos add column nota text")
        error = losses.fails(site, slot, take_dump, SourceUnreachable, "a lock was not granted in time")
    assert not error.permanent
    assert "migration" in error.remedy
    assert counted(take_dump(site, slot).manifest)["public.pedidos"] == 40
    assert line_of(site, slot)["error"] is None


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch, application: psycopg.Connection) -> Callable[..., None]:
    """A function: from now on, SQL that somebody runs before or after each time our tables are locked."""
    real = contents.lock

    def schedule(*, before: list[str] = (), after: list[str] = ()) -> None:
        befores, afters = iter(before), iter(after)

        def lock(*arguments: object, **options: object) -> None:
            application.execute(next(befores, "select 1"))
            real(*arguments, **options)
            application.execute(next(afters, "select 1"))

        monkeypatch.setattr(contents, "lock", lock)

    return schedule


def test_a_table_dropped_while_locking_is_not_missed(site, shop, slot, meanwhile) -> None:
    meanwhile(before=["drop table vazia"])
    assert set(counted(take_dump(site, slot).manifest)) == {"public.clientes", "public.pedidos"}


def test_a_table_created_while_locking_is_in_the_dump(site, shop, slot, meanwhile) -> None:
    meanwhile(after=["create table nova as select 1 as a"])
    manifest = take_dump(site, slot).manifest
    assert counted(manifest)["public.nova"] == 1
    assert verify.faults_on_disk(site.settings.folder, manifest) == []


def test_tables_that_come_and_go_without_end_are_a_passing_error(site, shop, slot, meanwhile, losses) -> None:
    meanwhile(after=[f"create table nova{number} ()" for number in range(20)])
    error = losses.fails(site, slot, take_dump, SourceUnreachable, "tables come and go")
    assert not error.permanent


def test_a_second_run_of_the_slot_verifies_and_dumps_nothing(site, shop, slot) -> None:
    first = take_dump(site, slot)
    shop.execute("insert into vazia values (1)")
    second = take_dump(site, slot)
    assert (second.reused, second.where) == (True, "disk")
    assert second.manifest.to_bytes() == first.manifest.to_bytes()
    seal(site, slot)
    assert take_dump(site, slot).reused


@pytest.mark.parametrize(
    ("change", "sealed"),
    [
        (flip, False),
        (flip, True),
        (lambda data: data[:-9], True),
        (lambda data: b"", False),
        (lambda data: data + b"x", True),
        (lambda data: gzip.compress(b"another"), True),
    ],
    ids=["corrupted draft", "corrupted", "truncated", "emptied draft", "extended", "replaced"],
)
def test_a_bad_dump_is_taken_anew_while_its_slot_is_open_and_set_aside(site, shop, slot, change, sealed: bool) -> None:
    name = take_dump(site, slot).manifest.dump.name
    if sealed:
        seal(site, slot)
    path = site.settings.folder / name
    spoil(path, change)
    bad = path.read_bytes()
    again = take_dump(site, slot)
    assert not again.reused
    assert verify.faults_on_disk(site.settings.folder, again.manifest) == []
    kept = [p for p in (site.settings.folder / "rejected").iterdir() if p.name.startswith(f"{name}.does-not-verify-")]
    assert [p.read_bytes() for p in kept] == [bad]
    assert line_of(site, slot)["status"] == "success"
    assert not seal(site, slot).reused


def test_a_bad_dump_of_a_closed_slot_is_never_replaced(site, shop, slot, clock, losses) -> None:
    name = take_dump(site, slot).manifest.dump.name
    seal(site, slot)
    spoil(site.settings.folder / name, flip)
    clock.pass_by(days=1)
    error = losses.fails(site, slot, take_dump, IntegrityError, "SHA-256", spoiled=[name])
    assert name in error.what
    assert (site.settings.folder / name).exists()


def test_what_s3_holds_is_the_backup_when_the_disk_has_lost_it(site, shop, slot, clock) -> None:
    name = take_dump(site, slot).manifest.dump.name
    seal(site, slot)
    manifest = archive(site, slot).manifest
    spoil(site.settings.folder / name, flip)
    taken = take_dump(site, slot)
    assert (taken.reused, taken.where, taken.manifest) == (True, "S3", manifest)
    for path in site.settings.folder.glob("daily-*"):
        path.unlink()
    clock.pass_by(days=400)
    assert take_dump(site, slot).where == "S3"
    assert seal(site, slot).where == "S3"


@pytest.mark.parametrize("days", [-1, -400])
def test_a_slot_in_the_past_cannot_be_filled(site, shop, clock, losses, days: int) -> None:
    past = Slot("daily", Slot.of_id("daily-2026-02-02-020000").due + timedelta(days=days))
    error = losses.fails(site, past, take_dump, SlotError, "closed and empty")
    assert "2026-02-02-020000" in error.remedy
    assert catalog.on_disk(site.settings.folder, past.backup_id) is None


def test_a_slot_in_the_future_cannot_be_filled(site, shop, slot, losses) -> None:
    future = Slot("daily", slot.due + timedelta(days=1))
    error = losses.fails(site, future, take_dump, SlotError, "not due yet")
    assert "2026-02-03 02:00:00 UTC" in error.remedy


def test_an_instant_that_is_no_slot_is_refused(site, shop, slot, losses) -> None:
    odd = Slot("daily", slot.due + timedelta(hours=1))
    losses.fails(site, odd, take_dump, SlotError, "not due at")


def test_two_runs_of_a_slot_at_once_dump_once(site, shop, slot) -> None:
    with elsewhere(site, slot, "take_dump") as one, elsewhere(site, slot, "take_dump") as other:
        assert [said(one), said(other)] == ["ready", "ready"]
        answers = [json.loads(said(one)), json.loads(said(other))]
    assert sorted(answer["reused"] for answer in answers) == [False, True]
    assert (
        verify.faults_on_disk(site.settings.folder, catalog.on_disk(site.settings.folder, slot.backup_id).manifest)
        == []
    )


def test_a_run_killed_half_way_leaves_the_slot_to_the_next(site, big, slot, losses) -> None:
    with elsewhere(site, slot, "take_dump", hang_at="dumping") as run:
        assert [said(run), said(run)] == ["ready", "hanging"]
        losses_of_second = pytest.raises(Exception, match=f'"pid": {run.pid}')
        with losses_of_second:
            take_dump(site, slot)
        run.send_signal(signal.SIGKILL)
    left = {path.name for path in site.settings.folder.iterdir()}
    assert ".daily-2026-02-02-020000.sql.gz.partial" in left
    assert "daily-2026-02-02-020000.sql.gz" not in left
    assert not take_dump(site, slot).reused
    assert not list(site.settings.folder.glob(".*.partial"))
    assert line_of(site, slot)["status"] == "success"


def test_a_pg_dump_that_is_killed_is_no_dump(make_site, source_url, big, slot, losses) -> None:
    def kill() -> None:
        (process,) = children("pg_dump")
        os.kill(process, signal.SIGKILL)

    site = make_site(source_url, progress=Watching(within={"dumping": kill}))
    error = losses.fails(site, slot, take_dump, ToolFailed, "killed by signal 9")
    assert not error.permanent
    assert not list(site.settings.folder.glob("*.gz"))
    assert not take_dump(site, slot).reused


@pytest.mark.parametrize("program", ["pg_dump", "desbuquei_backups"])
def test_a_session_that_the_server_ends_is_no_dump(make_site, source_url, big, slot, losses, program: str) -> None:
    def end() -> None:
        # Ours takes the snapshot, pg_dump's reads the rows: both bear our name.
        ours = "query like 'COPY %'" if program == "pg_dump" else "query not like 'COPY %'"
        row = big.execute(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() "
            f"and application_name = 'desbuquei_backups' and {ours}"
        ).fetchone()
        assert row == (1,)

    site = make_site(source_url, progress=Watching(within={"dumping": end}))
    error = losses.fails(site, slot, take_dump, SourceUnreachable, "terminating connection|server closed")
    assert not error.permanent
    assert counted(take_dump(site, slot).manifest)["public.muita"] == 400


def test_no_pg_dump_outlives_a_run_that_is_interrupted(make_site, source_url, big, slot) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    site = make_site(source_url, progress=Watching(within={"dumping": interrupt}))
    with pytest.raises(KeyboardInterrupt):
        take_dump(site, slot)
    assert children("pg_dump") == []
    assert [path.name for path in site.settings.folder.glob("*daily*")] == []


def test_without_counts_the_backup_says_so(site, shop, slot) -> None:
    manifest = take_dump(site, slot, measured=False).manifest
    assert (manifest.tables, manifest.large_objects, manifest.fingerprint) == ([], None, None)
    assert verify.faults_on_disk(site.settings.folder, manifest) == []


def test_the_dump_restores_by_hand_as_the_contract_says(site, shop, slot, scratch, tmp_path: Path) -> None:
    import subprocess

    from desbuquei_backups.postgres.connection import environment, parse
    from desbuquei_backups.postgres.programs import choose
    from desbuquei_backups_tests.urls import with_database

    name = take_dump(site, slot).manifest.dump.name
    scratch.execute("create database by_hand template template0")
    try:
        url = with_database(site.settings.restore_url, "by_hand")
        programs = choose(17)
        subprocess.run(  # noqa: S602 - the guide's own line
            f"gunzip -c {site.settings.folder / name} | {programs.path('psql')} -q -v ON_ERROR_STOP=1 >/dev/null",
            shell=True,
            check=True,
            env={**os.environ, **environment(parse(url, setting="X"))},
        )
        with psycopg.connect(url) as restored:
            assert restored.execute("select count(*) from pedidos").fetchone() == (40,)
    finally:
        scratch.execute("drop database by_hand with (force)")
