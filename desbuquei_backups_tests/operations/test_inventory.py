"""Who looks for a backup must find it wherever it is, and never be told of one that cannot be had."""

import json

import pytest
from rich.console import Console

from desbuquei_backups.cli import list_
from desbuquei_backups.core.errors import StoreUnreachable
from desbuquei_backups.core.manifest import FileFacts, Role, manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import inventory, records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.pruning import plan
from desbuquei_backups.operations.records import FILE
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import status
from desbuquei_backups_tests.examples import example_manifest
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.chains import told


def backed_up(site: Site, slot: Slot, *steps) -> None:
    for step in (take_dump, seal, *steps):
        step(site, slot)


def manifest_of(backup_id: str, **changed):
    """A manifest whose dump bears the backup's own name."""
    slot = Slot.of_id(backup_id)
    files = [FileFacts(name=f"{backup_id}.sql.gz", role=Role.DUMP, size=9, plain_size=9, md5="0", sha256="0")]
    return example_manifest(
        **{"backup_id": backup_id, "tier": slot.tier, "slot": slot.due, "taken_at": slot.due, "files": files} | changed
    )


def kept(site: Site, manifest, *, dump: bool, line: bool = True) -> None:
    """A backup as it lies in the folder, with its dump or without."""
    folder = site.settings.folder
    folder.mkdir(exist_ok=True)
    (folder / manifest_name(manifest.backup_id)).write_bytes(manifest.to_bytes())
    if dump:
        (folder / manifest.dump.name).touch()
    if line:
        said = {
            "backup_id": manifest.backup_id,
            "status": "success",
            "file": manifest.dump.name,
            "same_as": manifest.same_as,
            "total_size": manifest.size,
            "rows": manifest.rows,
        }
        with (folder / FILE).open("a") as file:
            file.write(json.dumps(said) + "\n")


def last_good(site: Site) -> str | None:
    (daily,) = (each for each in status(site).tiers if each.tier == "daily")
    return daily.last_good


def shown(held_or_listing, monkeypatch) -> list[str]:
    console = Console(width=80, record=True)
    monkeypatch.setattr(list_, "console", lambda: console)
    list_._print(held_or_listing)
    return console.export_text().splitlines()


def test_the_reason_keeps_the_table_narrow(site, slot, monkeypatch):
    backed_up(site, slot)
    records.change(site, slot.backup_id, status="failed", error="s3://a/b: 503\nand more " * 20)
    *table, reason = shown(inventory.local(site), monkeypatch)
    assert max(map(len, table)) <= 80
    assert len(table) == 2
    assert "failed" in table[1]
    assert reason.startswith(f"✗ {slot.backup_id}: s3://a/b: 503 and more")


def test_a_manifest_that_was_renamed_or_altered_hides_no_other_backup(site, slot, bucket):
    backed_up(site, slot, archive)
    whole = (site.settings.folder / f"{slot.backup_id}.manifest.json").read_text()
    (site.settings.folder / "daily-2026-02-01-020000.manifest.json").write_text(whole)
    (site.settings.folder / "odd.manifest.json").write_text(whole.replace(slot.backup_id, "odd"))
    (site.settings.folder / "daily-2026-01-31-020000.manifest.json").write_bytes(b"\xff\x00")
    (site.settings.folder / "daily-2026-01-30-020000.manifest.json").mkdir()
    bucket.put_bytes("daily/odd.manifest.json", whole.replace(slot.backup_id, "odd").encode(), tags={})
    for found, faults in ((inventory.local(site), 4), (inventory.remote(site), 1)):
        assert [each.backup_id for each in found.held] == [slot.backup_id]
        assert len(found.faults) == faults
    assert last_good(site) == slot.backup_id


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
    assert [each.backup_id for each in inventory.local(site).held] == [slot.backup_id, *reversed(ids)]
    assert last_good(site) == slot.backup_id


def test_a_backup_whose_dump_left_the_disk_is_not_said_to_be_there(site):
    kept(site, manifest_of("weekly-2026-02-01-020000"), dump=False)
    kept(site, manifest_of("daily-2026-02-01-020000"), dump=True)
    kept(site, manifest_of("quarterly-2026-01-01-020000"), dump=False, line=False)
    on_disk = {each.slot.tier: each.on_disk for each in inventory.local(site).held}
    assert on_disk == {"weekly": False, "daily": True, "quarterly": False}


@pytest.mark.parametrize("read", [0, 100])
@pytest.mark.parametrize("there", [True, False])
def test_a_backup_that_nothing_changed_for_is_where_its_dump_is(site, there: bool, read: int):
    origin = manifest_of("hourly-2026-02-02-020000")
    kept(site, origin, dump=there)
    same = manifest_of("hourly-2026-02-02-030000", files=origin.files, same_as=origin.backup_id)
    kept(site, same, dump=False)
    newest, _ = inventory.local(site, read=read).held
    assert (newest.backup_id, newest.on_disk, newest.origin) == (same.backup_id, there, origin.backup_id)


def test_a_damaged_manifest_of_a_recorded_backup_is_named(site, slot):
    backed_up(site, slot, archive)
    (site.settings.folder / manifest_name(slot.backup_id)).write_text("{")
    found = inventory.local(site)
    assert [(each.backup_id, each.where) for each in found.held] == [(slot.backup_id, ["disk", "s3"])]
    assert slot.backup_id in found.faults[0]
    assert inventory.local(site, read=0).faults == []


def test_a_lost_metadata_file_hides_no_backup_however_old(site):
    for day in range(1, 6):
        kept(site, manifest_of(f"daily-2026-02-0{day}-020000"), dump=True, line=False)
    found = inventory.local(site, limit=2, read=1)
    assert [each.slot.due.day for each in found.held] == [5, 4]
    assert found.total == 5
    assert all(each.size for each in found.held)


def test_the_bucket_lists_a_tier_that_the_policy_no_longer_has(make_site, bucket):
    site = make_site(None)
    for backup_id in ("yearly-2020-01-01-020000", "daily-2026-02-02-020000", "daily-2026-02-01-020000"):
        manifest = manifest_of(backup_id)
        bucket.put_bytes(f"{manifest.tier}/{manifest_name(backup_id)}", manifest.to_bytes(), tags={})
    # What lies beside them is no backup: proofs, dumps that were never finished, other databases.
    for key in (
        "daily/daily-2026-02-02-020000.proof-2026-02-03-000000.json",
        "daily/daily-2026-02-03-020000.sql.gz",
        "other/daily/daily-2026-02-04-020000.manifest.json",
    ):
        bucket.put_bytes(key, b"{}", tags={})
    found = inventory.remote(site)
    assert [each.backup_id for each in found.held] == [
        "daily-2026-02-02-020000",
        "daily-2026-02-01-020000",
        "yearly-2020-01-01-020000",
    ]
    assert found.faults == []
    (old,) = inventory.remote(site, ["yearly"], 1).held
    assert (old.backup_id, old.size) == ("yearly-2020-01-01-020000", 9)
    newest, *others = inventory.remote(site, read=1).held
    assert newest.size == 9
    assert [(each.archived, each.size) for each in others] == [(True, None), (True, None)]


def test_the_chain_of_evidence_is_never_listed_with_the_backups(make_site, endpoints, clock):
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        site = make_site(None, aws={"AWS_ENDPOINT_URL_S3": store.url})
        (backup_id,) = told(site, 1)
        store.requests.clear()
        assert [each.backup_id for each in inventory.remote(site).held] == [backup_id]
        assert [each.backup_id for each in plan(site)] == [backup_id]
        assert {slot.tier for slot in inventory.archived_slots(site.bucket)} == {"daily"}
        assert not [path for _, path in store.requests if "evidence" in path]
        listed = [path for _, path in store.requests if "list-type=2" in path]
        assert all("delimiter" in path or "daily" in path for path in listed)


def test_a_bucket_that_does_not_answer_is_not_an_empty_one(make_site, source_url, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    alone = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(StoreUnreachable):
        inventory.remote(alone)


def test_what_was_left_out_unchanged_or_copied_is_told_from_a_dump(site, slot, monkeypatch):
    long = "quarterly-2026-01-01-020000"
    records.record(site, manifest_of(long, copy_of="daily-2026-01-01-020000"), status="success", s3_uri="s3://b/k")
    same = manifest_of("hourly-2026-01-02-030000", same_as="hourly-2026-01-02-020000")
    records.record(site, same, status="success", s3_uri="s3://b/k")
    records.skip(site, Slot.of_key("hourly", "2026-01-02-040000"), "the budget has no dump for it")
    asked = manifest_of("manual-2026-01-03-112233", operator="ana", reason="before the migration of everything " * 4)
    records.record(site, asked, status="success", s3_uri="s3://b/k")
    header, manual, *reason, skipped, unchanged, copy = shown(inventory.local(site), monkeypatch)
    assert [line.split()[-1] for line in (header, manual, skipped, unchanged, copy)] == [
        "status",
        "sealed",
        "skipped",
        "unchanged",
        "copy",
    ]
    assert " ".join(" ".join(reason).split()) == f"ana: {asked.reason.strip()}"
    assert max(map(len, [header, manual, *reason, skipped, unchanged, copy])) <= 80


def test_figures_of_a_large_database_keep_the_table_narrow(site, monkeypatch):
    table = manifest_of("quarterly-2026-01-01-020000").tables[0].model_copy(update={"rows": 12_345_678_901})
    file = manifest_of("quarterly-2026-01-01-020000").files[0].model_copy(update={"size": 999_900_000_000})
    manifest = manifest_of("quarterly-2026-01-01-020000", tables=[table], files=[file], same_as="x")
    records.record(site, manifest, status="success", s3_uri="s3://b/k")
    (site.settings.folder / manifest.dump.name).touch()
    lines = shown(inventory.local(site), monkeypatch)
    assert lines[1].split()[3:8] == ["1.0", "TB", "12.3", "G", "disk"]
    assert max(map(len, lines)) <= 80
