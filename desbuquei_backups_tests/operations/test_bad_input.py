"""Whatever is wrong outside, the operator reads what and what to do, and loses nothing."""

import os
import re
import resource
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import (
    ConfigurationError,
    DiskError,
    SourceRefused,
    SourceUnreachable,
    SourceUnreadable,
    ToolMissing,
)
from desbuquei_backups.embedded.samples import SUPABASE_UNREADABLE
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL, S3_URL, from_environment
from desbuquei_backups.postgres import programs
from desbuquei_backups.postgres.programs import choose
from desbuquei_backups_tests.fakes import TransactionPooler, free_port
from desbuquei_backups_tests.operations.losses import Watching, children, line_of
from desbuquei_backups_tests.urls import with_credentials, with_database, with_options, with_port

SECRET = "s3nha: d'água/?#@\\"


@pytest.fixture
def role(source: psycopg.Connection, losses) -> Iterator[str]:
    """A role of this test's own that may connect and nothing else; its password is SECRET."""
    name = f"role_{uuid.uuid4().hex[:12]}"
    losses.secrets += [SECRET, quote(SECRET, safe="")]
    create = sql.SQL("create role {} login password {}")
    source.execute(create.format(sql.Identifier(name), sql.Literal(SECRET)))
    yield name
    source.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(name)))


@pytest.fixture
def poor_site(make_site, source_url: str, role: str):
    """A site that backs up as `role`."""
    return make_site(with_credentials(source_url, role, SECRET))


# Settings


def test_a_lost_database_setting_backs_up_nothing_else(make_site, slot, losses) -> None:
    error = losses.fails(make_site(None), slot, take_dump, ConfigurationError, "DESBUQUEI_DATABASE_URL is not set")
    assert error.exit_status == 2


@pytest.mark.parametrize("missing", [DATABASE_URL, S3_URL, RESTORE_URL])
def test_settings_are_never_made_up(missing: str) -> None:
    environment = {DATABASE_URL: "postgresql://h/d", S3_URL: "s3://b", RESTORE_URL: "postgresql://h/d"}
    for value in (None, ""):
        given = {name: url for name, url in {**environment, missing: value}.items() if url is not None}
        with pytest.raises(ConfigurationError, match=f"{missing} is not set") as caught:
            from_environment(given).url(missing)
        assert caught.value.exit_status == 2
        assert missing in caught.value.remedy or "embedded" in caught.value.remedy


def test_a_lost_bucket_setting_is_found_out_before_the_dump(make_site, source_url, shop, slot, losses) -> None:
    site = make_site(source_url, urls={S3_URL: None})
    error = losses.fails(site, slot, take_dump, ConfigurationError, "DESBUQUEI_S3_URL is not set")
    assert error.exit_status == 2
    assert not list(site.settings.folder.glob("*.gz"))


def test_a_lost_restore_setting_proves_nothing(make_site, source_url, shop, slot, losses) -> None:
    site = make_site(source_url, urls={RESTORE_URL: None})
    for step in (take_dump, seal, archive):
        step(site, slot)
    error = losses.fails(site, slot, prove, ConfigurationError, "RESTORE_URL is not set", status="success")
    assert error.exit_status == 2


def test_settings_do_not_show_their_secrets(make_site, source_url) -> None:
    settings = make_site(with_credentials(source_url, "ana", SECRET)).settings
    assert "s3nha" not in repr(settings)
    assert settings.aws["AWS_SECRET_ACCESS_KEY"] not in repr(settings)


# The way to the database


def test_the_database_is_down(make_site, source_url, slot, losses, role) -> None:
    url = with_port(with_credentials(source_url, role, SECRET), free_port())
    error = losses.fails(make_site(url), slot, take_dump, SourceUnreachable, "cannot connect to .*DATABASE_URL")
    assert not error.permanent


def test_a_wrong_password(make_site, source_url, slot, losses, role) -> None:
    losses.secrets.append("errada")
    url = with_credentials(source_url, role, "errada")
    error = losses.fails(make_site(url), slot, take_dump, SourceRefused, "password authentication failed")
    assert error.permanent


def test_a_database_that_does_not_exist(make_site, source_url, slot, losses) -> None:
    site = make_site(with_database(source_url, "nowhere"))
    losses.fails(site, slot, take_dump, SourceRefused, "does not exist")


@pytest.mark.parametrize("password", ["a/b@c", "5432/b@c", "p@ss", "p?s@ss", "a/bc", "p%zz"])
def test_a_password_that_is_not_percent_encoded_is_not_taken_for_a_host(make_site, slot, losses, password: str) -> None:
    losses.secrets.append(password)
    site = make_site(f"postgresql://ana:{password}@127.0.0.1/db")
    error = losses.fails(site, slot, take_dump, ConfigurationError, "DATABASE_URL is not a PostgreSQL connection URI")
    assert error.exit_status == 2
    assert "percent-encoded" in error.remedy


def test_a_transaction_pooler(make_site, source_url, shop, slot, losses) -> None:
    with TransactionPooler(source_url) as pooler:
        error = losses.fails(make_site(pooler.url), slot, take_dump, SourceRefused, "transaction pooler")
    assert "direct host" in error.remedy


def test_tls_that_the_server_wants_and_the_url_refuses(make_site, project_url, slot, losses) -> None:
    without = re.sub(r"sslmode=[\w-]+", "sslmode=disable", project_url)
    error = losses.fails(make_site(without), slot, take_dump, SourceRefused, "no encryption")
    assert "sslmode=require" in error.remedy


def test_a_certificate_that_nobody_vouches_for(make_site, project_url, slot, losses, endpoints, tmp_path) -> None:
    from datetime import UTC, datetime

    from desbuquei_backups.embedded.supabase import _self_signed

    other, _ = _self_signed(datetime.now(UTC))
    (tmp_path / "other.crt").write_text(other)
    url = re.sub(r"sslmode=.*", "", project_url)
    url = with_options(url.rstrip("?&"), sslmode="verify-full", sslrootcert=str(tmp_path / "other.crt"))
    error = losses.fails(make_site(url), slot, take_dump, SourceRefused, "certificate verify failed")
    assert "sslrootcert" in error.remedy


def test_tls_asked_of_a_server_without(make_site, source_url, slot, losses) -> None:
    url = with_options(re.sub(r"sslmode=[\w-]+", "", source_url).rstrip("?&"), sslmode="require")
    error = losses.fails(make_site(url), slot, take_dump, SourceRefused, "does not support SSL")
    assert "TLS" in error.remedy


# PostgreSQL's programs


@pytest.fixture
def only_pg_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that leaves one set of client programs on this machine, which call themselves that version."""
    real = choose(17).folder

    def install(version: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in ("pg_dump", "pg_dumpall", "psql"):
            script = folder / name
            script.write_text(
                f'#!/bin/sh\n[ "$1" = --version ] && echo "{name} (PostgreSQL) {version}" && exit\n'
                f'exec {real / name} "$@"\n'
            )
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("DESBUQUEI_PG_BIN", str(folder))
        hide()

    def hide() -> None:
        monkeypatch.setattr(programs, "_WHEELS", ())
        monkeypatch.setattr(programs, "_DEBIAN", tmp_path / "none")
        monkeypatch.setattr(programs.shutil, "which", lambda _: None)
        programs.installed.cache_clear()

    hide()
    yield install
    programs.installed.cache_clear()


@pytest.mark.parametrize("version", ["9.6.24", "16.4"])
def test_a_pg_dump_older_than_the_server(site, shop, slot, losses, only_pg_dump, version: str) -> None:
    only_pg_dump(version)
    error = losses.fails(site, slot, take_dump, ToolMissing, f"PostgreSQL 17; client programs found here: {version}")
    assert "postgresql-client-17" in error.remedy
    assert error.permanent


def test_no_pg_dump_at_all(site, shop, slot, losses, only_pg_dump) -> None:
    losses.fails(site, slot, take_dump, ToolMissing, "found here: none")


def test_a_newer_pg_dump_serves_with_a_warning(site, shop, slot, only_pg_dump) -> None:
    only_pg_dump("18.1")
    manifest = take_dump(site, slot).manifest
    assert manifest.tools["pg_dump"] == "18.1"
    assert any("restores on PostgreSQL 18 or newer" in warning for warning in manifest.warnings)


def test_a_pg_dump_that_ends_well_without_its_footer(site, shop, slot, losses, only_pg_dump, tmp_path) -> None:
    from desbuquei_backups.core.errors import IntegrityError

    only_pg_dump("17.10")
    real = tmp_path / "bin" / "pg_dump"
    real.rename(tmp_path / "bin" / "pg_dump_real")
    real.write_text(f'#!/bin/sh\n{tmp_path}/bin/pg_dump_real "$@" | head -c 3000\n')
    real.chmod(0o755)
    programs.installed.cache_clear()
    losses.fails(site, slot, take_dump, (IntegrityError, ToolMissing), "footer|client programs")
    assert not list(site.settings.folder.glob("*020000.sql.gz"))


# What a role may not read


def test_a_table_that_may_not_be_read_is_named(poor_site, shop, slot, losses, role) -> None:
    shop.execute(f"grant select on clientes, vazia to {role}")
    error = losses.fails(poor_site, slot, take_dump, SourceUnreadable, r"public\.pedidos may not be read")
    assert "clientes may" not in error.what
    assert f"GRANT pg_read_all_data TO {role}" in error.remedy


def test_a_schema_that_may_not_be_used_is_named(poor_site, shop, slot, losses, role) -> None:
    shop.execute(f"grant select on all tables in schema public to {role}; create schema rh; create table rh.folha ()")
    shop.execute(f"grant select on rh.folha to {role}; grant select on all sequences in schema public to {role}")
    losses.fails(poor_site, slot, take_dump, SourceUnreadable, r": rh\.folha may not be read")


def test_row_level_security_that_would_hide_rows_is_named(poor_site, shop, slot, losses, role) -> None:
    shop.execute(f"grant pg_read_all_data to {role}; select lo_unlink(oid) from pg_largeobject_metadata")
    shop.execute("alter table pedidos enable row level security; create policy p on pedidos using (id < 10)")
    losses.fails(poor_site, slot, take_dump, SourceUnreadable, r"row-level security hides rows of public\.pedidos")
    shop.execute(f"alter role {role} bypassrls")
    assert {t.identity: t.rows for t in take_dump(poor_site, slot).manifest.tables}["public.pedidos"] == 40


def test_a_large_object_that_may_not_be_read_is_counted(poor_site, shop, slot, losses, role) -> None:
    shop.execute(f"grant select on all tables in schema public to {role}")
    shop.execute(f"grant select on all sequences in schema public to {role}")
    losses.fails(poor_site, slot, take_dump, SourceUnreadable, "database: 1 large objects may not be read")
    shop.execute(
        f"do $$ begin execute format('grant select on large object %s to {role}', "
        "(select oid from pg_largeobject_metadata)); end $$"
    )
    manifest = take_dump(poor_site, slot).manifest
    assert manifest.large_objects is not None
    assert manifest.large_objects.count == 1
    assert any(left.kind == "passwords" for left in manifest.left_out)


def test_all_that_is_missing_is_named_at_once(poor_site, shop, slot, losses) -> None:
    error = losses.fails(poor_site, slot, take_dump, SourceUnreadable, "cannot back up the whole database")
    for missing in ("public.clientes", "public.pedidos", "public.vazia", "public.clientes_id_seq", "1 large objects"):
        assert missing in error.what


# The disk


def test_a_disk_that_fills_up(site, big, slot, losses) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        error = losses.fails(site, slot, take_dump, DiskError, "the disk is full")
        # Left alone, pg_dump would wait for ever with its locks on every table.
        assert children("pg_dump") == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not error.permanent
    assert "free space" in error.remedy
    assert not list(site.settings.folder.glob("*.gz"))
    assert not take_dump(site, slot).reused


def test_a_folder_that_is_a_file(make_site, source_url, shop, slot, tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DiskError) as caught:
        take_dump(make_site(source_url, folder=tmp_path / "file"), slot)
    assert (caught.value.backup_id, bool(caught.value.remedy)) == (slot.backup_id, True)
    assert (tmp_path / "file").read_text() == "mine"


# A managed platform


def test_a_supabase_project_is_proved_with_what_is_left_out_named(
    make_site, project_url, slot, losses, tmp_path
) -> None:
    losses.secrets.append("s3nha/d'água?")
    site = make_site(project_url)
    manifest = take_dump(site, slot).manifest
    assert manifest.server.platform == "Supabase"
    left = {one.identity: one.reason for one in manifest.left_out}
    for name in SUPABASE_UNREADABLE:
        assert "Supabase keeps it for itself" in left[name]
    assert not {table.identity for table in manifest.tables} & set(SUPABASE_UNREADABLE)
    for step in (seal, archive):
        step(site, slot)
    proof = prove(site, slot)
    findings = proof.findings
    assert [finding for finding in findings if finding.verdict is Verdict.DIFFERS] == []
    assert proof.verdict is Verdict.UNCOMPARED
    assert all(finding.why for finding in findings if finding.verdict is Verdict.UNCOMPARED)
    assert sum(finding.verdict is Verdict.MATCHES for finding in findings) > 50
    assert {unmet.requirement.name for unmet in proof.lacking} >= {"vector", "supabase_vault"}
    assert line_of(site, slot)["recovery_tested"] is True
    losses.assert_no_secret(site.settings.folder)


def test_no_secret_is_on_a_command_line(make_site, source_url, big, slot, endpoints) -> None:
    seen: list[bytes] = []

    def look() -> None:
        seen.extend((Path("/proc") / str(process) / "cmdline").read_bytes() for process in children("pg_dump"))

    take_dump(make_site(source_url, progress=Watching(within={"dumping": look})), slot)
    assert len(seen) == 1
    assert not any(secret.encode() in seen[0] for secret in endpoints.secrets)
    assert not any(secret in value for secret in endpoints.secrets for value in os.environ.values())
