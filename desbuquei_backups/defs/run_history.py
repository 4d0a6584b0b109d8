"""Dagster's run history as the rule of reruns reads it: which runs were at a slot, how each ended, and who asked."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES, DagsterRun, RunRecord
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG

from desbuquei_backups.core.reruns import Ended, Run
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.defs.marks import ATTEMPT, FAILED_FOR_GOOD, STOPPED, own_mark

_PARTITION = "dagster/partition"
_MOST_RUNS = 2_000
_UNTIL_STARTED = timedelta(minutes=15)
# So long a run that Dagster is to retry itself is waited for.
_UNTIL_RETRIED = timedelta(minutes=15)


def runs_at(
    instance: dg.DagsterInstance, database: str, slots: Sequence[Slot], now: datetime
) -> Mapping[Slot, list[Run]]:
    """All runs that were at each of those slots, newest first, however they were started.

    A query for each tier, and one for what backfills and the UI start of any; by the database's own jobs, since others
    have slots of the same keys.
    """
    found: dict[Slot, list[Run]] = {slot: [] for slot in slots}
    records: list[RunRecord] = []
    for job in [*sorted({f"{database}_{slot.tier}" for slot in slots}), *([IMPLICIT_ASSET_JOB_NAME] if slots else [])]:
        keys = sorted({slot.key for slot in slots if job in (f"{database}_{slot.tier}", IMPLICIT_ASSET_JOB_NAME)})
        asked = dg.RunsFilter(job_name=job, tags={_PARTITION: keys})
        records += _attempts(instance, asked)
    for record in sorted(records, key=lambda record: record.storage_id, reverse=True):
        run = record.dagster_run
        for tier, steps in _worked_at(run, database).items():
            slot = Slot.of_key(tier, run.tags[_PARTITION])
            if slot in found:
                found[slot].append(_run(record, steps, now))
    return found


def runs_of(instance: dg.DagsterInstance, job: str, since: datetime, now: datetime) -> list[Run]:
    """The runs of a job that has no partitions, created since then (aware UTC), newest first."""
    asked = dg.RunsFilter(job_name=job, created_after=since)
    return [_run(record, None, now) for record in _attempts(instance, asked)]


def _attempts(instance: dg.DagsterInstance, asked: dg.RunsFilter) -> list[RunRecord]:
    """The newest of those runs: what Dagster tried again by itself is one attempt, of which the last run tells."""
    found = instance.get_run_records(asked, limit=_MOST_RUNS)
    return [record for record in found if AUTO_RETRY_RUN_ID_TAG not in record.dagster_run.tags]


def _worked_at(run: DagsterRun, database: str) -> Mapping[str, frozenset[str] | None]:
    """The tiers that a run was at, and which steps of each; None: the whole chain."""
    if run.asset_selection:
        tiers: dict[str, frozenset[str] | None] = {}
        for key in run.asset_selection:
            if len(key.path) == 3 and key.path[0] == database:
                tiers[key.path[1]] = (tiers.get(key.path[1]) or frozenset()) | {key.path[2]}
        return tiers
    name = run.job_name.removeprefix(f"{database}_")
    return {name: None} if name != run.job_name else {}


def _run(record: RunRecord, steps: frozenset[str] | None, now: datetime) -> Run:
    run = record.dagster_run
    begun = datetime.fromtimestamp(record.start_time, UTC) if record.start_time else record.create_timestamp
    ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else begun
    return Run(
        run_id=run.run_id,
        ended=_ended(run, ended, now),
        at=ended,
        steps=steps,
        again=ATTEMPT in run.tags,
    )


def _ended(run: DagsterRun, at: datetime, now: datetime) -> Ended:
    if run.status is dg.DagsterRunStatus.NOT_STARTED and now - at > _UNTIL_STARTED:
        return Ended.FAILED  # whoever made it died before it was queued
    if run.status in NOT_FINISHED_STATUSES:
        return Ended.UNDER_WAY
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return Ended.SUCCEEDED
    if run.status is dg.DagsterRunStatus.CANCELED or own_mark(run, STOPPED) is not None:
        return Ended.STOPPED
    if own_mark(run, FAILED_FOR_GOOD) is not None:
        return Ended.FOR_GOOD
    waits = run.is_complete_and_waiting_to_retry and run.remote_job_origin is not None and now - at < _UNTIL_RETRIED
    return Ended.UNDER_WAY if waits else Ended.FAILED
