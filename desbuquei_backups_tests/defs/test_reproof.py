"""A copy that lies for years is read by itself when its turn comes, and nobody has to remember it."""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import pytest

from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.conftest import Clock, MakeSite
from desbuquei_backups_tests.defs.conftest import _QUIET
from desbuquei_backups_tests.operations.chains import content_of, links, overwrite
from desbuquei_backups_tests.operations.tiers import DAILY, TOGETHER, WEEKLY, back_up

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def site(make_site: MakeSite, sample_url: str) -> Site:
    """The host that took them."""
    return make_site(sample_url)


@pytest.fixture
def job(instance: dg.DagsterInstance, defined: Callable[[], dg.Definitions]) -> Callable[[], dict[str, object]]:
    """A function that runs the job: what it made, and its check."""

    def once() -> dict[str, object]:
        definition = defined().resolve_job_def("desbuquei_reproof")
        result = definition.execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
        assert result.success
        (made,) = result.asset_materializations_for_node("desbuquei__reproof")
        (check,) = result.get_asset_check_evaluations()
        found = {name: value.value for name, value in made.metadata.items() if name in ("due", "restored")}
        return {**found, "passed": check.passed, "said": check.description}

    return once


def test_the_oldest_weekly_is_restored_once_and_what_that_showed_is_in_the_chain(
    site: Site, clock: Clock, job: Callable[[], dict[str, object]]
) -> None:
    clock.now = TOGETHER + timedelta(minutes=10)
    back_up(site, DAILY, WEEKLY)
    prove(site, DAILY)
    prove(site, WEEKLY)
    dump = f"weekly/{WEEKLY.backup_id}.sql.gz"
    whole = content_of(site.bucket, dump)
    overwrite(site.bucket, dump, b"nothing")
    failed = job()
    assert (failed["due"], failed["restored"], failed["passed"]) == (1, 0, False)
    overwrite(site.bucket, dump, whole)
    assert job() == {"due": 1, "restored": 1, "passed": True, "said": "1 match"}
    assert job() == {"due": 0, "restored": 0, "passed": True, "said": "1 match"}
    said = [
        (link.kind, link.backup_id, link.body.get("restored") or link.body["step"]) for link in links(site.bucket)[-6:]
    ]
    again = [
        (Kind.PROVEN, WEEKLY.backup_id, WEEKLY.backup_id),
        (Kind.CHECKS, WEEKLY.backup_id, "restored_copy"),
        (Kind.CHECKS, None, "reproof"),
    ]
    assert said[-4:] == [*again, (Kind.CHECKS, None, "reproof")]
    verdicts = [
        {each["verdict"] for each in link.body["checks"]}
        for link in links(site.bucket)[-6:]
        if link.kind is Kind.CHECKS
    ]
    assert verdicts[:3] == [{"does not match"}, {"does not match"}, {"matches"}]
