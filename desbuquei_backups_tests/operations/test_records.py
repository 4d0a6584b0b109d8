"""What an auditor greps and queries, and what must never be more true there than in the manifests."""

import json
import shutil
import subprocess
from datetime import UTC, datetime

import psycopg
import pytest

from desbuquei_backups.core.errors import SourceUnreachable
from desbuquei_backups.operations import records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.operations.losses import line_of
from desbuquei_backups_tests.urls import with_port

REPORT = """
SELECT backup_id, backup_type, backup_timestamp, backup_size_bytes/1024/1024 AS size_mb, status, recovery_tested
  FROM backup_logs WHERE backup_timestamp > NOW() - INTERVAL '7 days' ORDER BY backup_timestamp DESC
"""
FIELDS = (
    "backup_id backup_type backup_timestamp database status size file checksum_md5 checksum_sha256 s3_uri "
    "storage_class duration_seconds recovery_tested"
).split()


def chain(site, slot) -> None:
    for step in (take_dump, seal, archive, prove):
        step(site, slot)


def test_the_line_of_a_backup_has_every_field_of_the_contract(site, shop, slot, bucket) -> None:
    chain(site, slot)
    line = line_of(site, slot)
    manifest = seal(site, slot).manifest
    assert set(FIELDS) <= set(line)
    assert line | {"duration_seconds": 0} == {
        "backup_id": "daily-2026-02-02-020000",
        "backup_type": "daily",
        "backup_timestamp": manifest.taken_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "database": "desbuquei",
        "status": "success",
        "size": manifest.dump.size,
        "file": "daily-2026-02-02-020000.sql.gz",
        "checksum_md5": manifest.dump.md5,
        "checksum_sha256": manifest.dump.sha256,
        "s3_uri": bucket.uri("daily/daily-2026-02-02-020000.sql.gz"),
        "storage_class": "STANDARD_IA",
        "recovery_tested": True,
        "duration_seconds": 0,
        "error": None,
    }
    assert line["duration_seconds"] > 0


def test_the_guides_own_commands_find_it(site, shop, slot) -> None:
    take_dump(site, slot)
    path = site.settings.folder / "backup-metadata.jsonl"
    found = subprocess.run(["grep", slot.backup_id, path], capture_output=True, text=True, check=True).stdout
    checksum = json.loads(found)["checksum_md5"]
    said = subprocess.run(
        ["md5sum", site.settings.folder / f"{slot.backup_id}.sql.gz"], capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[0] == checksum
    if shutil.which("jq"):
        jq = subprocess.run(["jq", ".checksum_md5"], input=found, capture_output=True, text=True, check=True)
        assert jq.stdout == f'"{checksum}"\n'


def test_runs_again_leave_one_line_a_backup(site, shop, slot, clock) -> None:
    chain(site, slot)
    chain(site, slot)
    clock.pass_by(days=1)
    chain(site, site.open_slot("daily"))
    path = site.settings.folder / "backup-metadata.jsonl"
    assert [json.loads(line)["backup_id"] for line in path.read_text().splitlines()] == [
        "daily-2026-02-02-020000",
        "daily-2026-02-03-020000",
    ]
    assert shop.execute("select backup_id from backup_logs order by 1").fetchall() == [
        ("daily-2026-02-02-020000",),
        ("daily-2026-02-03-020000",),
    ]


def test_the_guides_report_returns_what_was_done(site, shop, slot) -> None:
    before = datetime.now(UTC)
    take_dump(site, slot)
    (row,) = shop.execute(REPORT).fetchall()
    backup_id, tier, taken_at, size_mb, status, tested = row
    assert (backup_id, tier, status, tested) == (slot.backup_id, "daily", "success", False)
    assert before.replace(microsecond=0) <= taken_at
    assert size_mb == line_of(site, slot)["size"] // 1024 // 1024
    for step in (seal, archive, prove):
        step(site, slot)
    assert shop.execute(REPORT).fetchall()[0][-1] is True


def test_the_table_catches_up_after_the_database_was_down(make_site, source_url, shop, slot, clock) -> None:
    down = make_site(with_port(source_url, free_port()))
    with pytest.raises(SourceUnreachable):
        take_dump(down, slot)
    (line,) = records.read(down.settings.folder)
    assert line["status"] == "failed"
    assert shop.execute("select to_regclass('backup_logs')").fetchone() == (None,)
    up = make_site(source_url)
    clock.pass_by(days=1)
    take_dump(up, up.open_slot("daily"))
    assert shop.execute("select backup_id, status, error is null from backup_logs order by 1").fetchall() == [
        ("daily-2026-02-02-020000", "failed", False),
        ("daily-2026-02-03-020000", "success", True),
    ]


def test_a_role_that_may_not_write_there_still_backs_up(site, shop, slot, caplog) -> None:
    shop.execute("create view backup_logs as select 1 as backup_id")
    take_dump(site, slot)
    assert line_of(site, slot)["status"] == "success"
    assert "backup_logs is behind" in caplog.text


def test_nobody_but_its_owner_reads_the_table(site, shop, slot) -> None:
    take_dump(site, slot)
    assert shop.execute("select relrowsecurity from pg_class where relname = 'backup_logs'").fetchone() == (True,)
    shop.execute("create role leitor_de_logs; grant usage on schema public to leitor_de_logs")
    try:
        shop.execute("set role leitor_de_logs")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shop.execute("select * from backup_logs")
        shop.execute("reset role; grant select on backup_logs to leitor_de_logs; set role leitor_de_logs")
        assert shop.execute("select * from backup_logs").fetchall() == []
    finally:
        shop.execute("reset role; drop owned by leitor_de_logs; drop role leitor_de_logs")


def test_a_line_torn_by_a_crash_loses_no_other(site, shop, slot, clock, caplog) -> None:
    take_dump(site, slot)
    with (site.settings.folder / "backup-metadata.jsonl").open("a") as file:
        file.write('{"backup_id": "daily-2026')
    clock.pass_by(days=1)
    take_dump(site, site.open_slot("daily"))
    assert [line["backup_id"] for line in records.read(site.settings.folder)] == [
        "daily-2026-02-02-020000",
        "daily-2026-02-03-020000",
    ]
    assert "not JSON" in caplog.text
