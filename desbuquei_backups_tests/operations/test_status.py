"""Who asks "are we safe?" must not be told yes by a backup that is missing, unarchived or unproven."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from desbuquei_backups.core.errors import NotFound, SourceUnreachable, StoreUnreachable
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import inventory
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.records import FILE
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import DATABASE_URL, S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import Safety, status
from desbuquei_backups.operations.verification import chosen, verify_backup
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups_tests.examples import example_manifest
from desbuquei_backups_tests.fakes import free_port


@pytest.fixture
def site(make_site, source_url) -> Site:
    """A site whose policy has the daily tier alone."""
    return only(make_site(source_url), "daily")


def only(site: Site, *tiers: str) -> Site:
    kept = {name: site.policy.tier(name) for name in tiers}
    return replace(site, settings=replace(site.settings, policy=site.policy.model_copy(update={"tiers": kept})))


def recorded(site: Site, *backup_ids: str, archived: bool = True, **said) -> None:
    """Lines as good backups have them, and their manifests in the bucket."""
    site.settings.folder.mkdir(exist_ok=True)
    for backup_id in backup_ids:
        slot = Slot.of_id(backup_id)
        line = {
            "backup_id": backup_id,
            "status": "success",
            "backup_timestamp": slot.due.isoformat(),
            "s3_uri": "s3://b/k" if archived else None,
            "recovery_tested": True,
        }
        with (site.settings.folder / FILE).open("a") as file:
            file.write(json.dumps(line | said) + "\n")
        if archived:
            manifest = example_manifest(backup_id=backup_id, tier=slot.tier, slot=slot.due, taken_at=slot.due)
            site.bucket.put_bytes(f"{slot.tier}/{manifest_name(backup_id)}", manifest.to_bytes(), tags={})


def backed_up(site: Site, slot: Slot, *steps) -> None:
    for step in (take_dump, seal, *steps):
        step(site, slot)


def test_safe_is_a_backup_that_is_archived_and_proven(site, slot, clock):
    backed_up(site, slot, archive, prove)
    clock.pass_by(hours=3)
    found = status(site)
    assert (found.safety, found.tiers[0].last_good, found.tiers[0].proven) == (Safety.SAFE, slot.backup_id, True)
    assert found.tiers[0].age == clock() - found.tiers[0].taken_at
    assert found.tiers[0].missed == []


def test_no_backup_at_all_is_not_safe(site):
    assert status(site).safety is Safety.NOT_SAFE


def test_a_backup_that_never_left_the_machine_is_not_safe(site, slot):
    backed_up(site, slot)
    found = status(site)
    assert (found.safety, found.tiers[0].last_good) == (Safety.NOT_SAFE, None)


def test_a_backup_that_nobody_restored_is_a_risk(site, slot, clock):
    backed_up(site, slot, archive)
    clock.pass_by(hours=3)
    found = status(site)
    assert found.safety is Safety.AT_RISK
    assert "not proven" in found.reason


def test_an_empty_slot_is_a_risk_and_two_are_not_safe(site, slot, clock):
    backed_up(site, slot, archive, prove)
    clock.pass_by(hours=23, minutes=55)  # 02:05 of the next day: the next one may be running
    assert status(site).safety is Safety.SAFE
    clock.pass_by(hours=2)
    assert status(site).safety is Safety.AT_RISK
    clock.pass_by(days=2)
    found = status(site)
    assert found.safety is Safety.NOT_SAFE
    assert found.tiers[0].missed == ["2026-02-04-020000", "2026-02-03-020000"]


def test_an_attempt_that_failed_says_why_at_once(site, slot, clock, make_site):
    backed_up(site, slot, archive, prove)
    clock.pass_by(days=1)
    broken = only(make_site(f"postgresql://x@127.0.0.1:{free_port()}/x"), "daily")
    with pytest.raises(SourceUnreachable):
        take_dump(broken, broken.open_slot("daily"))
    found = status(site)
    assert found.safety is Safety.AT_RISK
    assert "cannot connect" in found.reason
    assert [each.status for each in inventory.local(site).held] == ["failed", "sealed"]


def test_it_can_be_asked_with_the_database_and_s3_down(site, slot, make_site, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    backed_up(site, slot, archive, prove)
    nowhere = f"127.0.0.1:{free_port()}"
    alone = make_site(f"postgresql://x@{nowhere}/x", aws={"AWS_ENDPOINT_URL_S3": f"http://{nowhere}"})
    found = status(only(alone, "daily"))
    assert found.safety is Safety.AT_RISK
    assert "S3 could not be asked" in found.reason
    assert found.tiers[0].last_good == slot.backup_id


def test_the_bucket_alone_tells_what_there_is(site, slot, make_site, tmp_path):
    backed_up(site, slot, archive)
    elsewhere = only(make_site(None, urls={S3_URL: site.settings.s3_url}, folder=tmp_path / "lost"), "daily")
    found = inventory.remote(elsewhere)
    assert [(each.backup_id, each.where, each.proven) for each in found.held] == [(slot.backup_id, ["s3"], None)]
    assert not found.faults
    assert status(elsewhere).tiers[0].last_good == slot.backup_id
    assert DATABASE_URL not in elsewhere.settings.urls


def test_a_manifest_that_cannot_be_read_hides_no_other_backup(site, slot):
    backed_up(site, slot, archive, prove)
    (site.settings.folder / "daily-2026-02-01-020000.manifest.json").write_text("{")
    found = inventory.local(site)
    assert [each.backup_id for each in found.held] == [slot.backup_id]
    assert len(found.faults) == 1
    assert status(site).safety is Safety.AT_RISK


def test_a_full_disk_is_told_before_it_fails_a_backup(site, slot, clock, monkeypatch):
    backed_up(site, slot, archive, prove)
    usage = type("usage", (), {"total": 100, "used": 80, "free": 20})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    found = status(site)
    assert found.safety is Safety.AT_RISK
    assert "80 %" in found.reason


def test_an_altered_file_is_named_and_the_others_are_not(site, slot):
    backed_up(site, slot, archive)
    manifest = archive(site, slot).manifest
    path = site.settings.folder / manifest.files[1].name
    path.write_bytes(path.read_bytes() + b"x")
    on_disk = verify_backup(site, slot.backup_id, remote=False)
    assert [file.name for file in on_disk.files if file.faults] == [path.name]
    assert verify_backup(site, slot.backup_id, remote=True).whole
    key = key_of(manifest.dump.name)
    site.bucket.delete(key)
    site.bucket.put_bytes(key, b"not a dump", tags={})
    in_s3 = verify_backup(site, slot.backup_id, remote=True)
    assert [file.name for file in in_s3.files if file.faults] == [manifest.dump.name]


def test_an_unreadable_manifest_is_a_fault_of_its_backup_and_not_an_end_to_the_others(site, slot):
    backed_up(site, slot)
    other = "daily-2026-02-01-020000"
    (site.settings.folder / f"{other}.manifest.json").write_text("{")
    ids = chosen(site, latest=None, remote=False)
    assert ids == [slot.backup_id, other]
    assert [verify_backup(site, each, remote=False).whole for each in ids] == [True, False]
    assert chosen(site, latest="daily", remote=False) == [slot.backup_id]


def test_nothing_to_verify_is_not_a_success(site):
    with pytest.raises(NotFound):
        chosen(site, latest=None, remote=False)


def test_a_line_written_by_hand_does_not_pass_for_a_backup(site, slot):
    backed_up(site, slot, archive)
    line = {"backup_id": "daily-2026-02-01-020000", "status": "success", "backup_timestamp": "2026-02-01T02:00:00Z"}
    with (site.settings.folder / FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert inventory.local(site).held[1].where == []
    assert status(site).tiers[0].last_good == slot.backup_id
    assert timedelta(0) < status(site).tiers[0].next_due - site.now()


def test_a_sealed_backup_whose_archive_failed_says_why(site, slot, clock, make_site, monkeypatch, source_url):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    backed_up(site, slot)
    cut_off = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(StoreUnreachable) as caught:
        archive(cut_off, slot)
    (held,) = inventory.local(site).held
    assert (held.status, held.where, held.size is not None) == ("failed", ["disk"], True)
    assert held.error == " ".join(caught.value.what.split())
    assert held.error in str(status(site).tiers[0].trouble)
    archive(site, slot)
    (held,) = inventory.local(site).held
    assert (held.status, held.where, held.error) == ("sealed", ["disk", "s3"], None)


def test_a_long_tier_that_has_nothing_yet_is_a_risk_and_says_how_to_fill_it(make_site, source_url, clock):
    site = only(make_site(source_url), "daily", "weekly", "quarterly")
    clock.pass_by(hours=2)
    recorded(site, "daily-2026-02-02-020000", "quarterly-2026-01-01-020000")
    found = status(site)
    assert found.safety is Safety.AT_RISK
    assert found.reason == (
        "the weekly due at 2026-02-01 02:00 UTC is missing: desbuquei backup weekly fills it while the slot is open"
    )
    recorded(site, "weekly-2026-02-01-020000")
    assert status(site).safety is Safety.SAFE


def test_of_several_tiers_in_trouble_the_most_urgent_is_named(make_site, source_url, clock):
    site = make_site(source_url)
    clock.pass_by(hours=5, minutes=40)
    recorded(site, "hourly-2026-02-02-060000")
    assert status(site).reason.startswith("the hourly due at 2026-02-02 07:00 UTC is missing")
    recorded(site, "hourly-2026-02-02-070000")
    assert status(site).reason.startswith("the daily due at 2026-02-02 02:00 UTC is missing")


def test_a_backup_that_is_missing_is_worse_than_one_that_nobody_restored(make_site, source_url, clock):
    site = only(make_site(source_url), "hourly", "daily")
    clock.pass_by(minutes=40)
    recorded(site, "hourly-2026-02-02-020000", recovery_tested=False)
    clock.pass_by(hours=1)
    recorded(site, "hourly-2026-02-02-030000", recovery_tested=False)
    assert "the daily due at 2026-02-02 02:00 UTC is missing" in status(site).reason
    recorded(site, "daily-2026-02-02-020000")
    assert status(site).reason == "hourly-2026-02-02-030000 was not proven by restoring it"


@pytest.mark.parametrize("other", ["hourly-2026-02-04-030000", "manual-2026-02-03-170101"])
def test_any_tiers_backup_is_a_recovery_point(make_site, source_url, clock, other):
    site = make_site(source_url)
    recorded(site, "daily-2026-02-02-020000", "weekly-2026-02-01-020000")
    clock.pass_by(days=2, hours=2)
    assert status(site).safety is Safety.NOT_SAFE
    assert "daily-2026-02-02-020000, is more than a whole slot behind" in status(site).reason
    recorded(site, other)
    assert status(site).safety is Safety.AT_RISK


def test_a_tier_that_is_filled_when_asked_for_is_never_missing(make_site, source_url, clock):
    site = only(make_site(source_url), "daily", "manual")
    recorded(site, "daily-2026-02-02-020000")
    clock.pass_by(hours=2)
    found = status(site)
    manual = found.tiers[1]
    assert (found.safety, manual.last_good, manual.next_due, list(manual.missed)) == (Safety.SAFE, None, None, [])
    recorded(site, "manual-2026-01-20-111213")
    assert status(site).tiers[1].last_good == "manual-2026-01-20-111213"


def test_what_the_budget_left_out_is_told_apart_from_what_was_missed(make_site, source_url, clock):
    site = only(make_site(source_url), "hourly")
    recorded(site, "hourly-2026-02-01-220000", "hourly-2026-02-02-010000")
    skipped = [f"hourly-2026-02-{at}0000" for at in ("01-23", "02-02")]
    recorded(site, *skipped, archived=False, status="skipped", error="the budget", recovery_tested=False)
    clock.pass_by(minutes=45)
    found = status(site)
    (hourly,) = found.tiers
    assert found.safety is Safety.SAFE, found.reason
    assert (hourly.last_good, hourly.trouble) == ("hourly-2026-02-02-010000", None)
    assert (list(hourly.missed), list(hourly.left_out)) == (["2026-02-02-000000"], ["2026-02-01-230000"])


def test_a_slot_left_out_hides_not_the_failure_before_it(make_site, source_url, clock):
    site = only(make_site(source_url), "hourly", "daily")
    recorded(site, "hourly-2026-02-02-000000", "daily-2026-02-02-020000")
    recorded(site, "hourly-2026-02-02-010000", archived=False, status="failed", error="no disk", recovery_tested=False)
    recorded(site, "hourly-2026-02-02-020000", archived=False, status="skipped", error="budget", recovery_tested=False)
    assert status(site).reason == "the hourly due at 2026-02-02 01:00 UTC failed: no disk"


def test_what_is_older_than_what_is_kept_is_neither_missed_nor_listed(make_site, source_url, clock, monkeypatch):
    site = only(make_site(source_url), "hourly", "quarterly")
    recorded(site, "hourly-2019-01-01-000000", "hourly-2026-02-02-020000", "quarterly-2026-01-01-020000")
    listed = []
    entries = type(site.bucket).entries
    monkeypatch.setattr(
        type(site.bucket),
        "entries",
        lambda self, *of, after, **given: listed.append((*of, after)) or entries(self, *of, after=after, **given),
    )
    hourly, quarterly = status(site).tiers
    assert len(hourly.missed) == 7 * 24 - 1
    assert quarterly.missed[-1] == "2019-04-01-020000"
    assert listed == [
        ("hourly/", "hourly-2026-01-26-021000"),
        ("quarterly/", "quarterly-2019-02-02-021000"),
        ("drills/", ""),
    ]


@pytest.mark.parametrize("reachable", [True, False])
def test_a_tier_that_stopped_long_ago_still_says_when(make_site, source_url, clock, monkeypatch, reachable):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    site = only(make_site(source_url), "hourly")
    recorded(site, "hourly-2025-12-01-000000", "hourly-2025-12-01-010000")
    if not reachable:
        nowhere = f"http://127.0.0.1:{free_port()}"
        site = only(make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": nowhere}), "hourly")
    found = status(site)
    assert found.safety is Safety.NOT_SAFE
    assert (found.tiers[0].last_good, found.tiers[0].proven) == ("hourly-2025-12-01-010000", True)


def test_a_policy_of_backups_that_somebody_must_ask_for_is_not_safe_when_nobody_did(make_site, source_url, clock):
    site = only(make_site(source_url), "manual")
    recorded(site, "manual-2026-02-02-015500")
    assert status(site).safety is Safety.SAFE
    clock.pass_by(hours=2)
    found = status(site)
    assert found.safety is Safety.NOT_SAFE
    assert "manual-2026-02-02-015500 is older than promised" in found.reason
