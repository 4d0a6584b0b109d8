"""Marks on a run: that only a person or a change mends it. The sensor need not read its events to know."""

import logging

import dagster as dg

from desbuquei_backups.core.errors import BackupError

ATTEMPT = "desbuquei/attempt"
BACKUP = "desbuquei/backup_id"
FAILED_FOR_GOOD = "desbuquei/failed_for_good"
STOPPED = "desbuquei/stopped"
_LOG = logging.getLogger(__name__)


def mark_for_good(error: BackupError) -> None:
    """Mark the run that this process is executing; where it executes none, there is nobody to be told."""
    try:
        context = dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return
    _mark(context, {FAILED_FOR_GOOD: type(error).__name__})


def mark_if_cancelled(context: dg.AssetExecutionContext) -> None:
    """Mark a run that somebody asked Dagster to end. A machine that shuts down ends its runs too: they go on later."""
    run = context.instance.get_run_by_id(context.run_id)
    if run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
        _mark(context, {STOPPED: "true"})


def _mark(context: dg.AssetExecutionContext, tags: dict[str, str]) -> None:
    try:
        context.instance.add_run_tags(context.run_id, tags)
    except Exception as error:  # noqa: BLE001 - whatever Dagster's storage raises, the step's own error matters more
        _LOG.warning("run %s could not be marked: %s", context.run_id, error)
