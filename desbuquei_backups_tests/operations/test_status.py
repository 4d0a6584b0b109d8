"""Who asks "are we safe?" must not be told yes by a backup that is missing, unarchived or unproven."""

import json
from datetime import timedelta

import pytest

from desbuquei_backups.core.errors import NotFound, SourceUnreachable, StoreUnreachable
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
from desbuquei_backups_tests.fakes import free_port


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
    broken = make_site(f"postgresql://x@127.0.0.1:{free_port()}/x")
    with pytest.raises(SourceUnreachable):
        take_dump(broken, broken.open_slot("daily"))
    found = status(site)
    assert found.safety is Safety.AT_RISK
    assert "cannot connect" in found.reason
    held, _ = inventory.local(site)
    assert [each.status for each in held] == ["failed", "sealed"]


def test_it_can_be_asked_with_the_database_and_s3_down(site, slot, make_site, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    backed_up(site, slot, archive, prove)
    nowhere = f"127.0.0.1:{free_port()}"
    alone = make_site(f"postgresql://x@{nowhere}/x", aws={"AWS_ENDPOINT_URL_S3": f"http://{nowhere}"})
    found = status(alone)
    assert found.safety is Safety.AT_RISK
    assert "S3 could not be asked" in found.reason
    assert found.tiers[0].last_good == slot.backup_id


def test_the_bucket_alone_tells_what_there_is(site, slot, make_site, tmp_path):
    backed_up(site, slot, archive)
    elsewhere = make_site(None, urls={S3_URL: site.settings.s3_url}, folder=tmp_path / "lost")
    held, faults = inventory.remote(elsewhere, ["daily"])
    assert [(each.backup_id, each.where, each.proven) for each in held] == [(slot.backup_id, ["s3"], None)]
    assert not faults
    assert status(elsewhere).tiers[0].last_good == slot.backup_id
    assert DATABASE_URL not in elsewhere.settings.urls


def test_a_manifest_that_cannot_be_read_hides_no_other_backup(site, slot):
    backed_up(site, slot, archive, prove)
    (site.settings.folder / "daily-2026-02-01-020000.manifest.json").write_text("{")
    held, faults = inventory.local(site)
    assert [each.backup_id for each in held] == [slot.backup_id]
    assert len(faults) == 1
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
    key = key_of(manifest, manifest.dump.name)
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
    held, _ = inventory.local(site)
    assert held[1].where == []
    assert status(site).tiers[0].last_good == slot.backup_id
    assert timedelta(0) < status(site).tiers[0].next_due - site.now()


def test_a_sealed_backup_whose_archive_failed_says_why(site, slot, clock, make_site, monkeypatch, source_url):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    backed_up(site, slot)
    cut_off = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(StoreUnreachable) as caught:
        archive(cut_off, slot)
    (held,), _ = inventory.local(site)
    assert (held.status, held.where, held.size is not None) == ("failed", ["disk"], True)
    assert held.error == " ".join(caught.value.what.split())
    assert held.error in str(status(site).tiers[0].trouble)
    archive(site, slot)
    (held,), _ = inventory.local(site)
    assert (held.status, held.where, held.error) == ("sealed", ["disk", "s3"], None)


def test_the_reason_keeps_the_table_narrow(site, slot, monkeypatch):
    from rich.console import Console

    from desbuquei_backups.cli import list_
    from desbuquei_backups.operations import records

    backed_up(site, slot)
    records.change(site, slot.backup_id, status="failed", error="s3://a/b: 503\nand more " * 20)
    held, _ = inventory.local(site)
    console = Console(width=80, record=True)
    monkeypatch.setattr(list_, "console", lambda: console)
    list_._print(held)
    *table, reason = console.export_text().splitlines()
    assert max(map(len, table)) <= 80
    assert len(table) == 2
    assert "failed" in table[1]
    assert reason.startswith(f"✗ {slot.backup_id}: s3://a/b: 503 and more")


def test_a_manifest_that_was_renamed_or_altered_hides_no_other_backup(site, slot, bucket):
    backed_up(site, slot, archive, prove)
    whole = (site.settings.folder / f"{slot.backup_id}.manifest.json").read_text()
    (site.settings.folder / "daily-2026-02-01-020000.manifest.json").write_text(whole)
    (site.settings.folder / "odd.manifest.json").write_text(whole.replace(slot.backup_id, "odd"))
    (site.settings.folder / "daily-2026-01-31-020000.manifest.json").write_bytes(b"\xff\x00")
    (site.settings.folder / "daily-2026-01-30-020000.manifest.json").mkdir()
    bucket.put_bytes("daily/odd.manifest.json", whole.replace(slot.backup_id, "odd").encode(), tags={})
    held, faults = inventory.local(site)
    assert [each.backup_id for each in held] == [slot.backup_id]
    assert len(faults) == 4
    held, faults = inventory.remote(site, ["daily"])
    assert [each.backup_id for each in held] == [slot.backup_id]
    assert len(faults) == 1
    assert status(site).tiers[0].last_good == slot.backup_id


def test_a_line_that_is_odd_hides_no_other_backup(site, slot):
    backed_up(site, slot, archive)
    ids = [f"daily-2026-01-0{day}-020000" for day in (1, 2, 3)]
    odd = [
        {"backup_id": ids[0]},
        {"backup_id": ids[1], "status": "success", "backup_timestamp": "ontem", "s3_uri": "s3://x", "size": "big"},
        {"backup_id": ids[2], "status": "success", "backup_timestamp": "2026-01-03T02:00:00"},
    ]
    with (site.settings.folder / FILE).open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in odd))
    held, _ = inventory.local(site)
    assert [each.backup_id for each in held] == [slot.backup_id, *reversed(ids)]
    assert status(site).tiers[0].last_good == slot.backup_id
