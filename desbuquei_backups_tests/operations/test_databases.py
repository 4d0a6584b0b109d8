"""Two databases in one folder and bucket: neither finds the other's backups, waits for its lock, or takes its WAL."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.errors import BackupError, ConfigurationError, SourceUnreachable
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.targets import Target
from desbuquei_backups.operations import inventory, records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.beside import is_named_twice, other_databases
from desbuquei_backups.operations.catalog_rebuild import rebuild
from desbuquei_backups.operations.doctor import examine
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import (
    DATABASE_URL,
    RESTORE_URL,
    S3_URL,
    SECOND_S3_URL,
    databases_in,
    from_environment,
    settings_of,
)
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.conftest import Clock, Endpoints
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.operations.story import taken
from desbuquei_backups_tests.operations.wal import drained, there
from desbuquei_backups_tests.policies import PACKAGED, written
from desbuquei_backups_tests.urls import with_database

POINT = "hourly-2026-02-02-030000"
VENDAS_URL = "DESBUQUEI_VENDAS_DATABASE_URL"


@pytest.fixture
def environment(endpoints: Endpoints, bucket_url: str, source_url: str, tmp_path: Path) -> dict[str, str]:
    """Of the database desbuquei, and a further one, `vendas`, whose URL is still to be set."""
    return {
        "DESBUQUEI_POLICY": str(written(tmp_path, PACKAGED + '\n[databases.vendas]\nlock_timeout = "1 minute"\n')),
        "DESBUQUEI_BACKUP_DIR": str(tmp_path / "backups"),
        "DESBUQUEI_HOME": str(tmp_path),
        DATABASE_URL: source_url,
        RESTORE_URL: endpoints.scratch,
        S3_URL: bucket_url,
    }


@pytest.fixture
def sites(environment: dict[str, str], endpoints: Endpoints, clock: Clock) -> Callable[[], list[Site]]:
    """A function that makes the site of each database, in the policy's order."""

    def make() -> list[Site]:
        databases = databases_in(environment)
        found = [settings_of(each, environment, databases) for each in databases]
        return [Site(replace(each, aws=endpoints.aws), now=clock, lock_wait_seconds=0.5) for each in found]

    return make


@pytest.fixture
def beside(own_server: Cluster) -> str:
    """The URL of a second database of `own_server`."""
    with own_server.connect() as connection:
        connection.execute("create database vendas")
    return with_database(own_server.url, "vendas")


def archived(site: Site, slot: Slot) -> None:
    take_dump(site, slot)
    seal(site, slot)
    archive(site, slot)


def test_each_has_its_folder_and_prefix_and_a_new_machine_finds_its_own_there_and_nothing_else(
    environment, sites, beside: str, source: psycopg.Connection, bucket: Bucket, slot: Slot, tmp_path: Path
) -> None:
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    environment[VENDAS_URL] = beside  # on another server
    first, vendas = sites()
    for site in (first, vendas):
        archived(site, slot)
    dump = f"{slot.backup_id}.sql.gz"
    assert (tmp_path / "backups" / dump).exists()
    assert (tmp_path / "backups" / "vendas" / dump).exists()
    assert vendas.settings.folder.stat().st_mode & 0o777 == 0o700
    keys = set(bucket.keys(""))
    assert {f"daily/{dump}", f"vendas/daily/{dump}", f"vendas/daily/{slot.backup_id}.manifest.json"} <= keys
    assert {key.partition("/")[0] for key in keys} == {"daily", "evidence", "vendas"}
    tagged = bucket.client.get_object_tagging(Bucket=bucket.name, Key=bucket.where(f"vendas/daily/{dump}")[1])
    assert {"Key": "database", "Value": "vendas"} in tagged["TagSet"]
    for site, name in ((first, "test_"), (vendas, "vendas")):
        (line,) = records.lines(site.settings.folder)
        assert (line["backup_id"], line["database"]) == (slot.backup_id, site.policy.database)
        anew = replace(site, settings=replace(site.settings, backup_dir=tmp_path / "new"))
        listing = inventory.remote(anew)
        assert ([each.backup_id for each in listing.held], listing.faults) == ([slot.backup_id], [])
        done = rebuild(anew)
        assert (done.archived, done.faults) == (1, [])
        assert site.bucket.uri("").endswith("vendas/") is (name == "vendas")


def test_while_one_hangs_under_its_lock_the_other_is_dumped(
    environment, sites, beside: str, slot: Slot, shop: psycopg.Connection
) -> None:
    environment[VENDAS_URL] = beside
    first, vendas = sites()
    with first.locked(slot.backup_id, "a dump that hangs"):
        archived(vendas, slot)
    with vendas.locked(slot.backup_id, "a dump that hangs"):
        archived(first, slot)


def test_what_is_wrong_with_a_further_database_is_said_in_its_own_words(environment, sites, slot: Slot) -> None:
    _, vendas = sites()
    with pytest.raises(ConfigurationError, match=f"{VENDAS_URL} is not set"):
        take_dump(vendas, slot)
    environment[VENDAS_URL] = f"postgresql://backup@127.0.0.1:{free_port()}/vendas"
    _, vendas = sites()
    with pytest.raises(SourceUnreachable, match=rf"\({VENDAS_URL}\)"):
        take_dump(vendas, slot)
    (line,) = records.lines(vendas.settings.folder)
    assert f"({VENDAS_URL})" in line["error"]
    with pytest.raises(BackupError) as caught:
        seal(vendas, slot)
    assert f"desbuquei --database vendas backup daily --slot {slot.key}" in caught.value.remedy


def test_the_second_place_has_a_prefix_for_each_too(environment) -> None:
    environment[SECOND_S3_URL] = "s3://elsewhere/backups/"
    second = from_environment(environment, "vendas").second
    assert second is not None
    assert (second.s3_url, second.folder.name) == ("s3://elsewhere/backups/vendas", "vendas")
    assert from_environment(environment).s3_url == environment[S3_URL]


def test_a_database_beside_it_that_the_policy_names_is_none_that_nobody_protects(
    environment, sites, own_server: Cluster, beside: str
) -> None:
    environment[DATABASE_URL] = own_server.url
    first, _ = sites()
    assert other_databases(first) == ["vendas"]
    environment[VENDAS_URL] = beside
    first, vendas = sites()
    assert other_databases(first) == other_databases(vendas) == []
    assert not is_named_twice(vendas.settings)
    environment[VENDAS_URL] = own_server.url  # copied, and forgotten to be changed
    _, vendas = sites()
    assert [each.name for each in examine(vendas, read_only=True) if "the same URL" in each.said] == [VENDAS_URL]


def test_two_of_one_cluster_have_a_slot_each_and_recover_to_their_own_point_of_one_name(
    environment, sites, own_server: Cluster, beside: str, slot: Slot, open_ground: Path
) -> None:
    environment |= {DATABASE_URL: own_server.url, VENDAS_URL: beside}
    first, vendas = sites()
    with psycopg.connect(beside, autocommit=True) as connection:
        connection.execute("create table pedidos (i int)")
        taken(vendas, slot)
        earlier = drained(first, POINT).point
        connection.execute("insert into pedidos values (1)")  # between the two points of that name
        later = drained(vendas, POINT).point
    with own_server.connect() as connection:
        slots = connection.execute("select slot_name from pg_replication_slots order by 1").fetchall()
    assert slots == [("desbuquei_desbuquei",), ("desbuquei_vendas",)]
    assert earlier.lsn != later.lsn
    assert there(first).segments
    assert there(vendas).segments
    with (
        recovered_copy(vendas, Wanted(Target(name=POINT), throw_away=True), open_ground / "vendas") as copy,
        psycopg.connect(host=str(copy.folder.work), port=copy.port, user="postgres", dbname="vendas") as recovered,
    ):
        assert recovered.execute("select i from pedidos").fetchall() == [(1,)]
