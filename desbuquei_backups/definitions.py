"""The Dagster entry point: assets, checks, jobs and schedules, made from the policy. Nothing starts at import."""

import logging
import os
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import dagster as dg

from desbuquei_backups.core.databases import DATABASE_URL, Database
from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.invariants import NONE, Invariant
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.assets import source, tier_assets
from desbuquei_backups.defs.audit_report import DUE as REPORT_DUE
from desbuquei_backups.defs.audit_report import audit_report
from desbuquei_backups.defs.evidence import DUE as EVIDENCE_DUE
from desbuquei_backups.defs.evidence import evidence_anchor
from desbuquei_backups.defs.partitions import slots_of
from desbuquei_backups.defs.recovery_drill import DUE as DRILL_DUE
from desbuquei_backups.defs.recovery_drill import recovery_drill
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.retention import DUE as RETENTION_DUE
from desbuquei_backups.defs.retention import retention
from desbuquei_backups.defs.run_process import orphaned_runs
from desbuquei_backups.defs.wal import DUE as WAL_DUE
from desbuquei_backups.defs.wal import second_wal, wal, wal_checks
from desbuquei_backups.operations.protection import protected_since
from desbuquei_backups.operations.settings import databases_in, settings_of

RETRY_DELAY_SECONDS = 15.0
# On every run that works on a database: dagster.yaml bounds how many of one database there are at once.
DATABASE_TAG = "desbuquei/database"
# On those that only look, and must go on when the others hang.
WATCHED_TAG = "desbuquei/watches"
_LOG = logging.getLogger(__name__)


@cache
def _backups() -> Backups:
    """One for all databases: definitions that are merged may not have two of one name."""
    return Backups()


def job_name(database: str, tier: str) -> str:
    """The job that runs a tier's whole chain for one slot."""
    return f"{database}_{tier}"


def build(
    policy: Policy,
    since: datetime,
    *,
    retry_delay: float = RETRY_DELAY_SECONDS,
    scheduled: bool = True,
    second_place: bool = False,
    invariants: Mapping[str, Invariant] = NONE,
    url: str = DATABASE_URL,
) -> dg.Definitions:
    """The definitions of one database, protected since that instant; schedules run from the start if `scheduled`.

    `url`: the name of the variable that says where it is.
    """
    status = dg.DefaultScheduleStatus.RUNNING if scheduled else dg.DefaultScheduleStatus.STOPPED
    assets: list[dg.AssetsDefinition] = []
    jobs, schedules = [], []
    # At one instant, the tier that the others are promoted from goes first: it proves the dump that they take over.
    priority = Counter(policy.promoted_from(name) for name in policy.tiers)
    for name in policy.tiers:
        slots = slots_of(policy, name, since)
        chain = tier_assets(
            policy, name, slots, retry_delay=retry_delay, second_place=second_place, invariants=invariants
        )
        job = dg.define_asset_job(
            job_name(policy.database, name),
            selection=dg.AssetSelection.assets(*chain),
            description=f"The {name} backup: dump, checksum manifest, S3 archive, restored copy.",
            tags={"dagster/priority": str(priority[name]), DATABASE_TAG: policy.database},
        )
        assets += chain
        jobs.append(job)
        if name in policy.scheduled:
            schedules.append(dg.build_schedule_from_partitioned_job(job, default_status=status))
    for name, due, described in (
        ("retention", RETENTION_DUE, "What the policy no longer keeps goes; a reason is given for every backup."),
        ("evidence", EVIDENCE_DUE, "The chain of evidence is walked, and its head anchored elsewhere."),
        ("audit_report", REPORT_DUE, "What was promised is held against what can be shown, for an auditor."),
    ):
        asset = {"evidence": "evidence_anchor"}.get(name, name)
        job = dg.define_asset_job(
            job_name(policy.database, name),
            selection=[dg.AssetKey([policy.database, asset])],
            description=described,
            tags={DATABASE_TAG: policy.database},
        )
        jobs.append(job)
        schedules.append(
            dg.ScheduleDefinition(job=job, cron_schedule=due, execution_timezone="UTC", default_status=status)
        )
    physical = _of_wal(policy, status, second_place=second_place) if policy.physical else dg.Definitions()
    rest = dg.Definitions(
        assets=[
            source(policy.database, url),
            *assets,
            retention(policy, retry_delay=retry_delay),
            evidence_anchor(policy, retry_delay=retry_delay),
            audit_report(policy, retry_delay=retry_delay),
        ],
        jobs=jobs,
        schedules=schedules,
        resources={"backups": _backups()},
        # A process for every step would cost seconds and bring nothing: PostgreSQL's programs do the work.
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(rest, physical)


def _of_wal(policy: Policy, status: dg.DefaultScheduleStatus, *, second_place: bool) -> dg.Definitions:
    """What looks at the WAL, and drills with it."""
    looking = wal_checks(policy, second_place=second_place)
    watching = dg.define_asset_job(
        job_name(policy.database, "wal"),
        selection=dg.AssetSelection.checks(looking),
        description="Whether any second can be recovered to: no gap in the WAL, and nothing late.",
        tags={WATCHED_TAG: policy.database},
    )
    drilling = dg.define_asset_job(
        job_name(policy.database, "recovery_drill"),
        selection=[dg.AssetKey([policy.database, "recovery_drill"])],
        description="The cluster is recovered from S3 alone on a scratch server, looked at, measured, and removed.",
        tags={DATABASE_TAG: policy.database},
    )
    return dg.Definitions(
        assets=[
            wal(policy.database),
            *([second_wal(policy.database)] if second_place else []),
            recovery_drill(policy),
        ],
        asset_checks=[looking],
        jobs=[watching, drilling],
        schedules=[
            dg.ScheduleDefinition(job=job, cron_schedule=due, execution_timezone="UTC", default_status=status)
            for job, due in ((watching, WAL_DUE), (drilling, DRILL_DUE))
        ],
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Of every database of the environment's policy.

    One whose own settings are wrong keeps none of the others out: its source says why it is not backed up.
    """
    databases, found, wrong = databases_in(os.environ), [], list[ConfigurationError]()
    for each in databases:
        try:
            found.append(_of(each))
        except ConfigurationError as error:
            _LOG.error("%s is not backed up: %s", each.name, error)
            wrong.append(error)
            found.append(dg.Definitions(assets=[source(each.name, each.url, trouble=str(error))]))
    if len(wrong) == len(databases):
        raise wrong[0]
    status = dg.DefaultSensorStatus.RUNNING if _scheduled() else dg.DefaultSensorStatus.STOPPED
    return dg.Definitions.merge(*found, dg.Definitions(sensors=[orphaned_runs(status)]))


def _scheduled() -> bool:
    return os.environ.get("DESBUQUEI_SCHEDULES") != "off"


def _of(database: Database) -> dg.Definitions:
    settings = settings_of(database, os.environ)
    return build(
        settings.policy,
        protected_since(settings, datetime.now(UTC)),
        scheduled=_scheduled(),
        second_place=settings.second is not None,
        invariants=settings.invariants,
        url=database.url,
    )
