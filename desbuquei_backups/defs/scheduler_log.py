"""`scheduler.log`: what the scheduler's runs did, a line each, for `tail -f`; a handler that dagster.yaml names."""

import logging
import os
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from typing import cast

from dagster import AssetCheckSeverity, DagsterEventType
from dagster._core.log_manager import DagsterLogRecordMetadata

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.defs.execution import reason
from desbuquei_backups.operations.settings import from_environment
from desbuquei_backups.storage import disk

NAME = "scheduler.log"
_STARTED_BY = ("schedule", "sensor", "backfill")


class SchedulerLog(WatchedFileHandler):
    """Appends to `scheduler.log` in the backup folder, which its owner alone reads; opened again once it was rotated.

    Several runs write at once, each line whole. Where it cannot be written nothing is said: a backup never fails for
    the sake of its log.
    """

    def __init__(self) -> None:
        try:
            folder = from_environment(os.environ).backup_dir
            disk.prepare(folder)
            path = str(folder / NAME)
        except BackupError:
            path = os.devnull
        super().__init__(path, encoding="utf-8", delay=True)
        self.setFormatter(_Line())
        self.addFilter(lambda record: _said(record) is not None)

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding)

    def emit(self, record: logging.LogRecord) -> None:
        """Opening it is no part of what `logging` guards: it may be another user's, or gone with its disk."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk is told by the run itself."""


class _Line(logging.Formatter):
    """When (UTC), how grave, the job, its slot, the run's first digits, the step, and what; further lines indented."""

    def format(self, record: logging.LogRecord) -> str:
        about = _about(record)
        event = about["dagster_event"]
        if event is None:
            level = record.levelname
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            level = event.asset_check_evaluation_data.severity.value
        else:
            level = "ERROR" if event.is_failure else "INFO"
        head = [
            f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%d %H:%M:%S} {level:<7}",
            about["job_name"],
            about["job_tags"].get("dagster/partition"),
            (about["run_id"] or "")[:8],
            about["step_key"],
        ]
        return f"{' '.join(filter(None, head))}: {_said(record)}".replace("\n", "\n    ")


def _about(record: logging.LogRecord) -> DagsterLogRecordMetadata:
    return cast(DagsterLogRecordMetadata, record.dagster_meta)  # type: ignore[attr-defined]


def _said(record: logging.LogRecord) -> str | None:
    """What an operator would miss; None of all else that Dagster tells of a run."""
    about = _about(record)
    event = about["dagster_event"]
    if event is None:
        return about["orig_message"] if record.levelno >= logging.INFO else None
    kind = event.event_type
    if kind is DagsterEventType.RUN_START:
        by = [f"{who} {name}" for who in _STARTED_BY if (name := about["job_tags"].get(_tag(who)))]
        return f"started by {by[0]}" if by else "started by hand"
    if kind is DagsterEventType.RUN_SUCCESS:
        return "done"
    if kind is DagsterEventType.RUN_FAILURE:
        return "failed"
    if kind is DagsterEventType.RUN_CANCELED:
        return "stopped"
    if kind is DagsterEventType.ASSET_MATERIALIZATION:
        return f"{event.step_materialization_data.materialization.asset_key.path[-1]} written"
    if kind is DagsterEventType.STEP_UP_FOR_RETRY:
        return f"is tried again: {reason(event)}"
    if kind is DagsterEventType.STEP_FAILURE:
        return reason(event)
    if kind is DagsterEventType.ASSET_CHECK_EVALUATION:
        judged = event.asset_check_evaluation_data
        if judged.passed:
            return None
        untrue = " is not true" if judged.severity is AssetCheckSeverity.ERROR else ""
        return f"{judged.check_name}{untrue}: {judged.description}"
    return None


def _tag(who: str) -> str:
    return "dagster/backfill" if who == "backfill" else f"dagster/{who}_name"
