"""Which process works on a run, and runs whose process is gone: a host that lost its power ends no run.

Dagster's run monitoring asks the code server that started a process, and knows nothing once that one is gone too.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from desbuquei_backups.defs.marks import own_mark

TAG = "desbuquei/process"
_LOOKED_EVERY = 60  # seconds
_UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def this_process() -> str:
    """This process as no other one was or will be: host, boot, number, and when it started."""
    return _named(os.getpid(), _started(os.getpid()) or "")


def is_gone(process: str) -> bool:
    """Whether that process has ended; False where nobody here can tell: on another host, or of another user."""
    host, _, pid, started = process.rsplit(":", 3)
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    if process != _named(int(pid), started):  # before the last boot
        return True
    return _started(int(pid)) != started and not _is_hidden(int(pid))


def orphans(instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    """The runs under way whose process is gone; those that have not said which one it is are left alone.

    So is one that Dagster tries again, and that has only the word of the one before.
    """
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY)):
        process = own_mark(run, TAG)
        if process is not None and is_gone(process):
            yield run


def end_orphans(instance: dg.DagsterInstance) -> list[str]:
    """End them as failed, so that they are tried again and hold no place in the queue; their ids."""
    ended = list(orphans(instance))
    for run in ended:
        instance.report_run_failed(run, "The process of this run is gone: it was killed, or the host was.")
    return [run.run_id for run in ended]


def orphaned_runs(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The sensor that does so, for all databases."""

    @dg.sensor(minimum_interval_seconds=_LOOKED_EVERY, default_status=status)
    def orphaned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Ends runs whose process was killed with all that watched it, so that they are tried again."""
        if ended := end_orphans(context.instance):
            return dg.SkipReason(f"ended {', '.join(ended)}")
        return dg.SkipReason("every run under way has its process")

    return orphaned_runs


def _named(pid: int, started: str) -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()}:{boot}:{pid}:{started}"


def _started(pid: int) -> str | None:
    """When it started, in ticks since the boot; None if there is no such process. proc_pid_stat(5), field 22."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _is_hidden(pid: int) -> bool:
    """Whether /proc does not show a process that there is: systemd's ProtectProc hides those of other users."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return False
