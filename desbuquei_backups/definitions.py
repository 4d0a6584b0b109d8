"""The Dagster entry point: assets, checks, jobs, schedules and sensors, from the policy. Nothing starts at import."""

import logging
import os
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import dagster as dg

from desbuquei_backups.core.databases import DATABASE_URL, Database
from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.invariants import NONE, Invariant
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.alerts import alert_sensors
from desbuquei_backups.defs.assets import source, tier_assets
from desbuquei_backups.defs.audit_report import audit_report
from desbuquei_backups.defs.evidence import evidence_anchor
from desbuquei_backups.defs.jobs import WATCH_DUE, tier_job, upkeep_job, upkeep_of, watch_job
from desbuquei_backups.defs.partitions import slots_of
from desbuquei_backups.defs.recovery_drill import recovery_drill
from desbuquei_backups.defs.reproof import reproof
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.retention import retention
from desbuquei_backups.defs.run_process import orphaned_runs
from desbuquei_backups.defs.unfinished_slots import unfinished_slots
from desbuquei_backups.defs.wal import second_wal, wal, wal_checks
from desbuquei_backups.defs.watch import watch_checks
from desbuquei_backups.operations.protection import protected_since
from desbuquei_backups.operations.settings import databases_in, settings_of

# dagster.yaml asks for it, to write scheduler.log; its warning would be the first line of every run.
warnings.filterwarnings("ignore", "Handling yaml-defined logging configuration")
RETRY_DELAY_SECONDS = 15.0
_LOG = logging.getLogger(__name__)


@cache
def _backups() -> Backups:
    """One for all databases: definitions that are merged may not have two of one name."""
    return Backups()


def build(
    policy: Policy,
    since: datetime,
    *,
    retry_delay: float = RETRY_DELAY_SECONDS,
    scheduled: bool = True,
    second_place: bool = False,
    invariants: Mapping[str, Invariant] = NONE,
    url: str = DATABASE_URL,
    loaded: datetime | None = None,
) -> dg.Definitions:
    """The definitions of one database, protected since that instant; schedules and sensors run if `scheduled`.

    `url`: the name of the variable that says where it is. `loaded`: when settings and program were last read, aware
    UTC; now, unless told otherwise.
    """
    status = dg.DefaultScheduleStatus.RUNNING if scheduled else dg.DefaultScheduleStatus.STOPPED
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = [
        source(policy.database, url),
        retention(policy, retry_delay=retry_delay),
        evidence_anchor(policy, retry_delay=retry_delay),
        audit_report(policy, retry_delay=retry_delay),
        reproof(policy, retry_delay=retry_delay),
    ]
    looks = watch_checks(policy)
    if policy.physical:
        assets += [wal(policy.database), recovery_drill(policy)]
        assets += [second_wal(policy.database)] if second_place else []
        looks.append(wal_checks(policy, second_place=second_place))
    tiers = {}
    schedules: list[dg.ScheduleDefinition | dg.UnresolvedPartitionedAssetScheduleDefinition] = []
    for name in policy.tiers:
        slots = slots_of(policy, name, since)
        chain = tier_assets(
            policy, name, slots, retry_delay=retry_delay, second_place=second_place, invariants=invariants
        )
        assets += chain
        tiers[name] = tier_job(policy, name, chain)
        if name in policy.scheduled:
            schedules.append(dg.build_schedule_from_partitioned_job(tiers[name], default_status=status))
    upkeep = {each: upkeep_job(policy, each) for each in upkeep_of(policy)}
    watch = watch_job(policy, looks)
    for job, due in (*((job, each.cron) for each, job in upkeep.items()), (watch, WATCH_DUE)):
        schedules.append(
            dg.ScheduleDefinition(job=job, cron_schedule=due, execution_timezone="UTC", default_status=status)
        )
    jobs = [*tiers.values(), *upkeep.values(), watch]
    unfinished = unfinished_slots(policy, since, tiers, upkeep, loaded=loaded or datetime.now(UTC), scheduled=scheduled)
    return dg.Definitions(
        assets=assets,
        asset_checks=looks,
        jobs=jobs,
        schedules=schedules,
        sensors=[unfinished, *alert_sensors(policy, [job.name for job in jobs], running=scheduled)],
        resources={"backups": _backups()},
        # A process for every step would cost seconds and bring nothing: PostgreSQL's programs do the work.
        executor=dg.in_process_executor,
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
