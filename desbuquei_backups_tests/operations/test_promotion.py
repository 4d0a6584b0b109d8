"""Tiers that fall due together: the database is read once, and each has a backup that stands alone."""

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.errors import BackupError, ConfigurationError, IntegrityError, NotFound, SlotError
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import status
from desbuquei_backups.operations.storing import class_of
from desbuquei_backups.operations.verify import faults_in_bucket
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Clock, Endpoints, MakeSite
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.elsewhere import elsewhere, said
from desbuquei_backups_tests.operations.losses import flip, line_of, unfinished
from desbuquei_backups_tests.operations.tiers import (
    ALL,
    DAILY,
    HOURLY,
    MONTHLY,
    QUARTERLY,
    TOGETHER,
    WEEKLY,
    back_up,
    counted_dumps,
    fill,
)

pytestmark = pytest.mark.usefixtures("together", "no_wal")


def everything_is_true(site: Site, *slots: Slot) -> None:
    """Each backup is sealed, archived whole in its own class, and listed once."""
    shas = set()
    for slot in slots:
        manifest = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
        assert manifest is not None
        assert {file.name.partition(".")[0] for file in manifest.files} == {slot.backup_id}
        assert faults_in_bucket(site.bucket, manifest) == []
        there = site.bucket.head(catalog.key_of(manifest.dump.name))
        assert there is not None
        assert there.storage_class is class_of(site, manifest.dump)
        assert line_of(site, slot)["status"] == "success"
        assert line_of(site, slot)["storage_class"] == there.storage_class.value
        shas.add(manifest.dump.sha256)
    assert len(shas) == 1
    assert unfinished(site.bucket) == []


def _forget_on_disk(site: Site, slot: Slot) -> None:
    """Its time on disk is over."""
    for path in site.settings.folder.glob(f"{slot.backup_id}.*"):
        path.unlink()


@pytest.mark.parametrize("first", ALL, ids=lambda slot: slot.tier)
def test_whichever_tier_runs_first_dumps_and_the_others_take_its_dump(
    site: Site, shop: psycopg.Connection, first: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted_dumps(monkeypatch) as dumps:
        back_up(site, first, *(slot for slot in ALL if slot != first))
    assert len(dumps) == 1
    everything_is_true(site, *ALL)
    read = {slot.tier: line_of(site, slot)["egress_bytes"] for slot in ALL}
    assert [tier for tier, count in read.items() if count] == [first.tier]


@pytest.mark.parametrize("seed", range(4))
def test_however_their_steps_interleave_the_database_is_read_once(
    site: Site, shop: psycopg.Connection, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo: dict[Slot, list[Callable[[Site, Slot], object]]] = {slot: [fill, seal, archive] for slot in ALL}
    chosen = random.Random(seed)  # noqa: S311 - an order, no secret
    with counted_dumps(monkeypatch) as dumps:
        while left := [slot for slot, steps in todo.items() if steps]:
            slot = chosen.choice(left)
            todo[slot].pop(0)(site, slot)
    assert len(dumps) == 1
    everything_is_true(site, *ALL)


def test_a_promotion_moves_no_byte_of_the_dump_through_this_machine(
    make_site: MakeSite, source_url: str, shop: psycopg.Connection, endpoints: Endpoints
) -> None:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        site = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
        back_up(site, DAILY)
        store.requests.clear()
        back_up(site, MONTHLY)
    name = f"/{DAILY.backup_id}.sql.gz"
    assert [path for method, path in store.requests if method == "GET" and path.partition("?")[0].endswith(name)] == []
    assert {slot for slot, line in ((s, line_of(site, s)) for s in (DAILY, MONTHLY)) if line["egress_bytes"]} == {DAILY}


def test_a_long_tier_keeps_nothing_on_disk_but_its_manifest(site: Site, shop: psycopg.Connection) -> None:
    back_up(site, DAILY, WEEKLY)
    folder = site.settings.folder
    assert [path.name for path in folder.glob("weekly-*")] == [manifest_name(WEEKLY.backup_id)]
    assert (folder / f"{DAILY.backup_id}.sql.gz").exists()
    again = fill(site, WEEKLY)
    assert (again.where, again.reused) == ("S3", True)
    assert seal(site, WEEKLY).reused
    assert archive(site, WEEKLY).reused


def test_a_long_tier_that_ran_first_leaves_its_dump_to_the_tier_that_keeps_it(
    site: Site, shop: psycopg.Connection
) -> None:
    folder = site.settings.folder
    back_up(site, QUARTERLY)
    assert (folder / f"{QUARTERLY.backup_id}.sql.gz").exists()
    back_up(site, DAILY)
    assert (folder / f"{DAILY.backup_id}.sql.gz").exists()
    everything_is_true(site, QUARTERLY, DAILY)


def test_a_slot_is_filled_from_no_other_instant(site: Site, shop: psycopg.Connection, clock: Clock) -> None:
    back_up(site, DAILY)
    clock.pass_by(hours=1)
    later = Slot("hourly", TOGETHER + timedelta(hours=1))
    shop.execute("insert into clientes (nome) values ('nova')")
    taken = fill(site, later)
    assert taken.manifest.origin is None
    assert taken.manifest.dump.sha256 != catalog.in_bucket(site.bucket, "daily", DAILY.backup_id).dump.sha256  # type: ignore[union-attr]


def test_a_promoted_backup_stands_alone_when_all_others_are_gone(site: Site, shop: psycopg.Connection) -> None:
    back_up(site, DAILY, WEEKLY)
    for key in list(site.bucket.keys("daily/")):
        site.bucket.delete(key)
    for path in site.settings.folder.iterdir():
        if path.is_file():
            path.unlink()
    proof = prove(site, WEEKLY)
    assert proof.restored == WEEKLY.backup_id
    assert proof.verdict == "matches"


def test_when_the_daily_failed_the_weekly_takes_a_dump_of_its_own(
    site: Site, shop: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise IntegrityError("the daily cannot be taken", remedy="none")

    with monkeypatch.context() as patch:
        patch.setattr("desbuquei_backups.operations.snapshot_dump.SnapshotDump.take", refused)
        with pytest.raises(IntegrityError):
            fill(site, DAILY)
    back_up(site, WEEKLY)
    assert line_of(site, DAILY)["status"] == "failed"
    everything_is_true(site, WEEKLY)
    back_up(site, DAILY)
    everything_is_true(site, WEEKLY, DAILY)


def test_a_daily_whose_archive_is_blocked_does_not_hold_the_weekly_back(
    site: Site, shop: psycopg.Connection, bucket: Bucket
) -> None:
    fill(site, DAILY)
    seal(site, DAILY)
    bucket.put_bytes(f"daily/{DAILY.backup_id}.sql.gz", b"somebody else's", tags={})
    with pytest.raises(BackupError, match="already there with other content"):
        archive(site, DAILY)
    back_up(site, WEEKLY)
    everything_is_true(site, WEEKLY)


@pytest.mark.parametrize("change", ["altered", "gone"])
def test_a_source_object_that_changed_is_never_copied(
    site: Site, shop: psycopg.Connection, bucket: Bucket, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, DAILY)
    key = f"daily/{DAILY.backup_id}.sql.gz"
    whole = b"".join(bucket.read(key))
    bucket.delete(key)
    if change == "altered":
        bucket.client.put_object(
            Bucket=bucket.name,
            Key=bucket._key(key),
            Body=flip(whole),
            Metadata={"sha256": str(line_of(site, DAILY)["checksum_sha256"])},
        )
    with counted_dumps(monkeypatch) as dumps:
        back_up(site, WEEKLY)  # from the daily's file on disk
    assert dumps == []
    everything_is_true(site, WEEKLY)


@pytest.mark.parametrize("change", ["altered", "gone"])
def test_a_source_object_that_changed_after_the_weekly_took_it_over_is_found_out(
    site: Site, shop: psycopg.Connection, bucket: Bucket, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, DAILY)
    fill(site, WEEKLY)
    seal(site, WEEKLY)
    _forget_on_disk(site, DAILY)
    key = f"daily/{DAILY.backup_id}.sql.gz"
    bucket.delete(key)
    if change == "altered":
        bucket.put_bytes(key, b"another", tags={})
    with pytest.raises(NotFound if change == "gone" else IntegrityError, match="which it is a copy of") as caught:
        archive(site, WEEKLY)
    assert caught.value.backup_id == WEEKLY.backup_id
    assert unfinished(bucket) == []
    assert catalog.in_bucket(bucket, "weekly", WEEKLY.backup_id) is None
    with counted_dumps(monkeypatch) as dumps:
        back_up(site, WEEKLY)  # run again, as the error says: there is nothing left to take over
    assert len(dumps) == 1
    everything_is_true(site, WEEKLY)


def test_a_source_object_that_is_replaced_while_it_is_copied_makes_no_copy(
    make_site: MakeSite, source_url: str, shop: psycopg.Connection, bucket: Bucket, endpoints: Endpoints
) -> None:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        site = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
        back_up(site, DAILY)
        fill(site, WEEKLY)
        seal(site, WEEKLY)
        _forget_on_disk(site, DAILY)
        key = f"daily/{DAILY.backup_id}.sql.gz"
        metadata = {"sha256": str(line_of(site, DAILY)["checksum_sha256"])}
        other = flip(b"".join(bucket.read(key)))
        store.before(
            lambda method, path: method == "PUT" and "partNumber=" in path,
            lambda: bucket.client.put_object(Bucket=bucket.name, Key=bucket._key(key), Body=other, Metadata=metadata),
        )
        with pytest.raises(IntegrityError, match="was replaced while it was copied"):
            archive(site, WEEKLY)
    assert unfinished(bucket) == []
    assert bucket.head(f"weekly/{WEEKLY.backup_id}.sql.gz") is None


@pytest.mark.parametrize("hang_at", ["taking over daily-2023-10-01-020000", "archiving"])
def test_a_promotion_that_is_killed_anywhere_is_finished_by_running_again(
    site: Site, shop: psycopg.Connection, hang_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, DAILY)
    step = "archive" if hang_at == "archiving" else "take_dump"
    if step == "archive":
        fill(site, WEEKLY)
        seal(site, WEEKLY)
    with elsewhere(site, WEEKLY, step, hang_at=hang_at) as process:
        assert said(process) == "ready"
        assert said(process) == "hanging"
        process.kill()
    with counted_dumps(monkeypatch) as dumps:
        back_up(site, WEEKLY)
    assert dumps == []
    everything_is_true(site, DAILY, WEEKLY)


def _uploads_begun(method: str, path: str) -> bool:
    return method == "POST" and path.endswith("?uploads")


def _manifests(method: str, path: str) -> bool:
    return method == "PUT" and path.endswith(".manifest.json")


def _copies(method: str, path: str) -> bool:
    return method == "PUT" and "partNumber=" in path


@pytest.mark.parametrize("cut_off", [_uploads_begun, _copies, _manifests])
def test_a_promotion_that_is_cut_off_anywhere_is_finished_by_running_again(
    make_site: MakeSite,
    source_url: str,
    shop: psycopg.Connection,
    endpoints: Endpoints,
    cut_off: Callable[[str, str], bool],
) -> None:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        site = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
        back_up(site, DAILY)
        fill(site, WEEKLY)
        seal(site, WEEKLY)
        store.cut(cut_off)
        with pytest.raises(BackupError):
            archive(site, WEEKLY)
        store.heal()
        assert catalog.in_bucket(site.bucket, "weekly", WEEKLY.backup_id) is None
        assert line_of(site, WEEKLY)["status"] == "failed"
        back_up(site, WEEKLY)
        everything_is_true(site, DAILY, WEEKLY)


def test_while_s3_is_down_a_weekly_waits_for_the_daily_that_is_there_and_reads_nothing_again(
    make_site: MakeSite, source_url: str, shop: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(source_url)
    back_up(site, DAILY)
    _forget_on_disk(site, DAILY)
    down = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    with counted_dumps(monkeypatch) as dumps:
        with pytest.raises(BackupError) as caught:
            fill(down, WEEKLY)
        assert not caught.value.permanent
        back_up(site, WEEKLY)
    assert dumps == []
    everything_is_true(site, DAILY, WEEKLY)


def test_from_the_bucket_alone_a_new_machine_promotes(
    make_site: MakeSite, source_url: str, shop: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(make_site(source_url), DAILY)
    elsewhere_site = make_site(source_url, folder=tmp_path / "new")
    with counted_dumps(monkeypatch) as dumps:
        back_up(elsewhere_site, WEEKLY, HOURLY)
    assert dumps == []
    everything_is_true(elsewhere_site, WEEKLY, HOURLY)


def test_a_clock_that_went_back_opens_no_slot_again(site: Site, shop: psycopg.Connection, clock: Clock) -> None:
    clock.now = TOGETHER + timedelta(hours=1, minutes=5)
    back_up(site, Slot("hourly", TOGETHER + timedelta(hours=1)))
    clock.now = TOGETHER + timedelta(minutes=50)
    with pytest.raises(SlotError, match="clock went back") as caught:
        fill(site, HOURLY)
    assert caught.value.backup_id == HOURLY.backup_id
    assert not list(site.settings.folder.glob(f"{HOURLY.backup_id}*"))


def test_a_slot_that_was_filled_and_is_open_again_by_the_clock_is_verified(
    site: Site, shop: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, HOURLY)
    clock.now = TOGETHER + timedelta(hours=1, minutes=5)
    back_up(site, Slot("hourly", TOGETHER + timedelta(hours=1)))
    clock.now = TOGETHER + timedelta(minutes=50)
    with counted_dumps(monkeypatch) as dumps:
        assert fill(site, HOURLY).reused
    assert dumps == []


def test_a_clock_that_ran_ahead_closes_no_slot_for_good(site: Site, shop: psycopg.Connection, clock: Clock) -> None:
    clock.now = TOGETHER.replace(year=2090) + timedelta(minutes=5)
    back_up(site, Slot("hourly", TOGETHER.replace(year=2090)))
    clock.now = TOGETHER + timedelta(minutes=10)
    shop.execute("insert into clientes (nome) values ('nova')")
    back_up(site, HOURLY)
    everything_is_true(site, HOURLY)
    found = status(site)
    assert {tier.tier: tier.last_good for tier in found.tiers}["hourly"] == HOURLY.backup_id
    assert any("hourly-2090" in note and "clock" in note for note in found.notes)


def test_a_backup_whose_run_was_killed_before_its_line_was_written_gets_one(
    site: Site, shop: psycopg.Connection
) -> None:
    fill(site, DAILY)
    (site.settings.folder / records.FILE).unlink()
    back_up(site, DAILY)
    assert (line_of(site, DAILY)["status"], line_of(site, DAILY)["file"]) == ("success", f"{DAILY.backup_id}.sql.gz")
    assert line_of(site, DAILY)["s3_uri"]


def test_a_backup_is_finished_though_its_tiers_cron_was_changed(site: Site, shop: psycopg.Connection) -> None:
    fill(site, DAILY)
    tiers = {**site.policy.tiers, "daily": site.policy.tier("daily").model_copy(update={"cron": "30 3 * * *"})}
    object.__setattr__(site.settings, "policy", site.policy.model_copy(update={"tiers": tiers}))
    back_up(site, DAILY)
    everything_is_true(site, DAILY)


def test_what_a_tier_left_for_another_leaves_the_disk_when_nobody_can_want_it_any_more(
    site: Site, shop: psycopg.Connection, clock: Clock
) -> None:
    back_up(site, WEEKLY)
    assert list(site.settings.folder.glob("weekly-*.sql.gz"))
    clock.pass_by(days=2)  # the daily and the hourly of that instant were missed
    back_up(site, Slot("daily", DAILY.due + timedelta(days=2)))
    assert not list(site.settings.folder.glob("weekly-*.sql.gz"))


@pytest.mark.parametrize("slot", [DAILY, WEEKLY], ids=["the same slot", "another tier's"])
def test_another_databases_backup_in_the_same_bucket_is_not_taken_for_ones_own(
    make_site: MakeSite, source_url: str, shop: psycopg.Connection, endpoints: Endpoints, tmp_path: Path, slot: Slot
) -> None:
    back_up(make_site(source_url), DAILY)
    other = make_site(endpoints.source, folder=tmp_path / "other")  # the same bucket and prefix
    with pytest.raises(ConfigurationError, match=r"is of the database test_.*, not of desbuquei") as caught:
        fill(other, slot)
    assert "prefix of its own" in caught.value.remedy


def test_more_parts_are_copied_as_they_were_sent(
    site: Site, big: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desbuquei_backups.storage.parts._PART", 5 * 1024 * 1024)
    back_up(site, DAILY, WEEKLY)
    heads = [site.bucket.head(f"{slot.tier}/{slot.backup_id}.sql.gz") for slot in (DAILY, WEEKLY)]
    assert heads[0] is not None
    assert heads[1] is not None
    assert heads[0].checksum == heads[1].checksum
    assert not (heads[1].checksum or "-1").endswith("-1")
    everything_is_true(site, DAILY, WEEKLY)
