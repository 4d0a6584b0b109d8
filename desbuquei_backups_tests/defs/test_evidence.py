"""The evidence job: what the runs said is in the chain, it is walked, and its head is carried away."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from desbuquei_backups.core.evidence import Kind, link_key
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.defs.execution import Outcome, outcome
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.defs.conftest import _QUIET, Run
from desbuquei_backups_tests.operations.chains import links
from desbuquei_backups_tests.policies import PACKAGED, written

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def audited(instance: dg.DagsterInstance, defined: Callable[[], dg.Definitions]) -> Callable[[], Outcome]:
    """A function that runs the evidence job."""

    def once() -> Outcome:
        job = defined().resolve_job_def("desbuquei_evidence")
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
        return outcome(result.all_events, result.run_id, Slot("daily", datetime.now(UTC).replace(microsecond=0)))

    return once


def test_each_step_says_what_its_checks_found_and_the_head_is_told_to_the_policys_command(
    run: Run,
    audited: Callable[[], Outcome],
    environment: pytest.MonkeyPatch,
    endpoints: Endpoints,
    bucket_url: str,
    tmp_path: Path,
) -> None:
    anchors = tmp_path / "anchors"
    text = PACKAGED.replace("[evidence]\n", f'[evidence]\nanchor_command = ["tee", "{anchors}"]\n')
    environment.setenv("DESBUQUEI_POLICY", str(written(tmp_path, text)))
    done = run()
    assert done.true
    bucket = Bucket(bucket_url, endpoints.aws)
    said = links(bucket)
    assert [link.kind for link in said if link.kind is not Kind.CHECKS] == [Kind.MANIFEST, Kind.ARCHIVED, Kind.PROVEN]
    results = {
        str(check["check"]): (link.body["step"], check["verdict"])  # type: ignore[index, call-overload]
        for link in said
        if link.kind is Kind.CHECKS
        for check in link.body["checks"]  # type: ignore[union-attr]
    }
    assert results == {check.name: (check.asset, "matches") for check in done.checks}
    assert {link.backup_id for link in said} == {done.slot.backup_id}

    found = audited()
    assert found.true, found.errors
    (step,) = found.steps
    told = json.loads(anchors.read_text())
    assert {name: step.metadata[name] for name in ("links walked", "head", "SHA-256 of the head", "anchored")} == {
        "links walked": len(said),
        "head": told["sequence"],
        "SHA-256 of the head": told["sha256"],
        "anchored": "tee",
    }
    assert [(check.name, check.passed) for check in found.checks] == [("evidence_is_unbroken", True)]

    bucket.delete(link_key(len(said)))
    environment.setenv("DESBUQUEI_POLICY", str(written(tmp_path, text.replace('["tee"', '["false"'))))
    broken = audited()
    assert not broken.success
    assert "false did not take the anchor" in broken.errors[0]
    (check,) = broken.checks
    assert check.untrue
    assert f"link {len(said)}" in check.differences[0]
    assert "cut off" in check.differences[0]


def test_before_the_first_backup_the_chain_is_empty_and_unbroken(audited: Callable[[], Outcome]) -> None:
    assert audited().true
