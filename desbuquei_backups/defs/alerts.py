"""Two sensors a database: one looks every minute at what is wrong, one hears of each run that failed; both tell once.

A tick looks at what lies on this disk, and every few minutes at servers: see operations/conditions.py.
"""

from collections.abc import Collection, Sequence
from typing import Any

import dagster as dg

from desbuquei_backups.core.alerting import Look
from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import Busy
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import PASSES, STOPPED

_SECONDS = 60
_RUNS = "runs"
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
# The operations' modules are imported where they are used: the code location loads without them.


def alert_sensors(policy: Policy, jobs: Collection[str], *, running: bool) -> list[dg.SensorDefinition]:
    """The sensors of one database, whose jobs are of those names; `running`: from the start."""
    database = policy.database
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
            with backups.site(context.log) as site:
                done = alert(site)
                failing = [each for each in done.lasting if each.name.startswith("run_failed/")]
                if failing and (lasting := _still(context.instance, failing)) != failing:
                    done = alert_of(site, Look(_RUNS, lasting))
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
        from desbuquei_backups.operations.alert_ledger import read
        from desbuquei_backups.operations.alerts import alert_of

        run = context.dagster_run
        if not _is_ours(run, database, jobs):
            return dg.SkipReason("of another database")
        why = _for_good(context)
        if why is None:
            return dg.SkipReason("it is tried again")
        with backups.site(context.log) as site:
            known = read(site.settings.folder).lasting
            others = [each for each in known if each.name.startswith("run_failed/") and each.name != _name(run)]
            alert_of(site, Look(_RUNS, [*others, _condition(context, database, why, site.now())]))
        return dg.SkipReason(f"told: {why}")

    return [alerts, failed_runs]


def _is_ours(run: dg.DagsterRun, database: str, jobs: Collection[str]) -> bool:
    """A backfill's runs are of no job that has a name: there the assets tell."""
    if run.job_name in jobs:
        return True
    return any(key.path[0] == database for key in run.asset_selection or ())


def _for_good(context: dg.RunFailureSensorContext) -> str | None:
    """What happened, if nothing tries it again by itself; None if something does, or a person stopped it."""
    run = context.dagster_run
    if run.tags.get("dagster/will_retry") == "true":
        return None
    failures = [_told(event) for event in context.get_step_failure_events()]
    if any(what == STOPPED for what, _ in failures):
        return None
    permanent = [what for what, passes in failures if not passes]
    if permanent:
        return permanent[0]
    if failures:
        # An unfinished slot is filled by a sensor of its own; nothing does that for what has none.
        return None if run.tags.get("dagster/partition") else failures[0][0]
    return context.failure_event.message or "the run ended without a word"


def _told(event: dg.DagsterEvent) -> tuple[str, bool]:
    """What a step's failure says, in one line, and whether it may pass by itself."""
    data: Any = event.event_specific_data
    user = getattr(data, "user_failure_data", None)
    if user is None:
        return (data.error.message if data.error else event.message or "").strip().splitlines()[0], False
    passes = user.metadata.get(PASSES)
    what = user.metadata.get("what happened")
    return str(what.value if what else user.description), bool(passes.value) if passes else False


def _name(run: dg.DagsterRun) -> str:
    return f"run_failed/{run.job_name}"


def _condition(context: dg.RunFailureSensorContext, database: str, why: str, now: Any) -> Condition:
    run = context.dagster_run
    slot = run.tags.get("dagster/partition")
    tier = run.job_name.removeprefix(f"{database}_")
    again = f"desbuquei backup {tier} --slot {slot}" if slot else f"dagster job launch --job {run.job_name}"
    return Condition(
        name=_name(run),
        database=database,
        severity=Severity.CRITICAL,
        what=f"the run of {run.job_name} failed: {why}",
        subject=f"{slot or run.job_name}, run {run.run_id}",
        since=now,
        tried="it is not tried again by itself: a person, or a changed setting, must come first",
        command=f"{again}  # after what the run's log says is to be done",
    )


def _still(instance: dg.DagsterInstance, failing: Sequence[Condition]) -> list[Condition]:
    """Those whose job has not succeeded since."""

    def succeeded(job: str) -> bool:
        runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=list(_FINISHED)), limit=1)
        return bool(runs) and runs[0].status is dg.DagsterRunStatus.SUCCESS

    return [each for each in failing if not succeeded(each.name.removeprefix("run_failed/"))]
