"""A clock that is wrong: nothing is deleted too early by it, and the operator is told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import botocore.auth
import pytest

from desbuquei_backups.core.errors import ClockWrong, StoreRefused
from desbuquei_backups.core.retention import Place
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.doctor import Outcome
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.prune import prune
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.test_doctor import examined

HOUR, YEAR = timedelta(hours=1), timedelta(days=365)


@pytest.fixture
def store(endpoints: Endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as faulty:
        yield faulty


@pytest.fixture
def site(make_site, source_url, store) -> Site:
    """A site through `store`, whose clock is real, as the store's is."""
    site = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
    return replace(site, now=lambda: datetime.now(UTC))


def old_and_new(site: Site, source) -> tuple[Slot, Slot]:
    """Two manual backups of just now: the older one goes when its 30 days are over."""
    slots = []
    for minutes in (20, 10):
        slots.append(Slot("manual", datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)))
        source.execute("insert into pedidos values (%s, 1, 1)", (1000 + minutes,))
        take_dump(site, slots[-1], asked=Asked("ana", "antes da migração"))
        seal(site, slots[-1])
        archive(site, slots[-1])
    return slots[0], slots[1]


def ahead(site: Site, length: timedelta) -> Site:
    return replace(site, now=lambda: datetime.now(UTC) + length)


def test_a_machine_whose_clock_is_wrong_prunes_nothing_in_any_place(site, shop) -> None:
    old_and_new(site, shop)
    before = sorted(site.bucket.keys("")), sorted(site.settings.folder.glob("*.gz"))
    for by, how in ((YEAR, "ahead of"), (HOUR, "ahead of"), (timedelta(minutes=10), "ahead of"), (-HOUR, "behind")):
        with pytest.raises(ClockWrong, match=f"{how} the store's") as refused:
            prune(ahead(site, by))
        assert "NTP" in refused.value.remedy
    assert (sorted(site.bucket.keys("")), sorted(site.settings.folder.glob("*.gz"))) == before


def test_a_store_whose_clock_is_wrong_prunes_nothing_either(site, store) -> None:
    store.ahead = -HOUR
    with pytest.raises(ClockWrong, match="1 h ahead of the store's"):
        prune(site)


def test_where_both_clocks_have_moved_on_the_same_backup_goes(site, shop, store) -> None:
    older, _ = old_and_new(site, shop)
    store.ahead = YEAR
    done = prune(ahead(site, YEAR + timedelta(minutes=4)))
    gone = {(each.planned.verdict.slot, each.planned.place) for each in done if each.done}
    assert gone >= {(older, Place.DISK), (older, Place.S3)}


def test_a_store_that_tells_no_time_is_not_believed(site, monkeypatch) -> None:
    monkeypatch.setattr("desbuquei_backups.storage.s3_reading.store_time", lambda _: None)
    with pytest.raises(ClockWrong, match="tells no time"):
        prune(site)


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_doctor_says_how_far_the_clocks_are_apart(site, store, by) -> None:
    store.ahead = by
    found = examined(site, read_only=True)["bucket", "clock"]
    assert found.outcome is Outcome.FAILURE
    assert found.said in ("3599 s apart", "3600 s apart", "3601 s apart")
    assert "NTP" in found.remedy


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_a_store_that_refuses_requests_for_their_time_says_to_set_the_clock(site, monkeypatch, by) -> None:
    """The embedded server refuses by itself what is signed at another hour, as AWS does."""
    real = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *given, **named: real(*given, **named) + by)
    found = examined(site)["bucket", "reachable"]
    assert found.outcome is Outcome.FAILURE
    assert "RequestTimeTooSkewed" in found.said
    assert "NTP" in found.remedy
    with pytest.raises(StoreRefused) as refused:  # of a HEAD, which says no more than 403
        site.bucket.head("daily/x")
    assert "clock" in refused.value.remedy
