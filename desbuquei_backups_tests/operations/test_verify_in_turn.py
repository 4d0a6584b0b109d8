"""Seven years of backups are not read back in one night: none may be left out for ever, and none forgotten as good."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desbuquei_backups.core.errors import StoreUnreachable
from desbuquei_backups.operations import verified
from desbuquei_backups.operations.settings import SECOND_S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import status
from desbuquei_backups.operations.verification import chosen, verify_backup
from desbuquei_backups.operations.verified import Verification
from desbuquei_backups.operations.verify_in_turn import verify_in_turn
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.vault import CONTENT, manifest_of, stored

IDS = [f"daily-2026-02-0{day}-020000" for day in (1, 2, 3)]
SIZE = len(CONTENT)


@pytest.fixture
def site(make_site) -> Site:
    """A site with nothing but the bucket, its policy having the daily tier alone."""
    bare = make_site(None)
    policy = bare.policy.model_copy(update={"tiers": {"daily": bare.policy.tier("daily")}})
    return replace(bare, settings=replace(bare.settings, policy=policy))


@pytest.fixture
def three(bucket: Bucket) -> list[str]:
    """The ids of three dailies in S3, oldest first."""
    for backup_id in IDS:
        stored(bucket, backup_id)
    return IDS


def turn(site: Site, budget: int | None = None) -> list[str]:
    """The ids that were verified, in their order."""
    done = verify_in_turn(site, chosen(site, latest=None, remote=True), budget=budget)
    return [each.backup_id for each in done.done]


def put_instead(site: Site, backup_id: str, content: bytes) -> None:
    """Put another object in the place of the dump."""
    key = key_of(f"{backup_id}.sql.gz")
    site.bucket.delete(key)
    site.bucket.put_bytes(key, content, tags={})


def test_each_time_what_was_verified_the_longest_ago_is_read_and_in_the_end_all_of_it(site, three, clock) -> None:
    assert turn(site) == three  # the oldest first, where none was
    clock.pass_by(hours=1)
    for backup_id in (*three, three[0]):
        assert turn(site, SIZE) == [backup_id]
        clock.pass_by(hours=1)


def test_what_was_never_verified_comes_first_and_the_budget_is_not_exceeded(site, three, clock) -> None:
    for backup_id in (three[1], three[0]):
        verify_backup(site, backup_id, remote=True)
        clock.pass_by(hours=1)
    done = verify_in_turn(site, three, budget=3 * SIZE - 1)
    assert [each.backup_id for each in done.done] == [three[2], three[1]]
    assert (done.left, done.read_bytes) == (1, 2 * SIZE)
    assert (done.oldest.backups, done.oldest.never, done.oldest.backup_id) == (3, 0, three[0])


def test_a_verification_that_failed_is_not_remembered_as_good_and_stays_first(site, three, clock) -> None:
    turn(site)
    clock.pass_by(hours=1)
    put_instead(site, three[2], b"not a dump")
    assert turn(site, 1) == three[:1]
    assert not verify_backup(site, three[2], remote=True).whole
    for _ in range(2):
        clock.pass_by(hours=1)
        assert turn(site, 1)[0] == three[2]
    found = status(site).last_verified
    assert found is not None
    assert (found.backups, found.never, found.backup_id) == (3, 1, three[1])
    put_instead(site, three[2], CONTENT)
    assert turn(site, 1) == [three[2]]
    assert turn(site, 1) == [three[1]]


def test_what_is_frozen_costs_nothing_of_the_budget(site, three) -> None:
    name, key = site.bucket.where(key_of(f"{three[0]}.sql.gz"))
    metadata = {"sha256": manifest_of(three[0]).dump.sha256}
    site.bucket.client.put_object(Bucket=name, Key=key, Body=CONTENT, StorageClass="DEEP_ARCHIVE", Metadata=metadata)
    done = verify_in_turn(site, three, budget=1)
    first, second = done.done
    assert (first.backup_id, first.whole, first.read_bytes) == (three[0], True, 0)
    assert [file.name for file in first.files if file.unread] == [f"{three[0]}.sql.gz"]
    assert (second.backup_id, second.read_bytes, done.left) == (three[1], SIZE, 1)


def test_a_store_that_breaks_off_leaves_what_was_verified_remembered(site, three, make_site, endpoints) -> None:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        store.busy(lambda method, path: f"{three[1]}.sql.gz" in path)
        with pytest.raises(StoreUnreachable):
            turn(make_site(None, aws={"AWS_ENDPOINT_URL_S3": store.url}))
    assert list(verified.last_whole(site)) == [three[0]]


def test_a_backup_that_is_gone_meanwhile_ends_no_round(site, three) -> None:
    ids = chosen(site, latest=None, remote=True)
    site.bucket.delete(f"daily/{three[0]}.manifest.json")
    done = verify_in_turn(site, ids, budget=None)
    assert [(each.backup_id, each.whole) for each in done.done] == list(zip(three, (False, True, True), strict=True))


def test_a_torn_line_and_a_folder_that_cannot_be_written_lose_no_verification(site, three, clock) -> None:
    turn(site)
    path = site.settings.folder / ".verified-in-s3.jsonl"
    with path.open("a") as file:
        file.write('\n{"backup_id": "daily-2026')
    assert len(verified.last_whole(site)) == 3
    clock.pass_by(hours=1)
    verify_backup(site, three[0], remote=True)
    assert verified.last_whole(site)[three[0]] == clock()
    path.unlink()
    path.mkdir()
    assert verify_backup(site, three[0], remote=True).whole
    assert turn(site) == three


def test_the_memory_of_100_000_backups_stays_small_and_quick(site, clock, monkeypatch) -> None:
    monkeypatch.setattr(verified, "_LOOSE", 5)
    for number in range(30):
        verified.remember(
            site, Verification(f"daily-2026-01-0{number % 3 + 1}-020000", clock(), whole=True, read_bytes=1)
        )
        clock.pass_by(minutes=1)
    path = site.settings.folder / ".verified-in-s3.jsonl"
    before = verified.last_whole(site)
    assert path.read_bytes().count(b"backup_id") == 3
    assert verified.last_whole(site) == before
    assert before["daily-2026-01-03-020000"] == clock() - timedelta(minutes=1)


def test_the_second_place_is_remembered_apart(make_site, bucket_url, three, site) -> None:
    elsewhere = make_site(None, urls={SECOND_S3_URL: bucket_url + "-second"})
    verified.remember(elsewhere.at_second_place, Verification(three[0], site.now(), whole=True, read_bytes=1))
    assert verified.last_whole(elsewhere.at_second_place).keys() == {three[0]}
    assert verified.last_whole(elsewhere) == {}


def test_what_was_never_verified_is_said(site, bucket) -> None:
    stored(bucket, IDS[0])
    found = status(site).last_verified
    assert found is not None
    assert found.said() == "none of 1"
