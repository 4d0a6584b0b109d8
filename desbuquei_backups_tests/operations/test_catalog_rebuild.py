"""The machine is gone, or its records are: the bucket alone must tell what there is, and nothing else may be lost."""

import json
from dataclasses import replace

import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import Busy, NotFound, StoreUnreachable
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.retention import Place
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import backup_logs, catalog_rebuild, inventory, records
from desbuquei_backups.operations.catalog_rebuild import rebuild
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.pruning import MARK, plan
from desbuquei_backups.operations.records import FILE
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import status
from desbuquei_backups.storage import disk
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.losses import line_of
from desbuquei_backups_tests.operations.tiers import back_up
from desbuquei_backups_tests.operations.vault import PLAIN, manifest_of, proven, stored
from desbuquei_backups_tests.urls import with_port

FIRST, SECOND, THIRD = (f"daily-2026-01-{day}-020000" for day in ("30", "31", "29"))
COST = ("egress_bytes", "dump_bytes", "archive_seconds")


@pytest.fixture
def bare(make_site) -> Site:
    """A site with nothing but the bucket: no folder yet, and no database in its settings."""
    return make_site(None)


def by_id(site: Site) -> dict[str, records.Line]:
    return {line["backup_id"]: line for line in records.lines(site.settings.folder)}


def written(site: Site, *lines: dict[str, object], end: str = "") -> str:
    """A metadata file of those lines, which is returned."""
    site.settings.folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines) + end
    (site.settings.folder / FILE).write_text(text)
    return text


def set_aside(site: Site) -> list[str]:
    return [path.read_text() for path in (site.settings.folder / "rejected").glob(f"{FILE}.rebuilt-*")]


def without(line: records.Line, *names: str) -> records.Line:
    return {name: value for name, value in line.items() if name not in names}


@pytest.mark.usefixtures("no_wal")
def test_a_new_machine_with_nothing_but_the_bucket_speaks_as_the_old_one_did(
    site, make_site, shop, slot, clock, tmp_path
) -> None:
    hour = Slot("hourly", slot.due)
    back_up(site, hour, slot)
    prove(site, hour)
    prove(site, slot)
    clock.pass_by(hours=1)
    unchanged = site.open_slot("hourly")
    back_up(site, unchanged)
    new = make_site(None, folder=tmp_path / "new")
    done = rebuild(new)
    assert (done.archived, done.proven, done.kept, done.faults, done.notes) == (3, 2, 0, [], [])
    assert {key: without(line, *COST) for key, line in by_id(new).items()} == {
        key: without(line, *COST) for key, line in by_id(site).items()
    }
    # Of the old machine the manifests say the moment to the microsecond.
    here, there = (
        [replace(each, on_disk=False, taken_at=None) for each in inventory.local(machine, read=0).held]
        for machine in (site, new)
    )
    assert here == there
    old, rebuilt = status(site), status(new)
    assert (rebuilt.safety, rebuilt.reason, rebuilt.tiers) == (old.safety, old.reason, old.tiers)
    assert rebuilt.recoveries == old.recoveries
    assert [each for each in plan(site) if each.place is Place.S3] == plan(new)


def test_what_only_the_old_file_knows_is_kept_and_so_is_what_reading_cost(bare, bucket) -> None:
    stored(bucket, FIRST)
    stored(bucket, SECOND)
    failed = {"backup_id": "daily-2026-01-28-020000", "status": "failed", "error": "no disk", "egress_bytes": 7}
    skipped = {"backup_id": "hourly-2026-01-28-030000", "status": "skipped", "error": "the budget"}
    pruned = {"backup_id": "daily-2025-01-28-020000", "status": "pruned", "s3_uri": None}
    local = {"backup_id": "daily-2026-02-01-020000", "status": "success", "s3_uri": None, "egress_bytes": 5}
    odd = {"backup_id": "mine", "note": "by hand"}
    known = {"backup_id": FIRST, "status": "failed", "error": "S3 was down", "egress_bytes": 99, "dump_bytes": 33}
    old = written(
        bare, odd, failed, known, skipped, {**local, "status": "failed"}, pruned, local, end='{"backup_id": "d'
    )
    done = rebuild(bare)
    found = by_id(bare)
    for line in (failed, skipped, pruned, local, odd):
        assert found[str(line["backup_id"])] == line
    assert (found[FIRST]["status"], found[FIRST]["egress_bytes"], found[FIRST]["dump_bytes"]) == ("success", 99, 33)
    assert (found[SECOND]["egress_bytes"], found[SECOND]["dump_bytes"]) == (len(PLAIN), len(PLAIN))
    assert (done.archived, done.kept, done.faults) == (2, 5, [])
    assert set_aside(bare) == [old]
    assert done.aside is not None
    assert rebuild(bare).aside is None
    assert by_id(bare) == found


def test_proofs_tell_what_was_restored_how_long_it_took_and_what_differed(bare, bucket) -> None:
    for backup_id in (FIRST, SECOND, THIRD):
        stored(bucket, backup_id)
    proven(bucket, FIRST, restore=61.5, analyze=2.5, schema=7)
    proven(bucket, SECOND, verdict=Verdict.DIFFERS, restore=1)
    assert rebuild(bare).proven == 1
    found = by_id(bare)
    first = found[FIRST]
    assert (first["recovery_tested"], first["restore_seconds"], first["restored_at"]) == (
        True,
        64.0,
        "2026-01-30T02:00:00Z",
    )
    assert (found[SECOND]["status"], found[SECOND]["failed_in"]) == ("failed", "proof")
    assert (found[THIRD]["status"], found[THIRD]["recovery_tested"]) == ("success", False)


def test_what_cannot_be_read_is_named_kept_from_pruning_and_keeps_no_other_from_the_catalog(
    bare, bucket, clock
) -> None:
    newer = json.dumps({**json.loads(manifest_of(SECOND).to_bytes()), "schema_version": 2}).encode()
    other = manifest_of(FIRST).to_bytes()
    truncated = stored(bucket, THIRD, content=manifest_of(THIRD).to_bytes()[:200])
    stored(bucket, SECOND, content=newer)
    renamed = stored(bucket, "daily-2026-01-20-020000", content=other)
    stored(bucket, FIRST)
    bucket.put_bytes("daily/odd.manifest.json", other, tags={})
    known = {"backup_id": SECOND, "status": "success", "s3_uri": "s3://b/k", "recovery_tested": True}
    written(bare, known)
    done = rebuild(bare)
    assert by_id(bare)[SECOND] == known
    assert set(by_id(bare)) == {FIRST, SECOND}
    assert (done.archived, done.kept, len(done.faults)) == (1, 1, 4)
    said = "\n".join(done.faults)
    assert f"{bucket.uri(truncated)} cannot be read" in said
    assert f"{bucket.uri('daily/odd.manifest.json')} is named after no backup" in said
    assert (
        f"{SECOND}.manifest.json was written by a newer desbuquei_backups (schema version 2, this one reads 1)" in said
    )
    assert f"{bucket.uri(renamed)} is that of '{FIRST}'" in said
    clock.pass_by(days=1000)
    kept = {each.backup_id: each for each in plan(bare)}
    assert all(kept[each].keep for each in (THIRD, "daily-2026-01-20-020000"))


def test_another_databases_backup_is_named_and_not_taken_and_another_servers_is_taken_and_named(
    make_site, bucket
) -> None:
    site = make_site(f"postgresql://x@127.0.0.1:{free_port()}/desbuquei")
    stored(bucket, FIRST)
    stored(bucket, SECOND, server={"system_identifier": "8"})
    stored(bucket, THIRD, server={"database": "folha"})
    done = rebuild(site)
    assert set(by_id(site)) == {FIRST, SECOND}
    assert done.faults == [f"of the database folha, not of desbuquei: {THIRD}; each needs an S3 prefix of its own"]
    (note,) = done.notes
    assert note.startswith("backups of 2 servers")
    assert f"7: {FIRST}" in note
    assert f"8: {SECOND}" in note


def test_what_was_not_archived_yet_is_not_lost_with_the_file(site, shop, slot, clock, bucket) -> None:
    stored(bucket, FIRST, server={"database": site.settings.database_url.rpartition("/")[2].partition("?")[0]})
    take_dump(site, slot)
    seal(site, slot)
    clock.pass_by(days=1)
    draft = site.open_slot("daily")
    take_dump(site, draft)
    before = by_id(site)
    (site.settings.folder / FILE).unlink()
    done = rebuild(site)
    assert (done.archived, done.found) == (1, 2)
    found = by_id(site)
    for each in (slot, draft):
        assert without(found[each.backup_id], *COST) == without(before[each.backup_id], *COST)
    assert {each.backup_id: each.status for each in inventory.local(site).held} == {
        FIRST: "sealed",
        slot.backup_id: "sealed",
        draft.backup_id: "unsealed",
    }


def test_an_archive_that_vanished_is_named_and_no_longer_said_to_be_there(bare, bucket) -> None:
    stored(bucket, FIRST)
    stored(bucket, SECOND, dump=False)
    written(bare, {"backup_id": THIRD, "status": "success", "s3_uri": "s3://b/k", "recovery_tested": True})
    done = rebuild(bare)
    assert f"{THIRD} is recorded as archived, and is not in {bucket.uri('')}" in done.faults
    assert f"daily/{SECOND}.manifest.json: its dump {SECOND}.sql.gz is not there" in done.faults
    for backup_id in (SECOND, THIRD):
        line = by_id(bare)[backup_id]
        assert (line["status"], line["s3_uri"], line["failed_in"]) == ("failed", None, "archive")


def test_a_prune_that_was_cut_off_is_still_to_be_finished(bare, bucket) -> None:
    stored(bucket, FIRST)
    for backup_id in (SECOND, THIRD):
        bucket.put_bytes(f"daily/{backup_id}{MARK}", b"{}", tags={})
    written(bare, {"backup_id": SECOND, "status": "success", "s3_uri": "s3://b/k", "rows": 3})
    assert rebuild(bare).faults == []
    assert {key: line["status"] for key, line in by_id(bare).items()} == {
        FIRST: "success",
        SECOND: "pruned",
        THIRD: "pruned",
    }
    assert [each.backup_id for each in inventory.local(bare).held] == [FIRST]
    assert sorted(each.backup_id for each in plan(bare) if each.unfinished) == [THIRD, SECOND]


def test_a_wrong_prefix_or_a_store_that_breaks_off_changes_nothing(bare, make_site, bucket, endpoints) -> None:
    old = written(bare, {"backup_id": FIRST, "status": "success", "s3_uri": "s3://b/k"})
    with pytest.raises(NotFound, match="there is no backup in") as refused:
        rebuild(bare)
    assert "DESBUQUEI_S3_URL" in refused.value.remedy
    stored(bucket, FIRST)
    stored(bucket, SECOND)
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        store.busy(lambda method, path: method == "GET" and SECOND in path)
        with pytest.raises(StoreUnreachable):
            rebuild(make_site(None, aws={"AWS_ENDPOINT_URL_S3": store.url}))
    folder = bare.settings.folder
    assert (folder / FILE).read_text() == old
    assert not list(folder.glob(".*partial"))
    assert set_aside(bare) == []


def test_nobody_takes_a_backup_meanwhile(bare, bucket) -> None:
    stored(bucket, FIRST)
    for name in ("desbuquei", "desbuquei-proof"):
        with (
            disk.lock(bare.settings.folder, name, doing="dump of x", wait_seconds=0),
            pytest.raises(Busy, match="dump of x"),
        ):
            rebuild(bare)


def test_the_table_is_made_again_too_and_catches_up_when_the_database_was_down(
    site, make_site, source, source_url, bucket, slot
) -> None:
    name = site.settings.database_url.rpartition("/")[2].partition("?")[0]
    for backup_id in (FIRST, SECOND):
        stored(bucket, backup_id, server={"database": name})
    down = make_site(with_port(source_url, free_port()))
    behind = rebuild(down)
    assert (behind.archived, "cannot connect" in str(behind.table)) == (2, True)
    assert rebuild(site).table is None
    rows = "select backup_id, status, recovery_tested from backup_logs order by 1"
    assert source.execute(rows).fetchall() == [(FIRST, "success", False), (SECOND, "success", False)]
    # What the table was told before says nothing of the new file.
    source.execute("update backup_logs set status = 'lost'")
    proven(bucket, FIRST)
    rebuild(down)
    backup_logs.catch_up(site)
    assert source.execute(rows).fetchall() == [(FIRST, "success", True), (SECOND, "success", False)]


def test_an_unchanged_hour_is_where_the_files_are_that_it_names(bare, bucket) -> None:
    origin, same = "hourly-2026-02-01-010000", "hourly-2026-02-01-020000"
    stored(bucket, origin)
    stored(bucket, same, same_as=origin)
    assert rebuild(bare).faults == []
    assert by_id(bare)[same]["s3_uri"] == bucket.uri(f"hourly/{origin}.sql.gz")
    assert line_of(bare, Slot.of_id(same))["storage_class"] == "STANDARD"


def test_few_manifests_are_held_however_many_there_are(bare, bucket, monkeypatch) -> None:
    for hour in range(60):
        stored(bucket, f"hourly-2026-01-{hour // 24 + 1:02}-{hour % 24:02}0000", dump=False)
    held, most = 0, 0
    of_archive = catalog_rebuild.catalog_lines.of_archive
    write = json.dumps

    def made(*given):
        nonlocal held, most
        held += 1
        most = max(most, held)
        return of_archive(*given)

    def dumped(*given, **named):
        nonlocal held
        held -= 1
        return write(*given, **named)

    monkeypatch.setattr(catalog_rebuild.catalog_lines, "of_archive", made)
    monkeypatch.setattr(catalog_rebuild.json, "dumps", dumped)
    assert rebuild(bare).archived == 60
    assert most <= 34
    assert (bare.settings.folder / manifest_name(FIRST)).exists() is False
