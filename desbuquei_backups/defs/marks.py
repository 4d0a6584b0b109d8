"""Marks on a run: that only a person or a change mends it. The sensor need not read its events to know.

Dagster gives a run that is executed again the tags of the one before: a mark of a run itself ends with the run's id.
"""

import logging

import dagster as dg

from desbuquei_backups.core.errors import BackupError

ATTEMPT = "desbuquei/attempt"
BACKUP = "desbuquei/backup_id"
FAILED_FOR_GOOD = "desbuquei/failed_for_good"
STOPPED = "desbuquei/stopped"
_LOG = logging.getLogger(__name__)


def mark(said: str, run_id: str) -> str:
    """The mark that says so of that run, and of none that repeats it."""
    return f"{said} {run_id}"


def own_mark(run: dg.DagsterRun, tag: str) -> str | None:
    """What the run's own mark says; None if it has none, or one that it was given with another run's tags."""
    said, _, run_id = run.tags.get(tag, "").rpartition(" ")
    return said if run_id == run.run_id else None


def mark_for_good(error: BackupError) -> None:
    """Mark the run that this process is executing; where it executes none, there is nobody to be told."""
    try:
        context = dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return
    _mark(context, FAILED_FOR_GOOD, type(error).__name__)


def mark_if_cancelled(context: dg.AssetExecutionContext) -> None:
    """Mark a run that somebody asked Dagster to end. A machine that shuts down ends its runs too: they go on later."""
    run = context.instance.get_run_by_id(context.run_id)
    if run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
        _mark(context, STOPPED, "true")


def _mark(context: dg.AssetExecutionContext, tag: str, said: str) -> None:
    try:
        context.instance.add_run_tags(context.run_id, {tag: mark(said, context.run_id)})
    except Exception as error:  # noqa: BLE001 - whatever Dagster's storage raises, the step's own error matters more
        _LOG.warning("run %s could not be marked: %s", context.run_id, error)
