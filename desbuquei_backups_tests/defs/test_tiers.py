"""Every tier as Dagster runs it, however it was started: one read of the database, and no green that is not true."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from desbuquei_backups.cli.main import main
from desbuquei_backups.core.slots import Slot, last_due
from desbuquei_backups.defs import unreported
from desbuquei_backups.operations import records
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.defs.backfills import backfill
from desbuquei_backups_tests.defs.conftest import Run
from desbuquei_backups_tests.policies import WITH_YEARLY, due_together, with_crons, with_egress, written

TIERS = ("hourly", "daily", "weekly", "monthly", "quarterly")
DOWN = "storage:\n  sqlite:\n    base_dir: /dev/null/gone\n"
UP = """\
run_launcher:
  module: dagster._core.launcher.sync_in_memory_run_launcher
  class: SyncInMemoryRunLauncher
telemetry:
  enabled: false
"""


@pytest.fixture
def dagster_home(environment: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of DAGSTER_HOME; what is launched there runs in this process."""
    path = tmp_path / "dagster"
    path.mkdir()
    (path / "dagster.yaml").write_text(UP)
    environment.setenv("DAGSTER_HOME", str(path))
    environment.setenv("DESBUQUEI_HOME", str(tmp_path))
    environment.chdir(tmp_path)
    return path


@pytest.fixture
def instance(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance that commands, schedules and backfills share."""
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def policy(environment: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """A function that writes the policy that is in force from now on."""
    return lambda text: environment.setenv("DESBUQUEI_POLICY", str(written(tmp_path, text)))


@pytest.fixture
def hour() -> datetime:
    """The last full hour (UTC)."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def desbuquei(dagster_home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """A function that runs the command in this process, asserts its exit status, and returns its document."""

    def command(*arguments: str, status: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        exited = main([*arguments, "--json"])
        said = capsys.readouterr()
        assert exited == status, said
        return json.loads(said.out)

    return command


def lines(folder: Path) -> Mapping[str, records.Line]:
    return {line["backup_id"]: line for line in list(records.lines(folder))}


def ticked(slot: Slot, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """Let the tier's schedule tick at the slot's due time, and run what it asks for."""
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=slot.due, repository_def=definitions.get_repository_def()
    )
    tick = definitions.resolve_schedule_def(f"desbuquei_{slot.tier}_schedule").evaluate_tick(context)
    (request,) = tick.run_requests or ()
    assert request.partition_key == slot.key
    job = definitions.resolve_job_def(f"desbuquei_{slot.tier}")
    done = job.execute_in_process(partition_key=request.partition_key, tags=dict(request.tags), instance=instance)
    assert done.success


def verdicts(instance: dg.DagsterInstance, definitions: dg.Definitions, tier: str) -> dict[str, bool]:
    """The last verdict of each check of a tier, as Dagster shows it."""
    keys = [key for key in definitions.resolve_asset_graph().asset_check_keys if key.asset_key.path[1] == tier]
    found = {}
    for key in keys:
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
        assert record is not None, key
        evaluation = record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        found[key.name] = evaluation.passed
    return found


def shown(instance: dg.DagsterInstance, slot: Slot, asset: str) -> dict[str, Any]:
    """The metadata of the slot's materialisation, as Dagster shows it."""
    key = dg.AssetKey(["desbuquei", slot.tier, asset])
    found = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[slot.key]), limit=1).records
    assert found, f"{asset} of {slot.backup_id} is not materialised"
    made = found[0].asset_materialization
    assert made is not None
    return {name: value.value for name, value in made.metadata.items()}


@pytest.mark.parametrize(
    "order",
    [
        "tick daily, command weekly, backfill quarterly monthly hourly",
        "command quarterly, backfill weekly hourly, tick daily, tick monthly",
    ],
)
@pytest.mark.usefixtures("no_wal")
def test_however_its_tiers_are_started_the_database_is_read_once(
    order: str,
    hour: datetime,
    policy: Callable[[str], None],
    instance: dg.DagsterInstance,
    defined: Callable[[], dg.Definitions],
    desbuquei: Callable[..., dict[str, Any]],
    folder: Path,
) -> None:
    policy(with_crons(due_together(hour)))
    for started in order.split(", "):
        way, *tiers = started.split()
        slots = [Slot(tier, hour) for tier in tiers]
        if way == "backfill":
            assert backfill(instance, *slots) is BulkActionStatus.COMPLETED_SUCCESS
        elif way == "command":
            assert desbuquei("backup", *tiers)["true"]
        else:
            ticked(slots[0], defined(), instance)

    found = lines(folder)
    assert set(found) == {Slot(tier, hour).backup_id for tier in TIERS}
    (first,) = (backup_id for backup_id, line in found.items() if line["egress_bytes"])
    assert {backup_id: line["copy_of"] is None for backup_id, line in found.items()} == {
        backup_id: backup_id == first for backup_id in found
    }
    assert len({line["checksum_sha256"] for line in found.values()}) == 1
    assert {(line["status"], line["recovery_tested"]) for line in found.values()} == {("success", True)}
    proofs = {tier: shown(instance, Slot(tier, hour), "restored_copy")["restored"] for tier in TIERS}
    (own,) = (tier for tier, said in proofs.items() if not said.startswith("as "))
    assert own == Slot.of_id(first).tier
    assert {said for tier, said in proofs.items() if tier != own} == {f"as {first}, whose bytes are the same"}
    for tier in TIERS:
        judged = verdicts(instance, defined(), tier)
        for name in ("recovery_point_within_objective", "wal_is_continuous", "base_backup_verifies"):
            judged.pop(name, None)
        assert len(judged) == 12
        assert all(judged.values()), (tier, judged)


@pytest.mark.usefixtures("no_wal")
def test_an_hour_in_which_nothing_changed_is_filled_by_what_is_there(
    hour: datetime, policy: Callable[[str], None], run: Run, folder: Path
) -> None:
    before = hour - timedelta(hours=1)
    policy(with_crons(due_together(before, hourly=hour)))
    daily, hourly = Slot("daily", before), Slot("hourly", hour)
    assert run(daily).true
    done = run(hourly)
    assert (done.errors, done.true) == ([], True)
    made = {step.asset: step.metadata for step in done.steps}
    assert made["dump"]["unchanged since"] == daily.backup_id
    assert made["restored_copy"]["restored"] == f"as {daily.backup_id}, whose bytes are the same"
    untrue = {check.name for check in done.checks if not check.passed}
    assert untrue == {"recovery_point_within_objective", "wal_is_continuous"}
    assert lines(folder)[hourly.backup_id]["egress_bytes"] == 0
    assert not list(folder.glob(f"{hourly.backup_id}*sql.gz"))


@pytest.mark.usefixtures("no_wal")
def test_an_hour_that_the_budget_leaves_out_is_no_failure_and_never_green(
    hour: datetime,
    policy: Callable[[str], None],
    run: Run,
    instance: dg.DagsterInstance,
    desbuquei: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    sample_url: str,
    folder: Path,
) -> None:
    before = hour - timedelta(hours=1)
    crons = due_together(before, hourly=hour)
    policy(with_crons(crons, with_egress(0.000_000_001)))
    assert run(Slot("daily", before)).true
    with psycopg.connect(sample_url, autocommit=True) as connection:
        connection.execute("create table nova ()")
    done = desbuquei("backup", "hourly")
    assert done["true"]
    assert done["steps"] == []
    assert {check["check"]: check["verdict"] for check in done["checks"]} == {
        "dump_is_complete": "could not be compared",
        "checksums_match": "could not be compared",
        "connection_is_encrypted": "could not be compared",
        "recovery_point_within_objective": "warning",
        "wal_is_continuous": "could not be compared",
    }
    (objective,) = (check for check in done["checks"] if check["check"] == "recovery_point_within_objective")
    # And the dump's own seconds, if it took any.
    assert re.fullmatch(r"up to 1 d( \d+ (min|s))?, promised: at most 1 h", objective["description"])
    (price,) = objective["differences"]
    assert "one dump more between theirs is too many" in price
    slot = Slot("hourly", hour)
    assert instance.get_materialized_partitions(dg.AssetKey(["desbuquei", "hourly", "dump"])) == set()
    assert lines(folder)[slot.backup_id]["status"] == "skipped"
    assert not list(folder.glob(f"{slot.backup_id}*"))
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["backup", "hourly"]) == 0
    said = capsys.readouterr().out
    assert "left out, nothing was taken" in said
    assert max(map(len, said.splitlines())) <= 80


ASKED = {"operator": "ana", "reason": "before the migration"}


@pytest.mark.parametrize("config", [None, {}, {"operator": "ana"}, {"reason": "before the migration"}])
def test_a_manual_run_that_does_not_say_who_asks_and_why_is_refused(
    config: dict[str, str] | None, run: Run, instance: dg.DagsterInstance, hour: datetime
) -> None:
    slot = Slot("manual", hour)
    instance.add_dynamic_partitions("desbuquei_manual", [slot.key])
    with pytest.raises(dg.DagsterInvalidConfigError, match=r"operator|reason|ops"):
        run(slot, config)
    assert instance.get_runs_count() == 0


@pytest.mark.parametrize("blank", ASKED)
def test_a_manual_run_whose_reason_is_blank_takes_nothing(
    blank: str, run: Run, instance: dg.DagsterInstance, hour: datetime, folder: Path
) -> None:
    slot = Slot("manual", datetime.now(UTC).replace(microsecond=0))
    instance.add_dynamic_partitions("desbuquei_manual", [slot.key])
    done = run(slot, {**ASKED, blank: " "})
    assert not done.success
    assert "needs an operator and a reason" in done.errors[0]
    assert not list(folder.glob("manual-*"))


def test_who_asked_for_a_manual_backup_and_why_stands_wherever_an_auditor_looks(
    instance: dg.DagsterInstance,
    desbuquei: Callable[..., dict[str, Any]],
    sample_url: str,
    folder: Path,
    bucket: Bucket,
) -> None:
    done = desbuquei("backup", "manual", "--operator", ASKED["operator"], "--reason", ASKED["reason"])
    assert done["true"]
    slot = Slot.of_id(done["backup_id"])
    manifest = catalog.in_bucket(bucket, "manual", slot.backup_id)
    assert manifest is not None
    line = lines(folder)[slot.backup_id]
    with psycopg.connect(sample_url) as connection:
        query = "select operator, reason from backup_logs where backup_id = %s"
        row = connection.execute(query, [slot.backup_id]).fetchone()
    made = shown(instance, slot, "dump")
    found = [(manifest.operator, manifest.reason), row]
    (listed,) = desbuquei("list")["backups"]
    found += [(each["operator"], each["reason"]) for each in (line, made, listed)]
    assert found == [tuple(ASKED.values())] * 5
    assert instance.get_dynamic_partitions("desbuquei_manual") == [slot.key]
    (run,) = instance.get_runs()
    assert (run.tags["desbuquei/operator"], run.tags["desbuquei/reason"]) == tuple(ASKED.values())


def test_with_dagsters_storage_down_a_manual_backup_is_taken_and_reported_later_under_its_partition(
    dagster_home: Path, desbuquei: Callable[..., dict[str, Any]], folder: Path
) -> None:
    (dagster_home / "dagster.yaml").write_text(DOWN)
    done = desbuquei("backup", "manual", "--operator", ASKED["operator"], "--reason", ASKED["reason"])
    assert done["true"]
    slot = Slot.of_id(done["backup_id"])
    assert list((folder / "unreported").glob("*.jsonl"))

    (dagster_home / "dagster.yaml").write_text(UP)
    with dg.DagsterInstance.get() as instance:
        assert unreported.report(folder, instance, ["manual"]) > 4
        assert instance.get_dynamic_partitions("desbuquei_manual") == [slot.key]
        assert shown(instance, slot, "dump")["reason"] == ASKED["reason"]
        assert shown(instance, slot, "restored_copy")["verdict"] == "matches"
    assert not list((folder / "unreported").glob("*.jsonl"))


def test_a_tier_that_the_policy_gained_can_be_filled_on_its_first_day(
    policy: Callable[[str], None],
    instance: dg.DagsterInstance,
    desbuquei: Callable[..., dict[str, Any]],
    defined: Callable[[], dg.Definitions],
    folder: Path,
) -> None:
    policy(WITH_YEARLY)
    slot = Slot("yearly", last_due("0 2 1 1 *", datetime.now(UTC)))
    # There is no daily slot of that instant: protection begins now.
    assert desbuquei("backup", "yearly")["true"]
    line = lines(folder)[slot.backup_id]
    assert (line["status"], line["recovery_tested"], line["storage_class"]) == ("success", True, "DEEP_ARCHIVE")
    assert line["copy_of"] is None
    assert all(verdicts(instance, defined(), "yearly").values())
