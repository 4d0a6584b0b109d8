"""The sensors that call a person, and the checks that go on when backups have stopped."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.definitions import build
from desbuquei_backups.defs.alerts import alert_sensors
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.operations import alert_ledger, last_verdicts
from desbuquei_backups.operations.settings import DATABASE_URL, S3_URL, from_environment
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.defs.conftest import _QUIET, Run
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.sinks import HttpSink, http_sink

_JOBS = ["desbuquei_daily", "desbuquei_retention"]


@pytest.fixture
def sink(environment: pytest.MonkeyPatch, folder: Path) -> Iterator[HttpSink]:
    folder.mkdir()
    with http_sink() as running:
        environment.setenv("DESBUQUEI_NOTIFY_URLS", running.url)
        yield running


@pytest.fixture
def sensors() -> dict[str, dg.SensorDefinition]:
    return {each.name: each for each in alert_sensors(load_policy(), _JOBS, running=True)}


@pytest.fixture
def tick(instance: dg.DagsterInstance, sensors: dict[str, dg.SensorDefinition]) -> Callable[[], str]:
    """A function that ticks the sensor that looks; what it says."""

    def once() -> str:
        context = dg.build_sensor_context(instance=instance, resources={"backups": Backups()})
        return str(sensors["desbuquei_alerts"].evaluate_tick(context).skip_message)

    return once


@pytest.fixture
def heard(instance: dg.DagsterInstance, sensors: dict[str, dg.SensorDefinition]) -> Callable[[str], str | None]:
    """A function that lets the sensor of failed runs hear of a run; what it says."""

    def once(run_id: str) -> str | None:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        (failure,) = (
            each for each in instance.all_logs(run_id) if each.is_dagster_event and each.dagster_event.is_run_failure
        )
        context = dg.build_run_status_sensor_context(
            sensor_name="desbuquei_failed_runs",
            dagster_event=failure.dagster_event,
            dagster_instance=instance,
            dagster_run=run,
            resources={"backups": Backups()},
        ).for_run_failure()
        found = sensors["desbuquei_failed_runs"](context)
        assert isinstance(found, dg.SkipReason)
        return found.skip_message

    return once


def test_sensors_run_from_the_start_in_production_and_not_where_schedules_are_off() -> None:
    for scheduled, status in ((True, dg.DefaultSensorStatus.RUNNING), (False, dg.DefaultSensorStatus.STOPPED)):
        repository = build(load_policy(), datetime(2026, 2, 3, tzinfo=UTC), scheduled=scheduled).get_repository_def()
        for name in ("desbuquei_alerts", "desbuquei_failed_runs"):
            assert repository.get_sensor_def(name).default_status is status


def test_an_outage_is_told_by_a_tick_and_so_is_its_end(tick, sink, environment, bucket_url) -> None:
    environment.setenv(S3_URL, "s3://there-is-no-such-bucket")
    assert "bucket_unreachable" in tick()
    _age_everything(minutes=10)
    tick()
    (message,) = sink.take()
    assert "S3 cannot be used: there is no bucket there-is-no-such-bucket" in message["title"]
    environment.setenv(S3_URL, bucket_url)
    _age_everything(minutes=10)
    assert "bucket_unreachable" not in tick()
    _age_everything(minutes=10)
    tick()
    assert any("OVER: S3 cannot be used" in each["message"] for each in sink.take())


def _age_everything(**length: float) -> None:
    """Let what was written down have happened earlier, as if time had passed."""
    path = Path(os.environ["DESBUQUEI_BACKUP_DIR"]) / alert_ledger.FILE
    ledger = alert_ledger.read(path.parent)
    ago = timedelta(**length)
    episodes = {
        name: replace(each, noticed=each.noticed - ago, over=each.over - ago if each.over else None)
        for name, each in ledger.episodes.items()
    }
    looked = {name: at - ago for name, at in ledger.looked.items()}
    alert_ledger.write(path.parent, replace(ledger, episodes=episodes, looked=looked))


def test_a_permanent_error_calls_a_person_at_once_and_its_end_is_told(
    run: Run, heard, tick, sink, environment, sample_url, instance, defined, folder
) -> None:
    environment.setenv(DATABASE_URL, sample_url.replace("postgres:", "nobody:", 1))
    failed = run()
    assert not failed.success
    assert str(heard(failed.run_id)).startswith("told: ")
    (message,) = sink.take()
    assert message["type"] == "failure"
    assert "the run of desbuquei_daily failed: cannot connect" in message["title"]
    assert f"desbuquei backup daily --slot {failed.slot.key}" in message["message"]
    assert "run_failed/desbuquei_daily" in tick()
    assert "run_failed" not in "".join(each["message"] for each in sink.take())
    environment.setenv(DATABASE_URL, sample_url)
    job = defined().resolve_job_def("desbuquei_daily")
    dump = [dg.AssetKey(["desbuquei", "daily", "dump"])]
    assert job.execute_in_process(
        partition_key=failed.slot.key, instance=instance, asset_selection=dump, run_config=_QUIET
    ).success
    assert "run_failed/desbuquei_daily" not in tick()
    assert any("OVER: the run of desbuquei_daily failed" in each["message"] for each in sink.take())
    # What the run's checks said is where the next look finds it.
    said = {(each.of, each.check): each.untrue for each in last_verdicts.last_verdicts(folder)}
    assert said["daily/dump", "dump_is_complete"] is False


def test_what_may_pass_by_itself_and_what_a_person_stopped_wake_nobody(
    run: Run, heard, sink, environment, instance
) -> None:
    environment.setenv(DATABASE_URL, f"postgresql://backup@127.0.0.1:{free_port()}/app")
    failed = run()
    assert heard(failed.run_id) == "it is tried again"
    assert sink.take() == []


def test_upkeep_that_an_outage_kept_from_being_done_wakes_nobody(heard, sink, environment, defined, instance) -> None:
    environment.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    environment.setenv("AWS_MAX_ATTEMPTS", "1")
    job = defined().resolve_job_def("desbuquei_retention")
    failed = job.execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
    assert heard(failed.run_id) == "it is tried again"
    assert sink.take() == []


def test_runs_that_are_killed_again_and_again_are_told_and_one_ends_no_other(heard, sink, instance, tick) -> None:
    for job in _JOBS:
        run = create_run_for_test(instance, job)
        instance.report_run_failed(run, "The process of this run is gone.")
        assert str(heard(run.run_id)).startswith("told: The process of this run is gone")
        (message,) = sink.take()
        assert "unfinished_slots goes on" in message["message"]
    assert all(f"run_failed/{job}" in tick() for job in _JOBS)
    create_run_for_test(instance, _JOBS[0], status=dg.DagsterRunStatus.SUCCESS)
    said = tick()
    assert f"run_failed/{_JOBS[0]}" not in said
    assert f"run_failed/{_JOBS[1]}" in said


@pytest.mark.usefixtures("environment")
def test_the_disk_and_the_recovery_point_are_judged_whether_backups_run_or_not(
    defined, instance, environment, folder, no_wal
) -> None:
    site = Site(from_environment(os.environ))
    folder.mkdir()
    taken = datetime.now(UTC) - timedelta(hours=5)
    line = {"backup_id": f"hourly-{taken:%Y-%m-%d-%H}0000", "backup_type": "hourly", "status": "success"}
    line |= {"s3_uri": "s3://b/k", "backup_timestamp": taken.isoformat()}
    (folder / "backup-metadata.jsonl").write_text(json.dumps(line) + "\n")
    result = (
        defined()
        .resolve_job_def("desbuquei_watch")
        .execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
    )
    assert result.success
    found = {(each.check_name, each.asset_key.path[-1]): each for each in result.get_asset_check_evaluations()}
    late = found["recovery_point_within_objective", "source"]
    assert (late.passed, late.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "promised: at most 1 h; hourly-" in str(late.description)
    room = found["disk_usage_below_threshold", "retention"]
    assert room.description is not None
    assert "% used" in room.description
    assert "not known yet" in room.description
    said = {(each.of, each.check): each.untrue for each in last_verdicts.last_verdicts(site.settings.folder)}
    assert said["source", "recovery_point_within_objective"]


def test_an_untrue_check_is_told_until_a_later_backup_s_is_true(tick, sink, open_slot: Slot) -> None:
    site = Site(from_environment(os.environ))
    bad = {"check": "content_matches", "verdict": "does not match", "summary": "1 differ: table pedidos"}
    last_verdicts.remember(site, "daily/restored_copy", open_slot.backup_id, [bad])
    assert "check_untrue/daily/restored_copy/content_matches" in tick()
    message = next(each for each in sink.take() if "content_matches" in each["message"])
    assert f"content_matches is not true of {open_slot.backup_id}: 1 differ: table pedidos" in message["message"]
    later = Slot("daily", open_slot.due + timedelta(days=1)).backup_id
    last_verdicts.remember(site, "daily/restored_copy", later, [{**bad, "verdict": "matches"}])
    assert "content_matches" not in tick()
