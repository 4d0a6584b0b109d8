"""Two sensors a database: one looks every minute at what is wrong, one hears of each run that failed; both tell once.

A tick looks at what lies on this disk, and every few minutes at servers: see operations/conditions.py.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from desbuquei_backups.core.alerting import Look
from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import Busy
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.jobs import job_name
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import PASSES, STOPPED

_SECONDS = 60
_FAILED = "run_failed/"
_GOES_ON = "Dagster began it again at once; the sensor unfinished_slots goes on, after pauses that grow"
_NOT_AGAIN = "it is not tried again by itself: a person, or a changed setting, must come first"
_TIER_ASSET = 3  # database, tier, asset
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
# The operations' modules are imported where they are used: the code location loads without them.


def alert_sensors(policy: Policy, jobs: Collection[str], *, running: bool) -> list[dg.SensorDefinition]:
    """The sensors of one database, whose jobs are of those names; `running`: from the start."""
    database = policy.database
    on_demand = {job_name(database, name) for name, tier in policy.tiers.items() if tier.on_demand}
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=f"{database}_alerts",
        minimum_interval_seconds=_SECONDS,
        default_status=status,
        description=(
            "What is not as promised: told once when it begins, and once more when it is over, to each of "
            "DESBUQUEI_NOTIFY_URLS. What one of them does not take, it is told later."
        ),
    )
    def alerts(context: dg.SensorEvaluationContext, backups: Backups) -> dg.SkipReason:
        from desbuquei_backups.operations.alerts import alert, alert_of

        try:
            with backups.site(context.log, database) as site:
                done = alert(site)
                if over := [job for job in _failing(done.lasting) if _is_over(context.instance, job, jobs)]:
                    done = alert_of(site, *(_look(job) for job in over))
        except Busy as error:
            return dg.SkipReason(error.what)
        said = "; ".join(each.name for each in done.lasting) or "nothing"
        untold = f"; not told: {'; '.join(done.failed.values())}" if done.failed else ""
        return dg.SkipReason(f"wrong now: {said}{untold}")

    @dg.run_failure_sensor(
        name=f"{database}_failed_runs",
        default_status=status,
        monitor_all_code_locations=False,
        description="A run that failed for good calls a person at once; what may pass by itself is tried again.",
    )
    def failed_runs(context: dg.RunFailureSensorContext, backups: Backups) -> dg.SkipReason:
        from desbuquei_backups.operations.alerts import alert_of

        run = context.dagster_run
        job = _job(run, database)
        if job not in jobs:
            return dg.SkipReason("of another database")
        failed = _to_be_told(context, on_demand=job in on_demand)
        if failed is None:
            return dg.SkipReason("it is tried again")
        with backups.site(context.log, database) as site:
            alert_of(site, _look(job, _condition(run, database, job, failed, site.now())))
        return dg.SkipReason(f"told: {failed.what}")

    return [alerts, failed_runs]


def _job(run: dg.DagsterRun, database: str) -> str:
    """The job's name. A backfill's runs are of none that has one: there the assets tell whose they are."""
    for key in sorted(run.asset_selection or (), key=str):
        if len(key.path) == _TIER_ASSET and key.path[0] == database:
            return f"{database}_{key.path[1]}"
    return run.job_name


@dataclass(frozen=True, slots=True)
class _Failed:
    """What happened in a step, what a person is to do, and whether it may pass by itself.

    `comes_again`: a sensor asks for the run again, if it may.
    """

    what: str
    remedy: str
    passes: bool
    comes_again: bool = True


def _to_be_told(context: dg.RunFailureSensorContext, *, on_demand: bool) -> _Failed | None:
    """What happened, if nothing tries it again by itself; None if something does, or a person stopped it.

    The sensor `unfinished_slots` goes on with what may pass by itself, but for a dump of a tier that is `on_demand`. A
    run that ended without a word, three times by then, is told: what killed it may do so again.
    """
    if context.dagster_run.tags.get("dagster/will_retry") == "true":
        return None
    failures = [_failed(event, on_demand=on_demand) for event in context.get_step_failure_events()]
    if any(each.what == STOPPED for each in failures):
        return None
    if permanent := [each for each in failures if not each.passes]:
        return permanent[0]
    if failures:
        return next((each for each in failures if not each.comes_again), None)
    return _Failed(context.failure_event.message or "the run ended without a word", "", passes=True)


def _failed(event: dg.DagsterEvent, *, on_demand: bool) -> _Failed:
    """By the failure's own metadata; of an error that is none of ours, by its first line."""
    data: Any = event.event_specific_data
    user = data.user_failure_data
    known = {name: value.value for name, value in user.metadata.items()} if user is not None else {}
    if PASSES in known:
        again = not (on_demand and str(event.step_key).endswith("__dump"))
        return _Failed(str(known["what happened"]), str(known["what to do"]), bool(known[PASSES]), again)
    said = user.description if user is not None else data.error.message if data.error else event.message
    return _Failed((said or "an error without a word").strip().splitlines()[0], "", passes=False)


def _condition(run: dg.DagsterRun, database: str, job: str, failed: _Failed, now: datetime) -> Condition:
    slot = run.tags.get("dagster/partition")
    tier = job.removeprefix(f"{database}_")
    again = f"desbuquei backup {tier} --slot {slot}" if slot else f"dagster job launch --job {job}"
    return Condition(
        name=f"{_FAILED}{job}",
        database=database,
        severity=Severity.CRITICAL,
        what=f"the run of {job} failed: {failed.what}",
        subject=f"{slot or job}, run {run.run_id}",
        since=now,
        tried=_GOES_ON if failed.passes and failed.comes_again else _NOT_AGAIN,
        command=f"{again}  # first: {failed.remedy or 'see the log of the run'}",
    )


def _look(job: str, *found: Condition) -> Look:
    """A source for each job: the end of one's failure says nothing of another's, which may have failed meanwhile."""
    return Look(f"runs of {job}", found)


def _failing(lasting: Sequence[Condition]) -> list[str]:
    return [each.name.removeprefix(_FAILED) for each in lasting if each.name.startswith(_FAILED)]


def _is_over(instance: dg.DagsterInstance, job: str, jobs: Collection[str]) -> bool:
    """Whether it has succeeded since, or is not there any more."""
    if job not in jobs:
        return True
    runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=list(_FINISHED)), limit=1)
    return bool(runs) and runs[0].status is dg.DagsterRunStatus.SUCCESS
