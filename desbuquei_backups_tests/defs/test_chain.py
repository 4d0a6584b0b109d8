"""The whole chain as Dagster runs it: what is green, what heals, and what never turns green without its archive."""

import gzip
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from desbuquei_backups.core.errors import ToolFailed
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.settings import SECOND_S3_URL
from desbuquei_backups.postgres import physical
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.defs.conftest import Run
from desbuquei_backups_tests.keys import new_key

_CHECKS = {
    "dump_is_complete",
    "checksums_match",
    "base_backup_verifies",
    "archive_matches_manifest",
    "archive_is_encrypted",
    "connection_is_encrypted",
    "tables_match",
    "row_counts_match",
    "content_matches",
    "schema_matches",
    "objects_match",
    "indexes_are_valid",
    "pages_are_sound",
}
_NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.mark.usefixtures("environment")
def test_a_daily_backup_is_taken_archived_restored_and_proven(run: Run, folder: Path) -> None:
    done = run()
    assert done.errors == []
    assert done.true
    assert [step.asset for step in done.steps] == [
        "dump",
        "base_backup",
        "checksum_manifest",
        "s3_archive",
        "restored_copy",
    ]
    assert {check.name for check in done.checks if check.passed} == _CHECKS
    assert (folder / f"{done.slot.backup_id}.sql.gz").exists()


@pytest.mark.usefixtures("environment")
def test_a_slot_that_is_filled_is_verified_and_proven_again_and_not_dumped_again(run: Run, folder: Path) -> None:
    first = run()
    dump = folder / f"{first.slot.backup_id}.sql.gz"
    before = dump.stat().st_mtime_ns
    second = run()
    assert second.true
    assert {step.asset: step.metadata.get("reused") for step in second.steps} == {
        "dump": True,
        "base_backup": True,
        "checksum_manifest": True,
        "s3_archive": True,
        "restored_copy": None,
    }
    assert dump.stat().st_mtime_ns == before


def test_what_is_archived_is_archived_in_the_second_place_too(
    run: Run, environment: pytest.MonkeyPatch, bucket_url: str
) -> None:
    environment.setenv(SECOND_S3_URL, f"{bucket_url}-elsewhere")
    done = run()
    assert done.true
    made = {step.asset: step.metadata for step in done.steps}
    assert made["second_archive"]["dump"] == made["s3_archive"]["dump"].replace(bucket_url, f"{bucket_url}-elsewhere")
    assert {check.name for check in done.checks if check.asset == "second_archive" and check.passed} == {
        "archive_matches_manifest",
        "archive_is_encrypted",
        "connection_is_encrypted",
    }


def test_a_second_place_that_does_not_answer_keeps_nothing_from_being_proven(
    run: Run, environment: pytest.MonkeyPatch, bucket_url: str
) -> None:
    environment.setenv(SECOND_S3_URL, bucket_url)
    environment.setenv("DESBUQUEI_SECOND_AWS_ENDPOINT_URL_S3", _NOBODY_LISTENS)
    out = run()
    assert not out.success
    done = {step.asset for step in out.steps}
    assert done == {"dump", "base_backup", "checksum_manifest", "s3_archive", "restored_copy"}


def test_after_an_outage_of_s3_the_same_run_finishes_what_is_missing(
    run: Run, environment: pytest.MonkeyPatch, endpoints: Endpoints
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_S3", _NOBODY_LISTENS)
    out = run()
    assert not out.success
    assert [step.asset for step in out.steps] == ["dump", "base_backup", "checksum_manifest"]
    assert out.slot.backup_id in out.errors[0]
    assert "archived by running again" in out.errors[0]
    assert not {check.name for check in out.checks} & {"archive_matches_manifest", "row_counts_match"}

    environment.setenv("AWS_ENDPOINT_URL_S3", endpoints.aws["AWS_ENDPOINT_URL_S3"])
    healed = run()
    assert healed.true
    made = {step.asset: step.metadata for step in healed.steps}
    assert made["dump"]["reused"]
    assert not made["s3_archive"]["reused"]


@pytest.mark.usefixtures("environment")
def test_a_closed_empty_slot_is_shown_as_missed_and_never_filled(
    run: Run, open_slot: Slot, instance: dg.DagsterInstance, folder: Path
) -> None:
    closed = Slot("daily", open_slot.due - timedelta(days=1))
    out = run(closed)
    assert not out.success
    assert out.steps == []
    assert [(check.name, check.untrue) for check in out.checks] == [("dump_is_complete", True)]
    assert "missed" in out.errors[0]
    assert not list(folder.glob("daily-*"))
    key = dg.AssetKey(["desbuquei", "daily", "dump"])
    assert instance.get_latest_materialization_event(key) is None
    starts = [e for e in instance.all_logs(out.run_id) if e.dagster_event and e.dagster_event.is_step_up_for_retry]
    assert starts == []


@pytest.mark.usefixtures("environment")
def test_a_dump_that_was_damaged_is_set_aside_and_taken_anew_while_its_slot_is_open(
    run: Run, environment: pytest.MonkeyPatch, endpoints: Endpoints, folder: Path
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_S3", _NOBODY_LISTENS)
    first = run()
    dump = folder / f"{first.slot.backup_id}.sql.gz"
    dump.write_bytes(gzip.compress(b"-- half of a database\n"))
    environment.setenv("AWS_ENDPOINT_URL_S3", endpoints.aws["AWS_ENDPOINT_URL_S3"])
    healed = run()
    assert healed.true
    assert not {step.asset: step.metadata for step in healed.steps}["dump"]["reused"]
    assert [path.name for path in (folder / "rejected").iterdir() if dump.name in path.name]


def test_no_secret_is_in_any_event(run: Run, environment: pytest.MonkeyPatch, instance: dg.DagsterInstance,
                                   endpoints: Endpoints) -> None:  # fmt: skip
    runs = [run()]
    environment.setenv("DESBUQUEI_RESTORE_URL", "postgresql://postgres:wrong-secret@127.0.0.1:9/postgres")
    runs.append(run())
    said = "".join(str(entry) for done in runs for entry in instance.all_logs(done.run_id))
    assert not [secret for secret in [*endpoints.secrets, "wrong-secret"] if secret in said]


def test_an_encrypted_backup_is_green_and_its_proof_waits_for_the_identity(
    run: Run, environment: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    ours = new_key(tmp_path)
    environment.setenv("DESBUQUEI_AGE_RECIPIENTS", ours.recipient)
    done = run()
    assert done.true
    assert [step.asset for step in done.steps] == ["dump", "base_backup", "checksum_manifest", "s3_archive"]
    assert {check.name for check in done.checks if not check.passed} == {
        "base_backup_verifies",
        "tables_match",
        "row_counts_match",
        "content_matches",
        "schema_matches",
        "objects_match",
        "indexes_are_valid",
        "pages_are_sound",
    }
    assert not any(check.untrue for check in done.checks)
    assert (folder / f"{done.slot.backup_id}.sql.gz.age").exists()
    environment.setenv("DESBUQUEI_AGE_IDENTITY", str(ours.file))
    again = run()
    assert {check.name for check in again.checks if check.passed} == _CHECKS
    assert again.steps[-1].metadata["verdict"] == "matches"


@pytest.mark.usefixtures("environment")
def test_a_base_backup_that_fails_keeps_no_dump_from_being_archived_and_proven(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ToolFailed("pg_basebackup was killed", remedy="run again")

    monkeypatch.setattr(physical, "base_backup_in", broken)
    done = run()
    assert done.success
    assert [check.name for check in done.checks if check.untrue] == ["base_backup_verifies"]
    assert [step.asset for step in done.steps] == ["dump", "checksum_manifest", "s3_archive", "restored_copy"]
