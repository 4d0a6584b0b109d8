"""What doctor does not find, the first backup, or the first restore, finds at two in the morning."""

from collections.abc import Iterator
from dataclasses import asdict, replace

import psycopg
import pytest

from desbuquei_backups.operations import said
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.doctor import Outcome, Precondition, examine
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL, S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups.postgres.programs import choose_server
from desbuquei_backups.postgres.wal import slot_name
from desbuquei_backups.storage import disk
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.urls import with_credentials


def examined(site: Site, *, read_only: bool = False) -> dict[tuple[str, str], Precondition]:
    return {(each.area, each.name): each for each in examine(site, read_only=read_only)}


def failures(site: Site) -> set[tuple[str, str]]:
    return {where for where, each in examined(site).items() if each.outcome is Outcome.FAILURE}


@pytest.fixture
def reader(source: psycopg.Connection, database_name: str) -> Iterator[tuple[str, str]]:
    """A role that may log in and no more, and its password."""
    name = f"reader_{database_name}"
    source.execute(f"create role {name} login password 'segredo-9f1'")
    yield name, "segredo-9f1"
    source.execute(f"drop owned by {name}")
    source.execute(f"drop role {name}")


def test_a_site_that_works_has_no_failures_and_nothing_is_left(sample_site):
    found = examined(sample_site)
    assert [each for each in found.values() if each.outcome is Outcome.FAILURE] == []
    assert found["database", "replication"].outcome is Outcome.OK
    assert found["bucket", "no overwriting"].outcome is Outcome.OK
    assert found["bucket", "encryption"].outcome is Outcome.OK
    assert list(sample_site.bucket.keys("")) == []


def test_read_only_writes_nothing(site):
    examined(site, read_only=True)
    assert list(site.bucket.keys("")) == []
    assert not site.settings.folder.exists()


@pytest.mark.parametrize("name", [DATABASE_URL, S3_URL, RESTORE_URL])
def test_a_setting_that_is_lost_is_told_from_one_that_is_wrong(make_site, source_url, name):
    found = examined(make_site(source_url, urls={name: None}))
    assert found["settings", name].missing
    assert found["settings", name].remedy


def test_a_table_that_the_role_may_not_read_is_named(make_site, source, source_url, reader):
    source.execute("create table segredos (id int)")
    found = examined(make_site(with_credentials(source_url, *reader)))["database", "privileges"]
    assert found.outcome is Outcome.FAILURE
    assert "public.segredos" in found.said
    assert "GRANT" in found.remedy


def test_rows_hidden_by_row_level_security_are_found(make_site, source, source_url, reader):
    source.execute(
        f"create table t (id int); alter table t enable row level security; grant select on t to {reader[0]}"
    )
    found = examined(make_site(with_credentials(source_url, *reader)))["database", "privileges"]
    assert found.outcome is Outcome.FAILURE
    assert "row-level security" in found.said


def test_without_replication_it_says_what_is_lost_and_creates_nothing(make_site, source, source_url, reader):
    found = examined(make_site(with_credentials(source_url, *reader)))["database", "replication"]
    assert found.outcome is Outcome.NOT_APPLICABLE
    assert "point-in-time" in found.said
    assert source.execute("select count(*) from pg_replication_slots").fetchone() == (0,)


def test_a_platform_that_refuses_replication_is_no_failure_whatever_flag_its_role_has(make_site, project_url):
    found = examined(make_site(project_url))
    with psycopg.connect(project_url) as connection:
        assert connection.execute("select rolreplication from pg_roles where rolname = user").fetchone() == (True,)
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
    refused = found["database", "replication"]
    assert refused.outcome is Outcome.NOT_APPLICABLE
    assert "point-in-time" in refused.said
    assert "docs/sql/backup_role.sql" in refused.remedy
    assert [each for each in found.values() if each.area == "database" and each.outcome is Outcome.FAILURE] == []


def test_a_restore_server_that_is_the_source_proves_nothing(make_site, source_url):
    assert ("restore server", "not the source") in failures(make_site(source_url, urls={RESTORE_URL: source_url}))


def test_a_role_that_cannot_make_databases_makes_no_restored_copy(make_site, source_url, reader):
    site = make_site(source_url, urls={RESTORE_URL: with_credentials(source_url, *reader)})
    assert ("restore server", "rights") in failures(site)


def test_what_does_not_answer_is_a_finding_and_the_rest_is_still_examined(make_site, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    nowhere = f"127.0.0.1:{free_port()}"
    site = make_site(f"postgresql://x@{nowhere}/x", aws={"AWS_ENDPOINT_URL_S3": f"http://{nowhere}"})
    found = examined(site)
    assert found["database", "reachable"].outcome is Outcome.FAILURE
    assert found["bucket", "reachable"].outcome is Outcome.FAILURE
    assert found["restore server", "reachable"].outcome is Outcome.OK


def test_a_bucket_that_is_not_there_is_named(make_site, source_url):
    found = examined(make_site(source_url, urls={S3_URL: "s3://no-such-bucket-here"}))["bucket", "reachable"]
    assert found.outcome is Outcome.FAILURE
    assert "DESBUQUEI_S3_URL" in found.remedy or "NoSuchBucket" in found.said or "404" in found.said


def test_a_lock_that_is_held_names_its_holder(site):
    disk.prepare(site.settings.folder)
    with disk.lock(site.settings.folder, "desbuquei", doing="dump of daily-x", wait_seconds=0):
        found = examined(site)["backup folder", "lock"]
    assert found.outcome is Outcome.WARNING
    assert "daily-x" in found.said


def test_a_folder_that_others_may_read_is_told(site):
    disk.prepare(site.settings.folder)
    site.settings.folder.chmod(0o755)
    assert examined(site)["backup folder", "permissions"].outcome is Outcome.WARNING


def test_no_secret_is_ever_shown(make_site, source_url, reader, endpoints):
    name, password = reader
    wrong = with_credentials(source_url, name, "not-" + password)
    found = [*examined(make_site(with_credentials(source_url, *reader))).values(), *examined(make_site(wrong)).values()]
    text = " ".join(str(asdict(each)) for each in found)
    assert [secret for secret in (password, *endpoints.secrets) if secret in text] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what Apprise's own plugins import
def test_whether_somebody_is_told_of_what_is_wrong(site):
    assert examined(site)["alerts", "sinks"].outcome is Outcome.WARNING
    urls = ("json://127.0.0.1/", "nonsense://s3cret")
    told = replace(site.settings, notify_urls=urls, ping_urls={"DESBUQUEI_PING_URL": "http://example.com/s3cret"})
    found = {name: each for (area, name), each in examined(replace(site, settings=told)).items() if area == "alerts"}
    assert {name: each.outcome for name, each in found.items()} == {
        "sink 1: json": Outcome.OK,
        "sink 2: nonsense": Outcome.FAILURE,
        "dead-man's switch": Outcome.FAILURE,
    }
    assert "s3cret" not in str(found)


def unmet(site: Site) -> set[str]:
    return {name for (area, name), each in examined(site).items() if area == "the guide" and each.remedy}


def test_what_of_the_guide_is_not_met_yet_is_said_and_what_is_met_is_not(site, source, slot):
    never = {"off-site copy", "recovery point", "every tier", "monthly drill", "notification"}
    assert unmet(site) == {*never, "restored copy", "verified in S3"}
    assert failures(site) == set()
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    take_dump(site, slot), seal(site, slot), archive(site, slot)
    prove(site, slot)
    said.verified(site, [verify_backup(site, slot.backup_id, remote=True)])
    told = replace(site, settings=replace(site.settings, notify_urls=("json://127.0.0.1",)))
    assert unmet(told) == never - {"notification"}


def test_wal_that_is_asked_for_and_does_not_come_is_found(site, source):
    site.settings.folder.mkdir()
    assert examined(site)["WAL", "WAL"].outcome is Outcome.NOT_APPLICABLE
    source.execute("select pg_create_physical_replication_slot(%s, true)", [slot_name(site.policy.database)])
    found = examined(site)["WAL", "age of the newest WAL in S3"]
    assert (found.outcome, "there is no WAL in S3 yet" in found.said) == (Outcome.WARNING, True)
    assert {where for where in examined(site, read_only=True) if where[0] == "WAL"} == {("WAL", "WAL")}


def test_a_host_without_the_servers_own_programs_cannot_recover_and_that_is_found(site, monkeypatch):
    assert examined(site)["database", "server's programs"].outcome is Outcome.OK
    monkeypatch.setattr("desbuquei_backups.operations.doctor_source.choose_server", lambda major: choose_server(9))
    found = examined(site)["database", "server's programs"]
    assert (found.outcome, "no recovery and no drill" in found.said) == (Outcome.WARNING, True)
