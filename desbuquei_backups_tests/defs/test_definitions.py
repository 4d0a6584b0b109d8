"""What an operator finds in Dagster, by the names that scripts outside rely on."""

import subprocess
import sys
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import dagster as dg

import desbuquei_backups
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.definitions import build

_ROOT = Path(desbuquei_backups.__file__).parent.parent
_CHAIN = ["dump", "checksum_manifest", "s3_archive", "restored_copy"]


def _definitions() -> dg.Definitions:
    return build(load_policy(), datetime(2026, 2, 3, 12, tzinfo=UTC))


def test_assets_bear_the_names_and_groups_that_scripts_rely_on() -> None:
    graph = _definitions().resolve_asset_graph()
    for name in _CHAIN:
        node = graph.get(dg.AssetKey(["desbuquei", "daily", name]))
        assert node.group_name == "daily"
        assert node.owners
        assert node.description
    assert not graph.get(dg.AssetKey(["desbuquei", "source"])).is_materializable


def test_lineage_runs_from_the_source_to_the_restored_copy() -> None:
    graph = _definitions().resolve_asset_graph()
    below = dg.AssetKey(["desbuquei", "source"])
    for name in _CHAIN:
        key = dg.AssetKey(["desbuquei", "daily", name])
        assert graph.get(key).parent_keys == {below}
        below = key


def test_an_unsound_dump_never_reaches_the_archive() -> None:
    graph = _definitions().resolve_asset_graph()
    blocking = {key.name for key in graph.asset_check_keys if graph.get(key).blocking}
    assert blocking == {"dump_is_complete", "checksums_match", "archive_matches_manifest"}


def test_partitions_begin_with_the_slot_that_is_open_when_protection_begins() -> None:
    job = _definitions().resolve_job_def("desbuquei_daily")
    assert job.partitions_def is not None
    keys = job.partitions_def.get_partition_keys(current_time=datetime(2026, 2, 5, 2, 0, 1, tzinfo=UTC))
    assert keys == ["2026-02-03-020000", "2026-02-04-020000", "2026-02-05-020000"]


def test_the_schedule_fills_the_slot_whose_time_has_come() -> None:
    definitions = _definitions()
    schedule = definitions.resolve_schedule_def("desbuquei_daily_schedule")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime(2026, 2, 4, 2, tzinfo=UTC),
            repository_def=definitions.get_repository_def(),
        )
        tick = schedule.evaluate_tick(context)
    assert [request.partition_key for request in tick.run_requests or ()] == ["2026-02-04-020000"]


def test_schedules_run_from_the_start_but_in_the_demo() -> None:
    since = datetime(2026, 2, 3, 12, tzinfo=UTC)
    for scheduled, status in ((True, dg.DefaultScheduleStatus.RUNNING), (False, dg.DefaultScheduleStatus.STOPPED)):
        definitions = build(load_policy(), since, scheduled=scheduled)
        assert definitions.resolve_schedule_def("desbuquei_daily_schedule").default_status is status


def test_loading_imports_nothing_heavy_and_needs_no_setting() -> None:
    script = (
        "import sys, warnings; warnings.simplefilter('ignore');"
        "from desbuquei_backups.definitions import defs; defs();"
        "heavy = {'pandas', 'great_expectations', 'boto3', 'dagster_aws', 'psycopg2'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={"HOME": "/"}
    )
    assert done.returncode == 0, done.stderr


def test_the_packaged_dagster_yaml_is_the_one_at_the_root() -> None:
    packaged = (resources.files("desbuquei_backups") / "dagster.yaml").read_text()
    assert packaged == (_ROOT / "dagster.yaml").read_text()
