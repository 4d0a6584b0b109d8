"""The job that looks at the WAL every quarter of an hour, whether backups run or not."""

import os
from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import pytest

from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.settings import DATABASE_URL, SECOND_S3_URL, from_environment
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_drain import Drained, drain
from desbuquei_backups_tests.defs.conftest import _QUIET, Run
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.operations.chains import links

pytestmark = pytest.mark.usefixtures("environment")
Looked = dict[tuple[str, str], dg.AssetCheckEvaluation]
CHECKS = {"wal_is_continuous", "recovery_point_within_objective"}


@pytest.fixture
def looked(instance: dg.DagsterInstance, defined: Callable[[], dg.Definitions]) -> Callable[[], Looked]:
    """A function that runs the job; its checks of WAL by name and asset."""

    def once() -> Looked:
        job = defined().resolve_job_def("desbuquei_watch")
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
        assert result.success
        found = {(each.check_name, each.asset_key.path[-1]): each for each in result.get_asset_check_evaluations()}
        return {(check, asset): each for (check, asset), each in found.items() if asset.endswith("wal")}

    return once


def test_where_the_server_gives_no_wal_the_checks_do_not_apply(looked, environment, project_url) -> None:
    environment.setenv(DATABASE_URL, project_url)
    found = looked()
    assert found.keys() == {(check, "wal") for check in CHECKS}
    for each in found.values():
        assert (each.passed, each.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "not applicable: replication is refused" in each.description


def test_an_hour_of_wal_is_green_and_says_how_to_recover_to_it(run: Run, instance, folder) -> None:
    slot = Slot("hourly", datetime.now(UTC).replace(minute=0, second=0, microsecond=0))
    done = run(slot)
    assert (done.errors, done.true) == ([], True)
    assert {check.name for check in done.checks if not check.passed} == {
        "tables_match",
        "row_counts_match",
        "content_matches",
        "schema_matches",
        "objects_match",
        "indexes_are_valid",
        "pages_are_sound",
    }
    assert {check.description for check in done.checks if not check.passed} == {
        "not applicable: it holds WAL and no dump: recovery drills prove it"
    }
    made = {step.asset: step.metadata for step in done.steps}
    assert set(made) == {"dump", "checksum_manifest", "s3_archive"}
    assert made["dump"]["to recover"] == f"desbuquei recover --to {slot.backup_id} --data-dir DIR"
    assert made["dump"]["copied beside it"] == "full base backup"
    assert made["s3_archive"]["dump"].endswith(f"{slot.backup_id}.point.json.gz")


def test_wal_without_a_base_backup_is_no_way_back(looked, slot: Slot) -> None:
    assert isinstance(drain(Site(from_environment(os.environ)), slot.backup_id), Drained)
    found = looked()
    continuous, late = (found[check, "wal"] for check in ("wal_is_continuous", "recovery_point_within_objective"))
    assert (continuous.passed, continuous.severity) == (False, dg.AssetCheckSeverity.ERROR)
    rows = [record.data for record in continuous.metadata["compared"].records]
    wrong = [row["what"] for row in rows if row["verdict"] == "does not match"]
    assert wrong == ["base backup"]
    assert late.passed
    bucket = Site(from_environment(os.environ)).bucket
    looked()
    (link,) = [each for each in links(bucket) if each.kind is Kind.CHECKS and each.body["step"] == "wal"]
    verdicts = {each["check"]: each["verdict"] for each in link.body["checks"]}
    assert verdicts == {"wal_is_continuous": "does not match", "recovery_point_within_objective": "matches"}
    assert (link.backup_id, link.body["step"], "looks" in link.body) == (None, "wal", False)


def test_each_look_is_a_point_of_a_trend(looked, instance, slot: Slot) -> None:
    assert isinstance(drain(Site(from_environment(os.environ)), slot.backup_id), Drained)
    looked()
    (seen,) = instance.fetch_observations(dg.AssetKey(["desbuquei", "wal"]), limit=5).records
    shown = {name: value.value for name, value in seen.asset_observation.metadata.items()}
    assert shown["recovery point, age (seconds)"] == 0.0
    assert (shown["segments in S3"], shown["gaps"]) == (1, 0)


def test_a_second_place_that_does_not_answer_is_a_warning_of_its_own(looked, environment, sample_url) -> None:
    environment.setenv(SECOND_S3_URL, "s3://elsewhere/backups")
    environment.setenv("DESBUQUEI_SECOND_AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    environment.setenv("AWS_MAX_ATTEMPTS", "1")
    found = looked()
    assert {check for check, _ in found} == CHECKS
    second = found.pop(("wal_is_continuous", "second_wal"))
    assert (second.passed, second.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "could not be asked" in second.description
    assert all("could not be asked" not in each.description for each in found.values())
