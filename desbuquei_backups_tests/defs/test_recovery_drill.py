"""The drill's job: without a base backup it is said that nothing was drilled; nothing is green by it."""

from collections.abc import Callable

import dagster as dg
import pytest

from desbuquei_backups.defs.rendering_drill import drill_metadata
from desbuquei_backups.operations.drill_record import ACCEPTING, DatabaseSeen
from desbuquei_backups_tests.defs.conftest import _QUIET
from desbuquei_backups_tests.validation.test_recovery_time import recorded

pytestmark = pytest.mark.usefixtures("environment")


def test_where_there_is_nothing_to_recover_from_the_check_says_so_and_is_not_green(
    instance: dg.DagsterInstance, defined: Callable[[], dg.Definitions]
) -> None:
    job = defined().resolve_job_def("desbuquei_recovery_drill")
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
    assert result.success
    assert not result.asset_materializations_for_node("desbuquei__recovery_drill")
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("recovery_time_within_objective", False)
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert "there is no base backup" in (check.description or "")


def test_a_drill_shows_what_was_found_and_how_long_it_took() -> None:
    databases = [DatabaseSeen(name="a", tables=2, rows=7, counted={"public.a": 3, "public.b": 4})]
    shown = drill_metadata(recorded(databases=databases, faults=["an index is corrupted"]))
    assert shown["recovery (seconds)"] == 100.0
    assert shown[f"{ACCEPTING} (seconds)"] == 100.0
    assert [record.data["rows"] for record in shown["tables"].records] == [3, 4]
    assert "an index is corrupted" in shown["faults"].value
