"""Pruning: what goes is gone with all its versions, what is promised stays, and an interruption leaves the truth."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from desbuquei_backups.core.errors import NotFound, StoreUnreachable
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.retention import Place
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.operations import holds, inventory, pruning
from desbuquei_backups.operations import said as in_chain
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.chain_audit import audit
from desbuquei_backups.operations.in_use import reading
from desbuquei_backups.operations.prune import Pruned, prune
from desbuquei_backups.operations.pruning import plan
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.second_place import archive_in_second_place
from desbuquei_backups.operations.settings import S3_URL, SECOND_S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.versions import delete_version, versions
from desbuquei_backups_tests.conftest import Clock, Endpoints
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.chains import links
from desbuquei_backups_tests.operations.elsewhere import elsewhere, said
from desbuquei_backups_tests.operations.losses import line_of
from desbuquei_backups_tests.operations.tiers import back_up
from desbuquei_backups_tests.policies import due_together, with_crons

pytestmark = pytest.mark.usefixtures("shop", "same_time")
FIRST = datetime(2026, 1, 1, 2, tzinfo=UTC)


@pytest.fixture
def store(endpoints: Endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as faulty:
        yield faulty


def days(site: Site, clock: Clock, source: psycopg.Connection, count: int) -> list[Slot]:
    """A daily for each of so many days, each of its own content; the clock stands after the last one."""
    taken = []
    for number in range(count):
        clock.now = FIRST + timedelta(days=number, minutes=5)
        source.execute("insert into pedidos values (%s, 1, 1)", (1000 + number,))
        taken.append(Slot("daily", FIRST + timedelta(days=number)))
        back_up(site, taken[-1])
    return taken


def gone(done: list[Pruned], place: Place) -> list[Slot]:
    return sorted(each.planned.verdict.slot for each in done if each.done and each.planned.place is place)


def listed(site: Site) -> list[Slot]:
    return sorted(each.slot for each in inventory.remote(site).held)


def everything_listed_is_whole(site: Site) -> None:
    for slot in listed(site):
        assert verify_backup(site, slot.backup_id, remote=True).whole


def test_after_its_days_a_backup_leaves_the_disk_and_after_its_month_s3(site, shop, clock, bucket) -> None:
    first, second, *_, last = days(site, clock, shop, 9)
    in_chain.checks(site, first.backup_id, "dump", [{"check": "dump_is_complete", "verdict": "matches"}])
    assert [key for key in bucket.keys("daily/") if f"{first.backup_id}.checks-" in key]
    done = prune(site)
    assert gone(done, Place.DISK) == [first, second]
    assert gone(done, Place.S3) == []
    assert not (site.settings.folder / f"{first.backup_id}.sql.gz").exists()
    assert [each.on_disk for each in inventory.local(site).held if each.slot == first] == [False]
    clock.now = FIRST + timedelta(days=31, hours=1)
    done = prune(site)
    # 30 days are over for the first three; seven of the nine are always kept.
    assert gone(done, Place.S3) == [first, second]
    assert not [key for key in bucket.keys("daily/") if first.backup_id in key]
    assert first not in listed(site)
    assert first not in [each.slot for each in inventory.local(site).held]
    assert line_of(site, first)["status"] == "pruned"
    assert last in listed(site)
    everything_listed_is_whole(site)
    assert [each for each in prune(site) if each.done] == []


def test_a_dry_run_changes_nothing_and_says_why_for_every_backup(site, shop, clock, bucket) -> None:
    days(site, clock, shop, 9)
    clock.pass_by(days=60)
    before = sorted(bucket.keys("")), sorted(site.settings.folder.iterdir())
    found = plan(site)
    assert len([each for each in found if each.place is Place.S3]) == 9
    assert all(each.verdict.reason for each in found)
    assert (sorted(bucket.keys("")), sorted(site.settings.folder.iterdir())) == before


def test_what_s3_has_not_whole_stays_on_disk(site, shop, clock, bucket) -> None:
    first, second, *_ = days(site, clock, shop, 9)
    bucket.delete(f"daily/{first.backup_id}.sql.gz")
    bucket.delete(f"daily/{second.backup_id}.manifest.json")
    done = {each.planned.verdict.slot: each for each in prune(site) if each.planned.place is Place.DISK}
    assert done[first].reason == f"S3 has it not whole: {first.backup_id}.sql.gz is not in S3"
    assert done[second].reason == "it is not archived in S3"
    assert (site.settings.folder / f"{first.backup_id}.sql.gz").exists()


def test_every_version_goes_so_that_what_is_pruned_stops_costing(
    make_site, source_url, shop, clock, vault_url, endpoints
) -> None:
    site = make_site(source_url, urls={S3_URL: vault_url})
    first, *_ = days(site, clock, shop, 8)
    prune(site)
    site.bucket.delete(f"daily/{first.backup_id}.globals.sql.gz")  # a delete marker hides it
    clock.pass_by(days=40)
    assert [version for version in versions(site.bucket, f"daily/{first.backup_id}.") if version.delete_marker]
    done = prune(site)
    assert gone(done, Place.S3) == [first]
    assert list(versions(site.bucket, f"daily/{first.backup_id}")) == []
    assert next(each.freed for each in done if each.done and each.planned.place is Place.S3) > 1000


def test_what_is_locked_is_not_pruned_before_its_time_and_says_until_when(
    make_site, source_url, shop, clock, vault_url
) -> None:
    site = make_site(source_url, urls={S3_URL: vault_url})
    first, *_ = days(site, clock, shop, 8)
    until = datetime.now(UTC) + timedelta(days=3)
    name, key = site.bucket.where(f"daily/{first.backup_id}.sql.gz")
    site.bucket.client.put_object_retention(
        Bucket=name, Key=key, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    clock.now = until - timedelta(days=1)
    found = {each.verdict.slot: each for each in plan(site) if each.place is Place.S3}
    assert found[first].verdict.reason == f"locked until {until:%Y-%m-%d}"
    assert gone(prune(site), Place.S3) == []
    everything_listed_is_whole(site)


def test_of_thousands_that_are_to_go_the_dry_run_says_which_it_did_not_ask_for(
    make_site, source_url, shop, clock, vault_url, monkeypatch
) -> None:
    site = make_site(source_url, urls={S3_URL: vault_url})
    first, second, *_ = days(site, clock, shop, 9)
    until = datetime.now(UTC) + timedelta(days=3)
    name, key = site.bucket.where(f"daily/{first.backup_id}.sql.gz")
    site.bucket.client.put_object_retention(
        Bucket=name, Key=key, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    clock.now = until - timedelta(days=1)
    monkeypatch.setattr(pruning, "_ASKED", 1)
    reasons = {each.verdict.slot: each.verdict.reason for each in plan(site) if each.place is Place.S3}
    assert reasons[second] == "older than 30 days"
    assert reasons[first] == "older than 30 days; whether it is locked is asked when it goes"
    done = prune(site)
    assert gone(done, Place.S3) == [second]
    assert [each.reason for each in done if each.done and each.planned.place is Place.S3] == ["older than 30 days"]


def test_where_nothing_can_be_locked_the_dry_run_asks_for_no_object(site, shop, clock, monkeypatch) -> None:
    first, *_ = days(site, clock, shop, 8)
    clock.pass_by(days=40)
    monkeypatch.setattr(Bucket, "head", None)
    assert [each.verdict.slot for each in plan(site) if not each.keep and each.place is Place.S3] == [first]


def test_a_store_that_does_not_tell_whether_it_locks_is_asked_for_each(
    make_site, source_url, shop, clock, store, vault_url
) -> None:
    site = make_site(source_url, urls={S3_URL: vault_url}, aws={"AWS_ENDPOINT_URL_S3": store.url})
    first, *_ = days(site, clock, shop, 8)
    holds.hold(site, first.backup_id, Asked("ana", "processo 123"))
    site.bucket.delete(f"daily/{first.backup_id}.hold.json")
    clock.pass_by(days=40)
    store.refuse(lambda method, path: "object-lock" in path)
    new = make_site(source_url, urls={S3_URL: vault_url}, aws={"AWS_ENDPOINT_URL_S3": store.url})
    assert new.bucket.may_have_lock
    reasons = {each.verdict.slot: each.verdict.reason for each in plan(new) if each.place is Place.S3}
    assert reasons[first] == "under a legal hold of the bucket's"


@pytest.mark.usefixtures("together")
def test_a_quarterly_is_locked_for_as_long_as_it_is_kept_and_a_daily_is_not(make_site, source_url, vault_url) -> None:
    # The store's clock is real: the slot is one of now.
    now = datetime.now(UTC)
    policy_text = with_crons(due_together(now))
    site = make_site(source_url, urls={S3_URL: vault_url})
    policy = Policy.model_validate(tomllib.loads(policy_text))
    site = replace(site, settings=replace(site.settings, policy=policy), now=lambda: now)
    daily, quarterly = (site.open_slot(tier) for tier in ("daily", "quarterly"))
    for slot, done in zip((daily, quarterly), back_up(site, daily, quarterly), strict=True):
        locked = [file.stored.locked_until for file in done.files if file.stored is not None]
        manifest = site.bucket.head(f"{slot.tier}/{slot.backup_id}.manifest.json")
        assert manifest is not None
        until = site.tier(slot).kept_in_s3.after(slot.due) if slot is quarterly else None
        assert {*locked, manifest.locked_until} == {until}


def test_a_lock_that_the_clock_here_says_is_over_is_refused_by_the_store_and_said(
    make_site, source_url, shop, clock, vault_url
) -> None:
    site = make_site(source_url, urls={S3_URL: vault_url})
    first, *_ = days(site, clock, shop, 8)
    until = datetime.now(UTC) + timedelta(hours=1)
    name, key = site.bucket.where(f"daily/{first.backup_id}.sql.gz")
    site.bucket.client.put_object_retention(
        Bucket=name, Key=key, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    clock.now = until + timedelta(days=100)
    (failed,) = [each for each in prune(site) if each.error]
    assert failed.backup_id == first.backup_id
    assert "locked until" in str(failed.error)


@pytest.mark.parametrize("vault", [True, False])
def test_what_is_held_is_kept_until_it_is_released(
    make_site, source_url, shop, clock, vault, bucket_url, vault_url
) -> None:
    site = make_site(source_url, urls={S3_URL: vault_url if vault else bucket_url})
    first, *_ = days(site, clock, shop, 8)
    clock.pass_by(days=40)
    made = holds.hold(site, first.backup_id, Asked("ana", "processo 123"))
    assert made.legal_holds == (4 if vault else None)
    found = {each.verdict.slot: each for each in plan(site) if each.place is Place.S3}
    assert found[first].verdict.reason == "held by ana: processo 123"
    assert gone(prune(site), Place.S3) == []
    if vault:
        (dump,) = versions(site.bucket, f"daily/{first.backup_id}.sql.gz")
        with pytest.raises(Exception, match="under a legal hold"):
            delete_version(site.bucket, dump)
    assert holds.hold(site, first.backup_id, Asked("rui", "outro")).hold.operator == "ana"
    holds.release(site, first.backup_id)
    assert gone(prune(site), Place.S3) == [first]


def test_only_what_is_there_can_be_held_or_released(site, slot) -> None:
    with pytest.raises(NotFound, match="not archived"):
        holds.hold(site, slot.backup_id, Asked("ana", "x"))
    back_up(site, slot)
    with pytest.raises(NotFound, match="not held"):
        holds.release(site, slot.backup_id)


def test_what_is_being_restored_is_not_pruned(site, shop, clock) -> None:
    first, *_ = days(site, clock, shop, 8)
    clock.pass_by(days=40)
    with reading(site, first.backup_id):
        done = {(each.planned.verdict.slot, each.planned.place): each for each in prune(site)}
        assert done[first, Place.DISK].reason == "it is being restored or proven"
        assert done[first, Place.S3].reason == "it is still on disk"
        (site.settings.folder / f"{first.backup_id}.sql.gz").unlink()
        done = {(each.planned.verdict.slot, each.planned.place): each for each in prune(site)}
        assert done[first, Place.S3].reason == "it is being restored or proven"
    assert gone(prune(site), Place.S3) == [first]
    assert list(site.settings.folder.glob(".*.reading.lock")) == []


@pytest.mark.usefixtures("together")
@pytest.mark.usefixtures("no_wal")
def test_the_files_that_an_unchanged_hour_names_outlive_their_own_time(site, shop, clock, source) -> None:
    clock.now = FIRST + timedelta(minutes=5)
    hours = [Slot("hourly", FIRST + timedelta(hours=number)) for number in range(3)]
    for number, hour in enumerate(hours):
        clock.now = hour.due + timedelta(minutes=5)
        back_up(site, hour)
        assert (line_of(site, hour)["same_as"] is None) is (number == 0)
    later = Slot("hourly", hours[-1].due + timedelta(days=7, hours=-1))
    clock.now = later.due + timedelta(minutes=5)
    shop.execute("insert into vazia values (1)")
    back_up(site, later)
    hourly = site.policy.tier("hourly").model_copy(update={"never_fewer_than": 0})
    policy = site.policy.model_copy(update={"tiers": {**site.policy.tiers, "hourly": hourly}})
    small = replace(site, settings=replace(site.settings, policy=policy))
    done = {(each.planned.verdict.slot, each.planned.place): each for each in prune(small)}
    assert done[hours[0], Place.S3].reason == f"{hours[2].backup_id} needs its files"
    assert gone(list(done.values()), Place.S3) == [hours[1]]
    everything_listed_is_whole(small)


_CUTS = {
    "the mark": lambda method, path: method == "PUT" and ".pruned.json" in path,
    "the tombstone": lambda method, path: method == "PUT" and "/evidence/" in path,
    "the manifest": lambda method, path: method == "DELETE" and "manifest.json" in path,
    "the first file": lambda method, path: method == "DELETE" and "database.sql.gz" in path,
    "the dump": lambda method, path: method == "DELETE" and "020000.sql.gz" in path,
    "the mark's end": lambda method, path: method == "DELETE" and ".pruned.json" in path,
}


@pytest.mark.parametrize("cut", _CUTS)
def test_a_prune_that_is_cut_off_anywhere_leaves_a_catalog_that_is_true(
    make_site, source_url, shop, clock, store, cut
) -> None:
    site = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
    first, *rest = days(site, clock, shop, 8)
    clock.pass_by(days=40)
    store.busy(_CUTS[cut])
    with pytest.raises(StoreUnreachable):
        prune(site)
    store.heal()
    everything_listed_is_whole(site)
    assert set(rest) <= set(listed(site))
    if cut in ("the mark", "the tombstone"):  # nothing goes that was not said
        assert first in listed(site)
    assert gone(prune(site), Place.S3) == [first]
    assert not [key for key in site.bucket.keys("") if first.backup_id in key]
    assert line_of(site, first)["status"] == "pruned"
    (tombstone,) = [link for link in links(site.bucket) if link.kind is Kind.PRUNED]
    assert (tombstone.backup_id, tombstone.body["reason"]) == (first.backup_id, "older than 30 days")
    assert f"daily/{first.backup_id}.sql.gz" in [each["key"] for each in tombstone.body["objects"]]
    assert audit(site).whole


def test_what_is_pruned_in_the_second_place_is_said_with_its_place(make_site, source_url, bucket_url, shop, clock):
    site = make_site(source_url, urls={SECOND_S3_URL: f"{bucket_url}-second"})
    for slot in days(site, clock, shop, 8):
        archive_in_second_place(site, slot)
    clock.pass_by(days=40)
    first, *_ = gone(prune(site.at_second_place), Place.S3)
    (tombstone,) = [link for link in links(site.bucket) if link.kind is Kind.PRUNED]
    assert (tombstone.backup_id, tombstone.body["place"]) == (first.backup_id, "second")
    assert audit(site).whole


def test_a_prune_that_is_killed_is_finished_by_running_again(site, shop, clock) -> None:
    first, *rest = days(site, clock, shop, 8)
    clock.pass_by(days=40)
    with elsewhere(site, first, "prune", hang_at=f"pruning {first.backup_id}") as process:
        assert said(process) == "ready"
        assert said(process) == "hanging"
        process.kill()
        process.wait()
    everything_listed_is_whole(site)
    assert gone(prune(site), Place.S3) == [first]
    assert set(listed(site)) == set(rest)


def test_files_of_a_backup_that_is_being_archived_are_left_alone(site, shop, clock, bucket) -> None:
    days(site, clock, shop, 8)
    clock.pass_by(days=400)
    bucket.put_bytes("daily/daily-2025-01-01-020000.sql.gz", b"half an archive", tags={})
    prune(site)
    assert "daily/daily-2025-01-01-020000.sql.gz" in list(bucket.keys("daily/"))


def test_a_new_machine_prunes_with_nothing_but_the_bucket(site, make_site, shop, clock, tmp_path, source_url) -> None:
    first, *rest = days(site, clock, shop, 8)
    prove(site, first)
    clock.pass_by(days=40)
    new = make_site(source_url, folder=tmp_path / "new")
    assert gone(prune(new), Place.S3) == [first]
    assert listed(new) == rest
    # The old one learns of it as it looks.
    assert gone(prune(site), Place.S3) == []


def test_without_the_permission_to_delete_nothing_is_lost_and_it_is_said(
    make_site, source_url, shop, clock, store
) -> None:
    site = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
    first, *_ = days(site, clock, shop, 8)
    clock.pass_by(days=40)
    store.refuse(lambda method, path: method == "DELETE")
    (failed,) = [each for each in prune(site) if each.error]
    assert (failed.backup_id, "AccessDenied" in str(failed.error)) == (first.backup_id, True)
    store.heal()
    everything_listed_is_whole(site)


def test_what_is_written_of_a_prune_says_why(site, shop, clock, bucket, store, make_site, source_url) -> None:
    broken = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
    first, *_ = days(site, clock, shop, 8)
    clock.pass_by(days=40)
    store.busy(_CUTS["the manifest"])
    with pytest.raises(StoreUnreachable):
        prune(broken)
    mark = json.loads(b"".join(bucket.read(f"daily/{first.backup_id}.pruned.json")))
    assert (mark["backup_id"], mark["reason"]) == (first.backup_id, "older than 30 days")
