"""What runs did stands in scheduler.log, which an operator reads when the UI is down."""

import re
from importlib import resources
from pathlib import Path

import dagster as dg
import pytest
import yaml

from desbuquei_backups.defs.compute_logs import LOGS_URL
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Endpoints

pytestmark = [
    pytest.mark.usefixtures("here"),
    pytest.mark.filterwarnings("ignore:Handling yaml-defined logging configuration"),
]


@pytest.fixture
def here(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packaged dagster.yaml, but for its storage: a file in place of a server."""
    settings = yaml.safe_load((resources.files("desbuquei_backups") / "dagster.yaml").read_text())
    del settings["storage"]
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DESBUQUEI_BACKUP_DIR", str(folder))


@dg.asset(check_specs=[dg.AssetCheckSpec("row_counts_match", asset="dump")])
def dump(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    print("printed by the run")  # noqa: T201
    context.log.debug("of no use to an operator")
    context.log.info("dumping (7 bytes)")
    lost = dg.AssetCheckResult(check_name="row_counts_match", passed=False, description="3 rows are lost")
    return dg.MaterializeResult(check_results=[lost])


@dg.asset(deps=[dump])
def s3_archive() -> None:
    raise dg.Failure("the bucket is down\nWhat to do: wait", allow_retries=False)


def _run(tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
    job = dg.Definitions(
        assets=[dump, s3_archive], jobs=[dg.define_asset_job("nightly")], executor=dg.in_process_executor
    ).resolve_job_def("nightly")
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
    assert not result.success
    return result


def test_a_night_can_be_read_from_the_log_alone(folder: Path) -> None:
    run_id = _run({"dagster/schedule_name": "nightly_schedule", "dagster/partition": "2026-02-02-020000"}).run_id[:8]
    head = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
    text = (folder / "scheduler.log").read_text()
    assert re.sub(head, "", text, flags=re.MULTILINE).splitlines() == [
        f"INFO    nightly 2026-02-02-020000 {run_id}: started by schedule nightly_schedule",
        f"INFO    nightly 2026-02-02-020000 {run_id} dump: dumping (7 bytes)",
        f"INFO    nightly 2026-02-02-020000 {run_id} dump: dump written",
        f"ERROR   nightly 2026-02-02-020000 {run_id} dump: row_counts_match is not true: 3 rows are lost",
        f"ERROR   nightly 2026-02-02-020000 {run_id} s3_archive: the bucket is down",
        "    What to do: wait",
        f"ERROR   nightly 2026-02-02-020000 {run_id}: failed",
    ]
    assert (folder / "scheduler.log").stat().st_mode & 0o777 == 0o600


def test_it_goes_on_in_a_new_file_once_it_was_rotated(folder: Path) -> None:
    _run()
    (folder / "scheduler.log").rename(folder / "scheduler.log.1")
    _run()
    assert (folder / "scheduler.log").read_text().count("started by hand") == 1


def test_a_run_does_not_fail_for_the_sake_of_its_log(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    assert "the bucket is down" in str(_run().failure_data_for_node("s3_archive"))


def test_what_a_run_prints_stays_here_unless_a_bucket_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoints: Endpoints, bucket: Bucket, bucket_url: str
) -> None:
    for name, value in endpoints.aws.items():
        monkeypatch.setenv(name, value)
    _run()
    assert any("printed by the run" in path.read_text() for path in (tmp_path / "storage").rglob("*.out"))
    monkeypatch.setenv(LOGS_URL, f"{bucket_url}/logs")
    _run()
    (kept,) = [key for key in bucket.keys("logs") if key.endswith(".out")]
    assert b"printed by the run" in bucket.fetch(kept)[0]


def test_a_log_that_belongs_to_somebody_else_fails_no_run(folder: Path) -> None:
    """A command that was run as root may have made it, or its disk may be read-only."""
    folder.mkdir()
    (folder / "scheduler.log").mkdir()
    assert "the bucket is down" in str(_run().failure_data_for_node("s3_archive"))
    (folder / "scheduler.log").rmdir()
    _run()
    assert (folder / "scheduler.log").read_text().count("started by hand") == 1
