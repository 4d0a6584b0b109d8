"""The Dagster entry point: assets, checks, jobs, schedules, sensors, from the policy. Nothing starts at import."""

import os
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

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
from desbuquei_backups.defs.rerun_upkeep import Upkeep
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.retention import DUE as RETENTION_DUE
from desbuquei_backups.defs.retention import retention
from desbuquei_backups.defs.unfinished_slots import unfinished_slots
from desbuquei_backups.defs.wal import DUE as WAL_DUE
from desbuquei_backups.defs.wal import second_wal, wal, wal_checks
from desbuquei_backups.operations.protection import protected_since
from desbuquei_backups.operations.settings import from_environment

RETRY_DELAY_SECONDS = 15.0


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
    loaded: datetime | None = None,
) -> dg.Definitions:
    """The definitions of one policy, protected since that instant; schedules and sensor run if `scheduled`.

    `loaded`: when settings and program were last read, aware UTC; now, unless told otherwise.
    """
    status = dg.DefaultScheduleStatus.RUNNING if scheduled else dg.DefaultScheduleStatus.STOPPED
    assets: list[dg.AssetsDefinition] = []
    jobs: dict[str, UnresolvedAssetJobDefinition] = {}
    schedules = []
    upkeep: dict[str, Upkeep] = {}
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
            tags={"dagster/priority": str(priority[name])},
        )
        assets += chain
        jobs[name] = job
        if name in policy.scheduled:
            schedules.append(dg.build_schedule_from_partitioned_job(job, default_status=status))
    for name, due, by_hand, described in (
        (
            "retention",
            RETENTION_DUE,
            "desbuquei prune",
            "What the policy no longer keeps goes; a reason is given for every backup.",
        ),
        (
            "evidence",
            EVIDENCE_DUE,
            "desbuquei audit verify",
            "The chain of evidence is walked, and its head anchored elsewhere.",
        ),
        (
            "audit_report",
            REPORT_DUE,
            "desbuquei report --out .",
            "What was promised is held against what can be shown, for an auditor.",
        ),
        (
            "recovery_drill",
            DRILL_DUE,
            "desbuquei drill",
            "The cluster is recovered from S3 alone on a scratch server, looked at, measured, and removed.",
        ),
    ):
        asset = dg.AssetKey([policy.database, {"evidence": "evidence_anchor"}.get(name, name)])
        job = dg.define_asset_job(job_name(policy.database, name), selection=[asset], description=described)
        jobs[name] = job
        upkeep[name] = Upkeep(job.name, asset, due, by_hand)
        schedules.append(
            dg.ScheduleDefinition(job=job, cron_schedule=due, execution_timezone="UTC", default_status=status)
        )
    looking = wal_checks(policy, second_place=second_place)
    watching = dg.define_asset_job(
        job_name(policy.database, "wal"),
        selection=dg.AssetSelection.checks(looking),
        description="Whether any second can be recovered to: no gap in the WAL, and nothing late.",
    )
    schedules.append(
        dg.ScheduleDefinition(job=watching, cron_schedule=WAL_DUE, execution_timezone="UTC", default_status=status)
    )
    unfinished = unfinished_slots(
        policy, since, jobs, upkeep=upkeep, loaded=loaded or datetime.now(UTC), scheduled=scheduled
    )
    return dg.Definitions(
        assets=[
            source(policy.database),
            *assets,
            retention(policy, retry_delay=retry_delay),
            evidence_anchor(policy, retry_delay=retry_delay),
            audit_report(policy, retry_delay=retry_delay),
            wal(policy.database),
            *([second_wal(policy.database)] if second_place else []),
            recovery_drill(policy),
        ],
        asset_checks=[looking],
        jobs=[*jobs.values(), watching],
        schedules=schedules,
        sensors=[unfinished],
        resources={"backups": Backups()},
        # A process for every step would cost seconds and bring nothing: PostgreSQL's programs do the work.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """From the environment's policy."""
    settings = from_environment(os.environ)
    scheduled = os.environ.get("DESBUQUEI_SCHEDULES") != "off"
    since = protected_since(settings, datetime.now(UTC))
    second_place = settings.second is not None
    return build(settings.policy, since, scheduled=scheduled, second_place=second_place, invariants=settings.invariants)
