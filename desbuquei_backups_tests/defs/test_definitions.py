"""What an operator finds in Dagster, by the names that scripts outside rely on."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

import desbuquei_backups
from desbuquei_backups.core.slots import KEY_FORMAT, Slot, SlotState, next_due, state
from desbuquei_backups.core.tiers import Policy, load_policy
from desbuquei_backups.definitions import build
from desbuquei_backups_tests.policies import PACKAGED, WITH_YEARLY, YEARLY, written

_ROOT = Path(desbuquei_backups.__file__).parent.parent
_CHAIN = ["dump", "checksum_manifest", "s3_archive", "restored_copy"]
_SINCE = datetime(2026, 2, 3, 12, tzinfo=UTC)
_POLICY = load_policy()
_PROMOTED = ("weekly", "monthly", "quarterly")
# A Sunday that begins a quarter: all tiers but the manual fall due.
_TOGETHER = datetime(2028, 10, 1, 2, tzinfo=UTC)
_DUES = {
    "hourly": datetime(2026, 2, 4, 17, tzinfo=UTC),
    "daily": datetime(2026, 2, 4, 2, tzinfo=UTC),
    "weekly": datetime(2026, 2, 8, 2, tzinfo=UTC),
    "monthly": datetime(2028, 3, 1, 2, tzinfo=UTC),
    "quarterly": datetime(2026, 4, 1, 2, tzinfo=UTC),
}


@cache
def _definitions() -> dg.Definitions:
    return build(_POLICY, _SINCE)


def _key(*path: str) -> dg.AssetKey:
    return dg.AssetKey(["desbuquei", *path])


def _slots(tier: str, definitions: dg.Definitions | None = None) -> dg.TimeWindowPartitionsDefinition:
    found = (definitions or _definitions()).resolve_job_def(f"desbuquei_{tier}").partitions_def
    assert isinstance(found, dg.TimeWindowPartitionsDefinition)
    return found


def _asked_for(tier: str, at: datetime, definitions: dg.Definitions | None = None) -> list[str | None]:
    """The slots that the tier's schedule asks for when it ticks at that instant."""
    definitions = definitions or _definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=at, repository_def=definitions.get_repository_def()
        )
        tick = definitions.resolve_schedule_def(f"desbuquei_{tier}_schedule").evaluate_tick(context)
    return [request.partition_key for request in tick.run_requests or ()]


def test_assets_bear_the_names_and_groups_that_scripts_rely_on() -> None:
    graph = _definitions().resolve_asset_graph()
    assert graph.get_all_asset_keys() == {
        _key("source"),
        _key("retention"),
        _key("evidence_anchor"),
        _key("audit_report"),
        _key("reproof"),
        _key("wal"),
        _key("recovery_drill"),
        *(_key(tier, name) for tier in _POLICY.tiers for name in _CHAIN),
        *(_key(tier, "base_backup") for tier in ("daily", "manual")),
    }
    for tier in _POLICY.tiers:
        for name in _CHAIN:
            node = graph.get(_key(tier, name))
            assert node.group_name == tier
            assert node.owners
            assert node.description
    assert not graph.get(_key("source")).is_materializable


def test_lineage_runs_from_the_source_to_the_restored_copy() -> None:
    graph = _definitions().resolve_asset_graph()
    for tier in ("hourly", "daily", "manual"):
        below = _key("source")
        for name in _CHAIN:
            beside = {_key(tier, "base_backup")} if name == "checksum_manifest" and tier != "hourly" else set()
            assert graph.get(_key(tier, name)).parent_keys == {below} | beside
            below = _key(tier, name)
    assert graph.get(_key("daily", "base_backup")).parent_keys == {_key("daily", "dump")}


@pytest.mark.parametrize("tier", _PROMOTED)
def test_lineage_shows_from_which_daily_a_longer_tier_is_promoted(tier: str) -> None:
    graph = _definitions().resolve_asset_graph()
    parents = {name: graph.get(_key(tier, name)).parent_keys for name in _CHAIN}
    assert parents == {
        "dump": {_key("source"), _key("daily", "s3_archive")},
        "checksum_manifest": {_key(tier, "dump")},
        "s3_archive": {_key(tier, "checksum_manifest")},
        "restored_copy": {_key(tier, "s3_archive"), _key("daily", "restored_copy")},
    }


@pytest.mark.parametrize("tier", _PROMOTED)
@pytest.mark.parametrize(("asset", "parent"), [("dump", "s3_archive"), ("restored_copy", "restored_copy")])
def test_a_slot_follows_the_daily_of_its_own_instant_and_no_other(tier: str, asset: str, parent: str) -> None:
    graph = _definitions().resolve_asset_graph()
    above, below = _key("daily", parent), _key(tier, asset)
    key = _TOGETHER.strftime(KEY_FORMAT)
    mapping = graph.get_partition_mapping(below, above)
    slots, dailies = _slots(tier), _slots("daily")
    with partition_loading_context(_TOGETHER + timedelta(days=1, hours=1)):
        found = mapping.get_upstream_mapped_partitions_result_for_partitions(
            slots.subset_with_partition_keys([key]), slots, dailies
        )
        assert list(found.partitions_subset.get_partition_keys()) == [key]
        assert found.required_but_nonexistent_partition_keys == []
        two = [key, "2028-10-02-020000"]  # the Monday is no due time of a longer tier
        followed = mapping.get_downstream_partitions_for_partitions(
            dailies.subset_with_partition_keys(two), dailies, slots
        )
        assert list(followed.get_partition_keys()) == [key]


def test_an_unsound_dump_never_reaches_the_archive() -> None:
    graph = _definitions().resolve_asset_graph()
    blocking = {key.name for key in graph.asset_check_keys if graph.get(key).blocking}
    assert blocking == {"dump_is_complete", "checksums_match", "archive_matches_manifest"}


@pytest.mark.parametrize("since", [_SINCE, datetime(2028, 2, 29, 2, tzinfo=UTC), _TOGETHER - timedelta(seconds=1)])
@pytest.mark.parametrize("tier", _POLICY.scheduled)
def test_each_tier_has_an_open_slot_from_the_first_day(tier: str, since: datetime) -> None:
    (key,) = _slots(tier, build(_POLICY, since)).get_partition_keys(current_time=since)
    slot = Slot.of_key(tier, key)
    assert slot.due <= since
    assert state(slot, _POLICY.tiers[tier].cron, since) is SlotState.OPEN


@pytest.mark.parametrize("tier", _POLICY.scheduled)
def test_the_partition_bar_shows_every_due_time_and_nothing_else(tier: str) -> None:
    cron = _POLICY.scheduled[tier]
    begun, ended = datetime(2027, 12, 20, tzinfo=UTC), datetime(2029, 1, 10, tzinfo=UTC)  # a leap day is between
    shown = _slots(tier, build(_POLICY, begun)).get_partition_keys(current_time=ended)
    due = Slot.of_key(tier, shown[0]).due
    expected = []
    while due <= ended:
        expected.append(Slot(tier, due).key)
        due = next_due(cron, due)
    assert shown == expected
    assert ("2028-02-29-020000" in shown) is (tier in ("hourly", "daily"))


@pytest.mark.parametrize(("tier", "due"), _DUES.items())
def test_the_schedule_fills_the_slot_whose_time_has_come(tier: str, due: datetime) -> None:
    assert _asked_for(tier, due) == [due.strftime(KEY_FORMAT)]
    # A daemon that was late asks for the same slot.
    assert _asked_for(tier, due + timedelta(minutes=20)) == [due.strftime(KEY_FORMAT)]


@pytest.mark.parametrize("tier", _POLICY.scheduled)
def test_at_an_instant_when_all_fall_due_each_schedule_asks_for_that_instant(tier: str) -> None:
    assert _asked_for(tier, _TOGETHER) == ["2028-10-01-020000"]


def test_schedules_tick_at_the_due_times_in_utc() -> None:
    for tier in _POLICY.scheduled:
        schedule = _definitions().resolve_schedule_def(f"desbuquei_{tier}_schedule")
        assert (schedule.cron_schedule, schedule.execution_timezone) == (_POLICY.scheduled[tier], "UTC")


def test_the_manual_tier_is_filled_when_somebody_asks_and_by_no_schedule() -> None:
    for name in _CHAIN:
        slots = _definitions().resolve_asset_graph().get(_key("manual", name)).partitions_def
        assert isinstance(slots, dg.DynamicPartitionsDefinition)
        assert slots.name == "desbuquei_manual"
    assert not _definitions().get_repository_def().has_schedule_def("desbuquei_manual_schedule")


def test_of_tiers_that_are_due_together_the_daily_is_started_first() -> None:
    priority = {
        tier: int(_definitions().resolve_job_def(f"desbuquei_{tier}").tags["dagster/priority"])
        for tier in _POLICY.tiers
    }
    assert [tier for tier, given in priority.items() if given >= priority["daily"]] == ["daily"]


@pytest.fixture
def gained(tmp_path: Path) -> Policy:
    """The packaged policy and five lines more."""
    assert len(YEARLY.strip().splitlines()) == 5
    assert WITH_YEARLY.removeprefix(PACKAGED) == YEARLY
    return load_policy(written(tmp_path, WITH_YEARLY))


def test_five_lines_of_policy_make_a_tier(gained: Policy) -> None:
    definitions = build(gained, _SINCE)
    graph = definitions.resolve_asset_graph()
    parents = {name: graph.get(_key("yearly", name)).parent_keys for name in _CHAIN}
    assert parents["dump"] == {_key("source"), _key("daily", "s3_archive")}
    assert parents["restored_copy"] == {_key("yearly", "s3_archive"), _key("daily", "restored_copy")}
    assert {graph.get(_key("yearly", name)).group_name for name in _CHAIN} == {"yearly"}

    def checks_of(tier: str) -> set[str]:
        return {key.name for key in graph.asset_check_keys if key.asset_key.path[1] == tier}

    assert checks_of("yearly") == checks_of("weekly")
    assert len(checks_of("yearly")) == 12
    slots = _slots("yearly", definitions)
    assert slots.get_partition_keys(current_time=datetime(2028, 1, 1, 2, 0, 1, tzinfo=UTC)) == [
        "2026-01-01-020000",
        "2027-01-01-020000",
        "2028-01-01-020000",
    ]
    assert _asked_for("yearly", datetime(2028, 1, 1, 2, tzinfo=UTC), definitions) == ["2028-01-01-020000"]


def test_a_tier_that_is_added_leaves_the_others_as_they_were(gained: Policy) -> None:
    before, after = _definitions().resolve_asset_graph(), build(gained, _SINCE).resolve_asset_graph()
    for key in before.get_all_asset_keys() - {_key("retention"), _key("reproof")}:
        assert after.get(key).parent_keys == before.get(key).parent_keys
        assert after.get(key).partitions_def == before.get(key).partitions_def
    assert before.asset_check_keys < after.asset_check_keys


def test_schedules_run_from_the_start_but_in_the_demo() -> None:
    for scheduled, status in ((True, dg.DefaultScheduleStatus.RUNNING), (False, dg.DefaultScheduleStatus.STOPPED)):
        definitions = build(_POLICY, _SINCE, scheduled=scheduled)
        for name in [*_POLICY.scheduled, "retention", "evidence", "audit_report", "recovery_drill"]:
            assert definitions.resolve_schedule_def(f"desbuquei_{name}_schedule").default_status is status
        sensor = definitions.resolve_sensor_def("desbuquei_unfinished_slots")
        assert sensor.default_status.value == status.value


def test_loading_imports_nothing_heavy_and_needs_no_setting() -> None:
    script = (
        "import sys, warnings; warnings.simplefilter('ignore');"
        "from desbuquei_backups.definitions import defs; defs();"
        "heavy = {'pandas', 'great_expectations', 'boto3', 'dagster_aws', 'psycopg2', 'apprise'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={"HOME": "/"}
    )
    assert done.returncode == 0, done.stderr


def test_the_packaged_dagster_yaml_is_the_one_at_the_root() -> None:
    packaged = (resources.files("desbuquei_backups") / "dagster.yaml").read_text()
    assert packaged == (_ROOT / "dagster.yaml").read_text()


def test_retention_is_applied_every_day_after_the_tiers_of_the_night_and_then_anchored() -> None:
    schedule = _definitions().resolve_schedule_def("desbuquei_retention_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 4 * * *", "UTC")
    graph = _definitions().resolve_asset_graph()
    evidence = _definitions().resolve_schedule_def("desbuquei_evidence_schedule")
    assert (evidence.cron_schedule, evidence.execution_timezone) == ("0 5 * * *", "UTC")
    report = _definitions().resolve_schedule_def("desbuquei_audit_report_schedule")
    assert (report.cron_schedule, report.execution_timezone) == ("30 5 * * *", "UTC")
    assert graph.get(_key("retention")).parent_keys == {_key(tier, "s3_archive") for tier in _POLICY.tiers}


def test_once_a_month_a_recovery_is_drilled_from_what_the_daily_archived() -> None:
    schedule = _definitions().resolve_schedule_def("desbuquei_recovery_drill_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 5 1 * *", "UTC")
    graph = _definitions().resolve_asset_graph()
    assert graph.get(_key("recovery_drill")).parent_keys == {_key(tier, "s3_archive") for tier in ("daily", "manual")}


def test_every_job_can_be_made_also_with_the_checks_that_other_jobs_look_at() -> None:
    names = {job.name for job in build(_POLICY, _SINCE, second_place=True).get_repository_def().get_all_jobs()}
    assert {f"desbuquei_{name}" for name in (*_POLICY.tiers, "retention", "watch")} <= names
