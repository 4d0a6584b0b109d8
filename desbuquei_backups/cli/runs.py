"""Where a run goes: to a webserver and daemon that are up, or into this process; storage that is down stops neither."""

import os
from collections.abc import Callable
from contextlib import ExitStack

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.definitions import defs, job_name
from desbuquei_backups.defs import remote, unreported
from desbuquei_backups.defs.execution import Outcome, outcome
from desbuquei_backups.defs.instance import dagster_home
from desbuquei_backups.defs.resources import watched_by
from desbuquei_backups.operations.progress import Progress
from desbuquei_backups.operations.settings import Settings

# The console would repeat every event; what matters is said by whoever watches.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run(
    settings: Settings, slot: Slot, tags: dict[str, str], *, progress: Progress, said: Callable[[str], None]
) -> Outcome | None:
    """Run the job of the slot's tier and return what it did; None if the watcher detached from a run elsewhere."""
    job = job_name(settings.policy.database, slot.tier)
    with ExitStack() as stack:
        stack.enter_context(dagster_home(settings))
        instance = _instance(stack, said)
        if instance is None:
            said("Dagster's storage does not answer: the backup is taken all the same, and reported to it later")
            ephemeral = stack.enter_context(dg.DagsterInstance.ephemeral())
            result = _here(job, slot, ephemeral, tags, progress)
            unreported.keep(settings.folder, result.all_events)
            return outcome(result.all_events, result.run_id, slot)
        unreported.report(settings.folder, instance)
        if (webserver := remote.find(settings)) is not None:
            run_id = remote.submit(webserver, job, slot, tags)
            said(f"running in Dagster: {webserver.url}/runs/{run_id}")
            try:
                return outcome(remote.follow(instance, run_id, said), run_id, slot)
            except KeyboardInterrupt:
                return None
        result = _here(job, slot, instance, tags, progress)
        return outcome(result.all_events, result.run_id, slot)


def _here(
    job: str, slot: Slot, instance: dg.DagsterInstance, tags: dict[str, str], progress: Progress
) -> dg.ExecuteInProcessResult:
    with watched_by(progress):
        return (
            defs()
            .resolve_job_def(job)
            .execute_in_process(
                partition_key=slot.key, instance=instance, raise_on_error=False, tags=tags, run_config=_QUIET
            )
        )


def _instance(stack: ExitStack, said: Callable[[str], None]) -> dg.DagsterInstance | None:
    """The instance of DAGSTER_HOME, or None if its storage does not answer."""
    from dagster_postgres.utils import DagsterPostgresException

    try:
        instance = stack.enter_context(dg.DagsterInstance.get())
        instance.get_runs_count()
    except (SQLAlchemyError, DagsterPostgresException, dg.DagsterError, OSError) as error:
        reason = str(error).strip() or type(error).__name__
        said(f"{os.environ['DAGSTER_HOME']}: {reason.splitlines()[0]}")
        return None
    return instance
