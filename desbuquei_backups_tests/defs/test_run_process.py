"""A run whose process was killed with all that watched it is ended, or it would hold up what comes after it."""

import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest

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


def _started(instance: dg.DagsterInstance, **tags: str) -> str:
    @dg.job
    def nightly() -> None: ...

    run = instance.create_run_for_job(nightly, status=dg.DagsterRunStatus.STARTED, tags=tags)
    return run.run_id


def test_a_run_whose_process_was_killed_is_ended_and_one_that_works_on_is_not(
    instance: dg.DagsterInstance, hanging: "tuple[subprocess.Popen[str], str]"
) -> None:
    process, named = hanging
    killed, works, silent = (_started(instance, **tags) for tags in ({TAG: named}, {TAG: this_process()}, {}))
    assert list(orphans(instance)) == []
    process.kill()
    process.wait()

    sensor = orphaned_runs(dg.DefaultSensorStatus.RUNNING)
    with dg.build_sensor_context(instance=instance) as context:
        assert killed in str(sensor(context))
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[killed] is dg.DagsterRunStatus.FAILURE
    assert statuses[works] is statuses[silent] is dg.DagsterRunStatus.STARTED
    (failed,) = instance.all_logs(killed, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "process of this run is gone" in str(failed.dagster_event)


def test_a_process_is_not_taken_for_another_of_its_number() -> None:
    host, boot, pid, started = this_process().rsplit(":", 3)
    assert not is_gone(f"{host}:{boot}:{pid}:{started}")
    assert is_gone(f"{host}:{boot}:{pid}:{int(started) - 1}")
    assert is_gone(f"{host}:another boot:{pid}:{started}")
    # Nobody here knows.
    assert not is_gone(f"elsewhere:{boot}:{pid}:{int(started) - 1}")
