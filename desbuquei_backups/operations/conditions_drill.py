"""Whether the recovery drill was done when it was due, and what it showed."""

from collections.abc import Iterator
from datetime import timedelta

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.slots import last_due
from desbuquei_backups.operations import drill_record
from desbuquei_backups.operations.drill import may_drill
from desbuquei_backups.operations.drill_record import DrillRecord
from desbuquei_backups.operations.noticing import noticed
from desbuquei_backups.operations.protection import recorded_since
from desbuquei_backups.operations.site import Site

DRILL_DUE = "0 5 1 * *"  # monthly: after the night of the first, its retention included
_GRACE = timedelta(days=1)


def drill_conditions(site: Site) -> Iterator[Condition]:
    """A drill that was due over a day ago and was not done since; one that took too long, or found its copy unsound.

    Where there is nothing that a drill could recover from, none is due. StoreError.
    """
    now = site.now()
    newest = drill_record.newest(site)
    due = last_due(DRILL_DUE, now - _GRACE)
    since = recorded_since(site.settings)
    done = newest is not None and newest.drilled_at >= due
    if not done and since is not None and since <= due and may_drill(site) is None:
        before = f"the last one was on {newest.drilled_at:%Y-%m-%d}" if newest is not None else "there was none yet"
        yield noticed(
            site,
            Severity.WARNING,
            "drill_overdue",
            f"the recovery drill due on {due:%Y-%m-%d} was not done; {before}",
            f"{site.policy.database}/recovery_drill",
            since=due,
            tried="the schedule recovery_drill runs it once a month",
            command="desbuquei drill",
        )
    if newest is not None:
        yield from _shown(site, newest)


def _shown(site: Site, drill: DrillRecord) -> Iterator[Condition]:
    promised = site.policy.recovery_time_objective
    if drill.faults:
        what = f"the copy that was recovered on {drill.drilled_at:%Y-%m-%d} is not sound: {drill.faults[0]}"
    elif drill.recovery_seconds > promised.total_seconds():
        took = in_words(timedelta(seconds=drill.recovery_seconds))
        what = f"the drill of {drill.drilled_at:%Y-%m-%d} took {took}, promised: {in_words(promised)}"
    else:
        return
    yield noticed(
        site,
        Severity.CRITICAL if drill.faults else Severity.WARNING,
        "check_untrue/recovery_drill/recovery_time_within_objective",
        what,
        drill.backup_id,
        since=drill.drilled_at,
        command="desbuquei drill",
    )
