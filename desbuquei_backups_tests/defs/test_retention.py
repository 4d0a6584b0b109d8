"""The retention job: what the policy no longer keeps goes, and what it promises is seen to be there."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.defs.execution import Outcome, outcome
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.defs.conftest import _QUIET, Run
from desbuquei_backups_tests.operations.chains import links
from desbuquei_backups_tests.policies import PACKAGED, written

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def pruned(instance: dg.DagsterInstance, defined: Callable[[], dg.Definitions]) -> Callable[[], Outcome]:
    """A function that runs the retention job."""

    def once() -> Outcome:
        job = defined().resolve_job_def("desbuquei_retention")
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
        return outcome(result.all_events, result.run_id, Slot("daily", datetime.now(UTC).replace(microsecond=0)))

    return once


def test_a_day_on_which_all_is_kept_says_so(run: Run, pruned: Callable[[], Outcome]) -> None:
    done = run()
    found = pruned()
    assert found.true
    (step,) = found.steps
    assert {name: step.metadata[name] for name in ("kept", "gone", "failed")} == {"kept": 2, "gone": 0, "failed": 0}
    assert 0 <= step.metadata["disk (percent)"] <= 100
    assert {row["why"] for row in step.metadata["verdicts"]} == {"its slot is open"}
    assert {row["backup"] for row in step.metadata["verdicts"]} == {done.slot.backup_id}
    (check,) = (each for each in found.checks if each.name == "retention_is_honoured")
    assert (check.name, check.passed) == ("retention_is_honoured", True)


def test_before_the_first_backup_there_is_nothing_to_prune(pruned: Callable[[], Outcome]) -> None:
    assert pruned().true


def test_a_backup_that_somebody_deleted_turns_the_check_untrue_and_is_named(
    run: Run, pruned: Callable[[], Outcome], bucket_url: str, endpoints: Endpoints
) -> None:
    done = run()
    bucket = Bucket(bucket_url, endpoints.aws)
    bucket.delete(f"daily/{done.slot.backup_id}.manifest.json")
    found = pruned()
    assert found.success
    assert not found.true
    (check,) = (each for each in found.checks if each.name == "retention_is_honoured")
    assert check.differences == (f"{done.slot.backup_id}, s3: recorded as archived, and lost",)
    link = [each for each in links(bucket) if each.body.get("step") == "retention"][-1]
    assert link.backup_id is None
    (told,) = link.body["checks"]
    assert (told["check"], told["verdict"]) == ("retention_is_honoured", "does not match")
    assert told["differing"][0]["subject"] == f"{done.slot.backup_id}, s3"


def test_what_is_over_goes_and_is_seen_to_be_gone(
    run: Run,
    pruned: Callable[[], Outcome],
    environment: pytest.MonkeyPatch,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    bucket_url: str,
    endpoints: Endpoints,
) -> None:
    manual = Slot("manual", datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30))
    instance.add_dynamic_partitions("desbuquei_manual", [manual.key])
    assert run(manual, {"operator": "ana", "reason": "antes da migração"}).true
    assert run().true
    text = PACKAGED.replace(
        '[tiers.manual]\non_demand = true\nkept_on_disk = "7 days"\nkept_in_s3 = "30 days"',
        '[tiers.manual]\non_demand = true\nkept_on_disk = "1 minute"\nkept_in_s3 = "1 minute"',
    )
    environment.setenv("DESBUQUEI_POLICY", str(written(tmp_path, text)))
    found = pruned()
    assert found.true
    (step,) = found.steps
    gone = [(row["backup"], row["place"]) for row in step.metadata["verdicts"] if row["verdict"] == "gone"]
    assert sorted(gone) == [(manual.backup_id, "disk"), (manual.backup_id, "s3")]
    assert not list(Bucket(bucket_url, endpoints.aws).keys("manual/"))
    assert pruned().true
