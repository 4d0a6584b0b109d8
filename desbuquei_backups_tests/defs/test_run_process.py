"""A run whose process was killed with all that watched it is ended, or it would hold up what comes after it."""

import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest

from desbuquei_backups.defs import run_process
from desbuquei_backups.defs.marks import mark
from desbuquei_backups.defs.run_process import TAG, is_gone, orphaned_runs, orphans, this_process

_HANGS = """
import sys
from desbuquei_backups.defs.run_process import this_process
print(this_process(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hanging() -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """A process that hangs, and what it says of itself."""
    with subprocess.Popen(
        [sys.executable, "-c", _HANGS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def _started(instance: dg.DagsterInstance, process: str | None = None) -> str:
    @dg.job
    def nightly() -> None: ...

    run = instance.create_run_for_job(nightly, status=dg.DagsterRunStatus.STARTED)
    if process is not None:
        instance.add_run_tags(run.run_id, {TAG: mark(process, run.run_id)})
    return run.run_id


def test_a_run_whose_process_was_killed_is_ended_and_one_that_works_on_is_not(
    instance: dg.DagsterInstance, hanging: "tuple[subprocess.Popen[str], str]"
) -> None:
    process, named = hanging
    killed, works, silent = (_started(instance, process) for process in (named, this_process(), None))
    # Dagster gives a run that it tries again the tags of the one before, until it says itself what its process is.
    again = _started(instance)
    instance.add_run_tags(again, {TAG: mark(named, killed)})
    assert list(orphans(instance)) == []
    process.kill()
    process.wait()

    sensor = orphaned_runs(dg.DefaultSensorStatus.RUNNING)
    with dg.build_sensor_context(instance=instance) as context:
        assert killed in str(sensor(context))
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[killed] is dg.DagsterRunStatus.FAILURE
    assert statuses[works] is statuses[silent] is statuses[again] is dg.DagsterRunStatus.STARTED
    (failed,) = instance.all_logs(killed, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "process of this run is gone" in str(failed.dagster_event)


def test_a_process_is_not_taken_for_another_of_its_number() -> None:
    host, boot, pid, started = this_process().rsplit(":", 3)
    assert not is_gone(f"{host}:{boot}:{pid}:{started}")
    assert is_gone(f"{host}:{boot}:{pid}:{int(started) - 1}")
    assert is_gone(f"{host}:another boot:{pid}:{started}")
    # Nobody here knows.
    assert not is_gone(f"elsewhere:{boot}:{pid}:{int(started) - 1}")


def test_a_process_that_is_hidden_from_us_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's ProtectProc shows the daemon no process of root, who may have begun a backup by hand."""

    def of_somebody_else(pid: int, signal: int) -> None:
        raise PermissionError

    named = this_process()
    monkeypatch.setattr(run_process, "_started", lambda pid: None)
    assert is_gone(named)
    monkeypatch.setattr("os.kill", of_somebody_else)
    assert not is_gone(named)
