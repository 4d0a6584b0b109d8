"""What an auditor greps and queries, and what must never be more true there than in the manifests."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.errors import NotFound, SourceUnreachable
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import backup_logs, metadata_file, records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups_tests.examples import example_manifest
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.operations.losses import Watching, line_of, spoil
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
    assert line | {"duration_seconds": 0, "egress_bytes": 0, "dump_bytes": 0} == {
        "backup_id": "daily-2026-02-02-020000",
        "backup_type": "daily",
        "backup_timestamp": manifest.taken_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "database": "desbuquei",
        "status": "success",
        "size": manifest.dump.size,
        "total_size": manifest.size,
        "rows": 90,
        "egress_bytes": 0,
        "dump_bytes": 0,
        "file": "daily-2026-02-02-020000.sql.gz",
        "checksum_md5": manifest.dump.md5,
        "checksum_sha256": manifest.dump.sha256,
        "s3_uri": bucket.uri("daily/daily-2026-02-02-020000.sql.gz"),
        "storage_class": "STANDARD",
        "recovery_tested": True,
        "archive_seconds": line["archive_seconds"],
        "restore_seconds": line["restore_seconds"],
        "restored_at": "2026-02-02T02:10:00Z",
        "duration_seconds": 0,
        "copy_of": None,
        "same_as": None,
        "parent": None,
        "operator": None,
        "reason": None,
        "error": None,
        "failed_in": None,
    }
    assert line["duration_seconds"] > 0
    assert line["archive_seconds"] > 0
    assert line["restore_seconds"] > 0
    assert line["egress_bytes"] == line["dump_bytes"] >= manifest.dump.plain_size


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
    (line,) = list(records.lines(down.settings.folder))
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
    assert [line["backup_id"] for line in list(records.lines(site.settings.folder))] == [
        "daily-2026-02-02-020000",
        "daily-2026-02-03-020000",
    ]
    assert "not JSON" in caplog.text


def mirrored(connection: psycopg.Connection, slot) -> tuple:
    return connection.execute(
        "select checksum_md5, checksum_sha256, backup_size_bytes, to_char(backup_timestamp at time zone 'UTC', "
        '\'YYYY-MM-DD"T"HH24:MI:SS"Z"\'), duration_seconds, s3_uri, storage_class, recovery_tested, status, error '
        "from backup_logs where backup_id = %s",
        (slot.backup_id,),
    ).fetchone()


def in_the_file(site, slot) -> tuple:
    line = line_of(site, slot)
    names = (
        "checksum_md5 checksum_sha256 size backup_timestamp duration_seconds s3_uri storage_class recovery_tested "
        "status error"
    )
    return tuple(line[name] for name in names.split())


def test_a_dump_taken_again_is_neither_archived_nor_proven(site, shop, slot, bucket) -> None:
    chain(site, slot)
    first = in_the_file(site, slot)
    assert first[5:8] == (bucket.uri(f"daily/{slot.backup_id}.sql.gz"), "STANDARD", True)
    for key in list(bucket.keys("daily/")):
        bucket.delete(key)
    spoil(site.settings.folder / f"{slot.backup_id}.sql.gz", lambda data: data[:-9])
    shop.execute("insert into vazia select generate_series(1, 1000)")
    assert not take_dump(site, slot).reused
    again = in_the_file(site, slot)
    assert again[5:8] == (None, None, False)
    assert again[:3] != first[:3]
    assert mirrored(shop, slot) == again


@pytest.mark.parametrize("column", ["checksum_md5", "checksum_sha256", "duration_seconds", "database_name"])
def test_the_table_is_put_right_in_every_column(site, shop, slot, column: str) -> None:
    take_dump(site, slot)
    before = shop.execute("select * from backup_logs").fetchall()
    shop.execute(f"update backup_logs set {column} = '42'")
    records.change(site, slot.backup_id, status="success")
    assert shop.execute("select * from backup_logs").fetchall() == before


def test_a_name_with_a_line_end_of_its_own_splits_no_line(site, shop, slot) -> None:
    odd = "tabela \u2028 \u2029 \x85 \x1c \x0b \r fim"
    take_dump(site, slot)
    records.change(site, slot.backup_id, error=odd)
    records.change(site, slot.backup_id, recovery_tested=True)
    assert (line_of(site, slot)["error"], line_of(site, slot)["recovery_tested"]) == (odd, True)
    assert mirrored(shop, slot) == in_the_file(site, slot)


def test_a_name_that_is_not_text_is_recorded_all_the_same(site, shop, slot) -> None:
    take_dump(site, slot)
    records.change(site, slot.backup_id, error="not \0 text \udcff")
    assert line_of(site, slot)["error"] == "not \0 text \udcff"
    assert mirrored(shop, slot)[-1] == r"not  text \udcff"


def test_bytes_and_lines_that_are_not_ours_hide_no_backup(site, shop, slot, clock, caplog) -> None:
    take_dump(site, slot)
    with (site.settings.folder / records.FILE).open("ab") as file:
        file.write(b'\xff\n7\n{}\n{"backup_id": 7}\n{"backup_id": "by hand"}\n')
    clock.pass_by(days=1)
    take_dump(site, site.open_slot("daily"))
    assert [line["backup_id"] for line in list(records.lines(site.settings.folder))] == [
        "daily-2026-02-02-020000",
        "by hand",
        "daily-2026-02-03-020000",
    ]
    assert shop.execute("select count(*) from backup_logs").fetchone() == (2,)
    assert "by hand is not mirrored" in caplog.text


@pytest.mark.parametrize(
    "holding",
    [
        "lock table backup_logs in access exclusive mode",
        "select * from backup_logs for update",
    ],
)
def test_a_lock_on_the_table_holds_up_no_backup(
    site, shop, slot, application, caplog, monkeypatch, holding: str
) -> None:
    take_dump(site, slot)
    monkeypatch.setattr(backup_logs, "_LOCK_TIMEOUT", "50ms")
    with application.transaction():
        application.execute(holding)
        records.change(site, slot.backup_id, recovery_tested=True)
    assert line_of(site, slot)["recovery_tested"] is True
    assert "lock timeout" in caplog.text
    records.change(site, slot.backup_id)
    assert mirrored(shop, slot)[7] is True


def test_a_statement_that_never_ends_holds_up_no_backup(site, shop, slot, caplog, monkeypatch) -> None:
    take_dump(site, slot)
    monkeypatch.setattr(backup_logs, "_STATEMENT_TIMEOUT", "200ms")
    shop.execute(
        """
        create function demora() returns trigger language plpgsql as
        $$ begin perform pg_catalog.pg_sleep(3600); return new; end $$;
        create trigger demora before update on backup_logs for each row execute function demora();
        """
    )
    records.change(site, slot.backup_id, recovery_tested=True)
    assert line_of(site, slot)["recovery_tested"] is True
    assert "statement timeout" in caplog.text


def test_the_timeouts_are_those_of_the_design() -> None:
    assert (backup_logs._LOCK_TIMEOUT, backup_logs._STATEMENT_TIMEOUT) == ("5s", "30s")


def stopped_at(stage: str) -> Watching:
    def stop() -> None:
        raise KeyboardInterrupt

    return Watching(at={stage: stop})


class Interrupted(BaseException):
    """As Dagster ends a step."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (psycopg.errors.UniqueViolation("duplicate key\nDETAIL: Key (cpf)=(123)"), "UniqueViolation: duplicate key"),
        (ValueError("postgresql://u:segredo@h/db is odd"), "ValueError: postgresql://***@h/db is odd"),
        (KeyError(), "KeyError"),
        (KeyboardInterrupt(), "stopped before it was done (KeyboardInterrupt)"),
        (Interrupted(), "stopped before it was done (Interrupted)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_ends_a_step_is_recorded_and_goes_on_unchanged(
    make_site, source_url, shop, slot, error: BaseException, said: str
) -> None:
    site = make_site(source_url)
    with pytest.raises(type(error)) as caught, records.record_failures(site, slot, "dump"):
        raise error
    assert caught.value is error
    line = line_of(site, slot)
    assert line["status"] == "failed"
    assert line["error"] == said
    assert "123" not in str(line)


def test_a_step_that_was_stopped_is_recorded_as_failed_and_taken_again(make_site, source_url, shop, slot) -> None:
    stopped = make_site(source_url, progress=stopped_at("dumping"))
    with pytest.raises(KeyboardInterrupt):
        take_dump(stopped, slot)
    assert (line_of(stopped, slot)["status"], line_of(stopped, slot)["size"]) == ("failed", 0)
    take_dump(make_site(source_url), slot)
    assert (line_of(stopped, slot)["status"], line_of(stopped, slot)["error"]) == ("success", None)
    assert mirrored(shop, slot) == in_the_file(stopped, slot)


def test_a_proof_that_was_stopped_leaves_an_archive_an_archive(site, make_site, source_url, shop, slot) -> None:
    for step in (take_dump, seal, archive):
        step(site, slot)
    uri = line_of(site, slot)["s3_uri"]
    with pytest.raises(KeyboardInterrupt):
        prove(make_site(source_url, progress=stopped_at("fetching the manifest")), slot)
    line = line_of(site, slot)
    assert (line["status"], line["s3_uri"], line["recovery_tested"]) == ("success", uri, False)
    assert "stopped" in str(line["error"])


def test_a_failure_that_cannot_be_recorded_hides_not_what_failed(site, slot, monkeypatch, caplog) -> None:
    monkeypatch.setattr(records, "_write", lambda *_, **__: [].pop())
    with pytest.raises(SourceUnreachable, match="gone"), records.record_failures(site, slot, "dump"):
        raise SourceUnreachable("gone", remedy="wait")
    assert "could not be recorded: IndexError" in caplog.text


def test_a_database_that_words_instants_its_own_way_has_its_table_all_the_same(site, shop, slot, database_name) -> None:
    shop.execute(f"alter database {database_name} set datestyle = 'SQL, DMY'")
    shop.execute(f"alter database {database_name} set timezone = 'America/Sao_Paulo'")
    take_dump(site, slot)
    seal(site, slot)
    archive(site, slot)
    found = shop.execute("select status, s3_uri is not null from backup_logs").fetchall()
    assert found == [("success", True)]


def test_what_failed_attempts_read_is_counted_into_the_budget(site, shop, slot) -> None:
    for read in (1000, 200):
        with (
            pytest.raises(SourceUnreachable),
            records.record_failures(site, slot, "dump", egress=lambda read=read: read),
        ):
            raise SourceUnreachable("gone", remedy="wait")
    assert line_of(site, slot)["egress_bytes"] == 1200
    records.record(site, example_manifest(), status="success", read=30)
    records.change(site, slot.backup_id, recovery_tested=True)
    with pytest.raises(SourceUnreachable), records.record_failures(site, slot, "dump"):
        raise SourceUnreachable("gone", remedy="wait")
    assert line_of(site, slot)["egress_bytes"] == 1230


def test_a_failed_line_has_every_field_that_a_good_one_has(site, shop, slot) -> None:
    with pytest.raises(SourceUnreachable), records.record_failures(site, slot, "dump"):
        raise SourceUnreachable("gone", remedy="wait")
    failed = line_of(site, slot)
    records.record(site, example_manifest(), status="success")
    assert set(failed) == set(line_of(site, slot))


def test_who_asked_and_why_is_in_the_file_and_in_the_table(site, shop) -> None:
    asked = {"operator": "ana", "reason": "antes da migração", "same_as": "daily-2026-02-01-020000"}
    records.record(site, example_manifest(**asked), status="success")
    (line,) = list(records.lines(site.settings.folder))
    assert {name: line[name] for name in asked} == asked
    assert shop.execute("select operator, reason, same_as, copy_of from backup_logs").fetchall() == [
        (*asked.values(), None)
    ]


def test_a_slot_left_out_says_why_and_never_hides_a_backup(site, shop, slot, clock) -> None:
    records.skip(site, slot, "no budget")
    assert (line_of(site, slot)["status"], line_of(site, slot)["error"]) == ("skipped", "no budget")
    assert mirrored(shop, slot) == in_the_file(site, slot)
    with pytest.raises(NotFound), records.record_failures(site, slot, "dump"):  # the steps after it find nothing to do
        raise NotFound("there is no dump of this slot", remedy="none")
    assert line_of(site, slot)["status"] == "skipped"
    records.record(site, example_manifest(), status="success")
    records.skip(site, slot, "no budget")
    assert (line_of(site, slot)["status"], line_of(site, slot)["error"]) == ("success", None)


def test_a_table_of_an_older_version_gets_the_new_columns_and_keeps_its_rows(site, shop, slot, clock) -> None:
    take_dump(site, slot)
    shop.execute("alter table backup_logs drop column operator, drop column reason, drop column same_as")
    shop.execute("insert into backup_logs select 'daily-2025-01-01-020000', 'daily', now(), 1, 'success', true, 'old'")
    records.change(site, slot.backup_id, operator="ana")
    assert shop.execute("select backup_id, operator, same_as from backup_logs order by 1").fetchall() == [
        ("daily-2025-01-01-020000", None, None),
        (slot.backup_id, "ana", None),
    ]


def old_lines(folder: Path, count: int) -> None:
    """Append lines of old backups, as they are after years."""
    with (folder / records.FILE).open("a") as file:
        for number in range(count):
            line = {
                "backup_id": f"daily-{1000 + number}-01-01-020000",
                "backup_type": "daily",
                "backup_timestamp": "2020-01-01T02:00:00Z",
                "database": "desbuquei",
                "status": "success",
                "size": 1,
            }
            file.write(json.dumps(line) + "\n")


class Sent(list[int]):
    """How many rows each statement sent to the table."""


@pytest.fixture
def sent(monkeypatch) -> Sent:
    found = Sent()
    send = backup_logs._send

    def watched(connection, lines) -> None:
        lines = list(lines)
        found.append(len(lines))
        send(connection, lines)

    monkeypatch.setattr(backup_logs, "_send", watched)
    return found


def test_of_years_of_backups_only_the_changed_one_is_sent(site, shop, slot, sent) -> None:
    take_dump(site, slot)
    old_lines(site.settings.folder, 2500)
    records.change(site, slot.backup_id, recovery_tested=True)
    assert shop.execute("select count(*) from backup_logs").fetchone() == (2501,)
    del sent[:]
    records.change(site, slot.backup_id, recovery_tested=False)
    records.change(site, "daily-1007-01-01-020000", storage_class="STANDARD_IA")
    assert sent == [1, 1]
    assert shop.execute("select count(*) from backup_logs where storage_class = 'STANDARD_IA'").fetchone() == (1,)
    assert mirrored(shop, slot)[7] is False


@pytest.mark.parametrize(
    "lost",
    [
        "drop table backup_logs",
        "truncate backup_logs",
        "delete from backup_logs where backup_id like 'daily-1001-%'",
    ],
)
def test_rows_that_somebody_deleted_come_back(site, shop, slot, lost: str) -> None:
    take_dump(site, slot)
    old_lines(site.settings.folder, 3)
    records.change(site, slot.backup_id)
    shop.execute(lost)
    records.change(site, slot.backup_id, recovery_tested=True)
    assert shop.execute("select count(*) from backup_logs").fetchone() == (4,)
    assert mirrored(shop, slot) == in_the_file(site, slot)


def test_what_changed_during_an_outage_is_sent_after_it_and_nothing_else(
    site, make_site, source_url, shop, slot, sent
) -> None:
    take_dump(site, slot)
    old_lines(site.settings.folder, 5)
    records.change(site, slot.backup_id)
    down = make_site(with_port(source_url, free_port()))
    for day in (1, 3):
        records.change(down, f"daily-100{day}-01-01-020000", recovery_tested=True)
    del sent[:]
    records.change(site, slot.backup_id, recovery_tested=True)
    assert sent == [3]
    proven = shop.execute("select backup_id from backup_logs where recovery_tested order by 1").fetchall()
    assert [row[0][:10] for row in proven] == ["daily-1001", "daily-1003", "daily-2026"]


def test_a_machine_that_lost_its_records_takes_none_from_the_table(site, shop, slot, clock) -> None:
    take_dump(site, slot)
    for name in (records.FILE, ".backup-logs-behind"):
        (site.settings.folder / name).unlink()
    other = Slot.of_key("daily", "2026-02-03-020000")
    records.record(site, example_manifest(backup_id=other.backup_id), status="success")
    assert shop.execute("select count(*) from backup_logs").fetchone() == (2,)


def test_one_line_that_the_table_refuses_keeps_no_other_from_it(site, shop, slot, caplog) -> None:
    take_dump(site, slot)
    odd = {"backup_type": "daily", "backup_timestamp": "2026-02-01T02:00:00Z", "database": "d", "status": "success"}
    with (site.settings.folder / records.FILE).open("a") as file:
        for number, size in enumerate(("large", 2**70, 1)):
            line = {
                **odd,
                "backup_id": f"daily-2026-01-0{number + 1}-020000",
                "size": size,
                "duration_seconds": float("nan"),
            }
            file.write(json.dumps(line) + "\n")
    records.change(site, slot.backup_id, recovery_tested=True)
    assert shop.execute("select backup_id from backup_logs order by 1").fetchall() == [
        ("daily-2026-01-03-020000",),
        (slot.backup_id,),
    ]
    assert caplog.text.count("is not mirrored") == 2


def test_of_two_lines_of_one_backup_the_later_one_holds_and_one_is_left(site, shop, slot) -> None:
    take_dump(site, slot)
    path = site.settings.folder / records.FILE
    again = json.loads(path.read_text()) | {"storage_class": "STANDARD_IA"}
    old_lines(site.settings.folder, 1)
    with path.open("a") as file:
        file.write(json.dumps(again).replace('": ', '":'))  # as others write it, and without an end
    records.change(site, slot.backup_id, recovery_tested=True)
    assert (line_of(site, slot)["storage_class"], line_of(site, slot)["recovery_tested"]) == ("STANDARD_IA", True)
    assert [line["backup_id"][:10] for line in metadata_file.lines(site.settings.folder)] == [
        "daily-2026",
        "daily-1000",
    ]


def test_what_the_mirror_writes_is_known_to_be_our_own(site, shop, slot) -> None:
    take_dump(site, slot)
    written = {row[0] for row in shop.execute("select xmin::text::bigint from backup_logs").fetchall()}
    own = (site.settings.folder / ".own-transactions").read_text().split()
    assert {int(each) % 2**32 for each in own} >= written
