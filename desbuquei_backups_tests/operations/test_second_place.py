"""A second place: whatever is lost of the first one, the backup is whole in the other."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from desbuquei_backups.core.errors import ConfigurationError, IntegrityError, NotFound, StoreUnreachable
from desbuquei_backups.core.periods import Period, Unit
from desbuquei_backups.operations import inventory
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.destination import destination
from desbuquei_backups.operations.restore import Wanted, restore
from desbuquei_backups.operations.second_place import archive_in_second_place, behind
from desbuquei_backups.operations.settings import SECOND_S3_URL, from_environment
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import status
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups.storage import catalog
from desbuquei_backups_tests.conftest import Endpoints, MakeSite
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.faults import FaultyStore, completions
from desbuquei_backups_tests.frozen import FrozenStore
from desbuquei_backups_tests.operations.losses import flip, spoil, unfinished
from desbuquei_backups_tests.operations.tiers import DAILY, QUARTERLY, WEEKLY, back_up

pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture
def store(endpoints: Endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as faulty:
        yield faulty


@pytest.fixture
def site(make_site: MakeSite, source_url: str, elsewhere_url: str, store: FaultyStore) -> Site:
    """A site with a second place in the same account, reached through `store`."""
    return make_site(source_url, urls={SECOND_S3_URL: elsewhere_url}, aws={"AWS_ENDPOINT_URL_S3": store.url})


@pytest.fixture
def another(make_site: MakeSite, source_url: str, elsewhere_url: str, endpoints: Endpoints) -> Site:
    """A site whose second place has credentials and an endpoint of its own: the store cannot copy there."""
    return make_site(source_url, urls={SECOND_S3_URL: elsewhere_url}, second_aws=dict(endpoints.aws))


def is_whole_in_second_place(site: Site, *slots: object) -> None:
    for slot in slots:
        assert verify_backup(site.at_second_place, slot.backup_id, remote=True).whole  # type: ignore[attr-defined]
    assert unfinished(site.at_second_place.bucket) == []


def lose_files(site: Site) -> None:
    for path in site.settings.folder.glob("*.sql.gz"):
        path.unlink()


def test_a_backup_is_whole_in_the_second_place_and_a_second_run_sends_nothing(site, slot, store) -> None:
    back_up(site, slot)
    done = archive_in_second_place(site, slot)
    assert not done.reused
    assert all(file.whole for file in done.files)
    is_whole_in_second_place(site, slot)
    assert sorted(site.at_second_place.bucket.keys("daily/")) == sorted(site.bucket.keys("daily/"))
    store.requests.clear()
    assert archive_in_second_place(site, slot).reused
    assert {method for method, _ in store.requests} <= {"GET", "HEAD"}


def test_within_an_account_the_store_copies_what_is_not_on_disk(site, slot, store) -> None:
    back_up(site, slot)
    lose_files(site)
    store.requests.clear()
    archive_in_second_place(site, slot)
    is_whole_in_second_place(site, slot)
    read = [path for method, path in store.requests[: len(store.requests)] if method == "GET" and ".sql.gz" in path]
    assert not [path for path in read if "elsewhere" not in path]


def test_in_another_account_what_is_not_on_disk_goes_by_way_of_this_machine(another, slot) -> None:
    back_up(another, slot)
    lose_files(another)
    archive_in_second_place(another, slot)
    is_whole_in_second_place(another, slot)
    assert list(another.settings.folder.glob(".second-place-*")) == []


def test_a_file_on_disk_that_was_altered_is_taken_from_the_first_place(another, slot) -> None:
    back_up(another, slot)
    spoil(another.settings.folder / f"{slot.backup_id}.sql.gz", flip)
    archive_in_second_place(another, slot)
    is_whole_in_second_place(another, slot)


@pytest.mark.usefixtures("together")
def test_a_frozen_copy_is_made_of_the_dailys_that_is_there_already(
    make_site, source_url, elsewhere_url, endpoints, bucket
) -> None:
    with FrozenStore(endpoints.aws["AWS_ENDPOINT_URL_S3"], bucket) as frozen:
        aws = {"AWS_ENDPOINT_URL_S3": frozen.url}
        site = make_site(source_url, urls={SECOND_S3_URL: elsewhere_url}, aws=aws)
        back_up(site, DAILY, WEEKLY, QUARTERLY)
        lose_files(site)
        for slot in (DAILY, WEEKLY, QUARTERLY):
            archive_in_second_place(site, slot)
        assert frozen.refused == []
        is_whole_in_second_place(site, DAILY, WEEKLY, QUARTERLY)


def test_what_is_not_archived_in_the_first_place_is_not_in_the_second(site, slot) -> None:
    with pytest.raises(NotFound, match="not archived in the first place"):
        archive_in_second_place(site, slot)


def test_an_outage_of_the_second_place_is_made_up_later(site, slot, store) -> None:
    back_up(site, slot)
    store.busy(completions)
    with pytest.raises(StoreUnreachable):
        archive_in_second_place(site, slot)
    assert catalog.in_bucket(site.at_second_place.bucket, slot.tier, slot.backup_id) is None
    assert behind(site, [slot]) == [slot]
    store.heal()
    archive_in_second_place(site, slot)
    is_whole_in_second_place(site, slot)
    assert behind(site, [slot]) == []


def test_an_object_altered_in_both_places_and_lost_on_disk_is_never_copied(another, slot) -> None:
    back_up(another, slot)
    lose_files(another)
    key = catalog.key_of(f"{slot.backup_id}.sql.gz")
    another.bucket.delete(key)
    another.bucket.put_bytes(key, b"something else", tags={})
    with pytest.raises(IntegrityError, match="not what was archived"):
        archive_in_second_place(another, slot)
    assert catalog.in_bucket(another.at_second_place.bucket, slot.tier, slot.backup_id) is None


def test_with_the_first_place_gone_the_second_one_restores(another, slot, target) -> None:
    back_up(another, slot)
    archive_in_second_place(another, slot)
    for key in list(another.bucket.keys("")):
        another.bucket.delete(key)
    assert [held.backup_id for held in inventory.remote(another.at_second_place).held] == [slot.backup_id]
    done = restore(another, slot.backup_id, destination(target), Wanted(place=Place.SECOND))
    assert done.verdict.value == "matches"


def test_status_says_what_the_second_place_has_not(site, slot, clock) -> None:
    back_up(site, slot)
    clock.pass_by(minutes=5)
    found = status(site)
    assert found.second_place is not None
    assert (found.second_place.behind, found.second_place.faults) == ([slot.backup_id], [])
    moved = replace(site, now=lambda: datetime.now(UTC) + timedelta(hours=2))
    found = status(moved)
    assert f"not in the second place: {slot.backup_id}" in found.notes
    archive_in_second_place(site, slot)
    found = status(moved)
    assert found.second_place is not None
    assert found.second_place.said() == "has the newest of every tier"


def test_status_says_that_the_second_place_does_not_answer(make_site, source_url, elsewhere_url, slot) -> None:
    second = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    site = make_site(source_url, urls={SECOND_S3_URL: elsewhere_url}, second_aws=second)
    back_up(site, slot)
    assert any("the second place could not be asked" in note for note in status(site).notes)


def test_the_second_place_has_a_retention_of_its_own(site) -> None:
    policy = site.policy
    tiers = {**policy.tiers, "daily": policy.tier("daily").model_copy(update={"kept_in_second_place": _days(3)})}
    settings = site.settings.__class__(
        policy.model_copy(update={"tiers": tiers}), site.settings.backup_dir, site.settings.home, site.settings.urls
    )
    assert settings.second is not None
    assert settings.second.policy.tier("daily").kept_in_s3 == _days(3)
    assert settings.second.policy.tier("weekly").kept_in_s3 == policy.tier("weekly").kept_in_s3


def _days(count: int) -> Period:
    return Period(count=count, unit=Unit.DAY)


def test_the_second_place_is_another_one(tmp_path) -> None:
    given = {"DESBUQUEI_S3_URL": "s3://a/b", "DESBUQUEI_SECOND_S3_URL": "s3://a/b/", "DESBUQUEI_HOME": str(tmp_path)}
    with pytest.raises(ConfigurationError, match="the same place"):
        _ = from_environment(given).second
    given |= {"DESBUQUEI_SECOND_AWS_ENDPOINT_URL_S3": "https://elsewhere.example"}
    second = from_environment(given).second
    assert second is not None
    assert (second.s3_url, second.aws) == ("s3://a/b/", {"AWS_ENDPOINT_URL_S3": "https://elsewhere.example"})
    assert "elsewhere.example" not in repr(second)


def test_without_a_second_place_it_says_which_setting_to_set(make_site, source_url, slot) -> None:
    with pytest.raises(ConfigurationError, match="DESBUQUEI_SECOND_S3_URL is not set"):
        archive_in_second_place(make_site(source_url), slot)


def test_a_second_place_that_does_not_answer_is_no_fault_of_the_first(make_site, source_url, elsewhere_url, slot):
    second = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    site = make_site(source_url, urls={SECOND_S3_URL: elsewhere_url}, second_aws=second)
    back_up(site, slot)
    with pytest.raises(StoreUnreachable):
        archive_in_second_place(site, slot)
    assert verify_backup(site, slot.backup_id, remote=True).whole
