"""The report's job: what was shown stands in it, and so does what was not."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.defs.conftest import _QUIET, Run
from desbuquei_backups_tests.operations.chains import links

pytestmark = pytest.mark.usefixtures("environment")
Job = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def job(instance: dg.DagsterInstance, defined: Callable[[], dg.Definitions]) -> Job:
    """A function that runs the job of that name."""

    def once(name: str, config: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        asked = {"ops": {"desbuquei__audit_report": {"config": config}}} if config is not None else {}
        definition = defined().resolve_job_def(f"desbuquei_{name}")
        return definition.execute_in_process(instance=instance, raise_on_error=False, run_config={**_QUIET, **asked})

    return once


def _metadata(done: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (made,) = done.asset_materializations_for_node("desbuquei__audit_report")
    return {name: each.value for name, each in made.metadata.items()}


def test_a_day_with_a_daily_a_drill_and_a_prune_is_told_as_it_was(
    run: Run, job: Job, folder: Path, bucket_url: str, endpoints: Endpoints
) -> None:
    daily = run()
    assert daily.true
    assert job("recovery_drill").success
    assert job("retention").success
    assert job("evidence").success
    shown = _metadata(job("audit_report"))
    report = json.loads(Path(shown["JSON"]).read_text())
    controls = {each["name"]: each for each in report["controls"]}
    verdicts = {name: each["verdict"] for name, each in controls.items()}
    holding = {"retention", "encryption_in_transit", "encryption_at_rest", "evidence", "integrity", "restorability"}
    assert {name for name in holding if verdicts[name] != "holds"} == set(), controls
    assert verdicts["recovery_time"] == "holds"
    assert "the slowest recovery drill" in controls["recovery_time"]["why"]
    assert verdicts["changes"] == "holds"
    # The shared server has other databases, no bucket here is off-site or locked, and no key was given.
    assert verdicts["off_site"] == verdicts["immutability"] == "does not hold"
    assert verdicts["encryption_client_side"] == "not promised"
    (row,) = [each for each in report["daily"]["rows"] if each["tier"] == "daily"]
    assert [row[name] for name in ("checksums", "verified", "restored", "S3", "disk")] == ["yes"] * 5
    page = Path(shown["HTML"]).read_text()
    assert daily.slot.backup_id in page
    first = shown["first page"]
    assert "| Integrity | **holds** | " in first
    assert "| Off-site copy | **does not hold** | " in first
    assert "Nobody has signed a report of this period yet." in first
    assert (shown["backups archived"], shown["links broken"], shown["drills"]) == (1, 0, 1)
    assert shown["slots due"] >= shown["slots missed"]  # an hour may have ended meanwhile
    assert shown["holds"] + shown["does not hold"] + shown["not known"] + shown["not promised"] == len(controls)
    assert Path(shown["PDF"]).read_bytes().startswith(b"%PDF-")
    assert [each.kind for each in links(Bucket(bucket_url, endpoints.aws))][-1] is Kind.POLICY
    again = _metadata(job("audit_report"))
    assert again["HTML"] == shown["HTML"]
    assert len(list((folder / "reports").iterdir())) == 3


def test_a_period_before_there_was_anything_holds_nothing(job: Job) -> None:
    last_year = datetime.now(UTC) - timedelta(days=400)
    asked = {"start": f"{last_year:%Y-%m-%d}", "end": f"{last_year + timedelta(days=7):%Y-%m-%d}"}
    shown = _metadata(job("audit_report", asked))
    verdicts = {each["name"]: each["verdict"] for each in json.loads(Path(shown["JSON"]).read_text())["controls"]}
    assert {name for name, verdict in verdicts.items() if verdict == "holds"} == {"evidence"}
    assert verdicts["frequency"] == verdicts["integrity"] == verdicts["restorability"] == "not known"


def test_a_day_that_is_none_is_refused_before_anything_is_written(job: Job, folder: Path) -> None:
    done = job("audit_report", {"start": "yesterday"})
    assert not done.success
    assert not (folder / "reports").exists()
