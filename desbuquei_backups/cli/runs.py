"""Where a run goes: to a webserver and daemon that are up, or into this process; storage that is down stops neither."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.definitions import defs
from desbuquei_backups.defs import remote, unreported
from desbuquei_backups.defs.execution import Outcome, outcome
from desbuquei_backups.defs.instance import dagster_home
from desbuquei_backups.defs.jobs import job_name
from desbuquei_backups.defs.partitions import on_demand_name
from desbuquei_backups.defs.resources import watched_by
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.progress import Progress
from desbuquei_backups.operations.settings import Settings

# The console would repeat every event; what matters is said by whoever watches.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Launch:
    """What is to be run: a tier's job for one slot. `asked` goes into the run's configuration, `tags` beside it.

    `keep`: the restored copy's database stays.
    """

    policy: Policy
    slot: Slot
    tags: Mapping[str, str]
    asked: Asked | None = None
    keep: bool = False

    @property
    def job(self) -> str:
        return job_name(self.policy.database, self.slot.tier)

    @property
    def config(self) -> dict[str, Any]:
        asked: dict[str, dict[str, Any]] = {}
        if self.asked is not None:
            asked["dump"] = {"operator": self.asked.operator, "reason": self.asked.reason}
        if self.keep:
            asked["restored_copy"] = {"keep": True}
        tier = (self.policy.database, self.slot.tier)
        return (
            {"ops": {"__".join((*tier, asset)): {"config": given} for asset, given in asked.items()}} if asked else {}
        )

    def register(self, instance: dg.DagsterInstance) -> None:
        """Let the instance know the partition of a slot that is due by no cron."""
        if self.slot.tier not in self.policy.scheduled:
            instance.add_dynamic_partitions(on_demand_name(self.policy.database, self.slot.tier), [self.slot.key])


def run(settings: Settings, launch: Launch, *, progress: Progress, said: Callable[[str], None]) -> Outcome | None:
    """Run the job of the slot's tier and return what it did; None if the watcher detached from a run elsewhere."""
    slot = launch.slot
    with ExitStack() as stack:
        stack.enter_context(dagster_home(settings))
        instance = _instance(stack, said)
        if instance is None:
            said("Dagster's storage does not answer: the backup is taken all the same, and reported to it later")
            ephemeral = stack.enter_context(dg.DagsterInstance.ephemeral())
            result = _here(launch, ephemeral, progress)
            unreported.keep(settings.folder, result.all_events)
            return outcome(result.all_events, result.run_id, slot)
        on_demand = [name for name, tier in settings.policy.tiers.items() if tier.on_demand]
        unreported.report(settings.folder, instance, on_demand)
        launch.register(instance)
        if (webserver := remote.find(settings)) is not None:
            run_id = remote.submit(webserver, launch.job, slot, dict(launch.tags), launch.config)
            said(f"running in Dagster: {webserver.url}/runs/{run_id}")
            try:
                return outcome(remote.follow(instance, run_id, said), run_id, slot)
            except KeyboardInterrupt:
                return None
        result = _here(launch, instance, progress)
        return outcome(result.all_events, result.run_id, slot)


def _here(launch: Launch, instance: dg.DagsterInstance, progress: Progress) -> dg.ExecuteInProcessResult:
    launch.register(instance)
    with watched_by(progress):
        return (
            defs()
            .resolve_job_def(launch.job)
            .execute_in_process(
                partition_key=launch.slot.key,
                instance=instance,
                raise_on_error=False,
                tags=dict(launch.tags),
                run_config={**_QUIET, **launch.config},
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
