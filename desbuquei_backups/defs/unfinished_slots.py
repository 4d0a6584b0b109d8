"""The sensor `unfinished_slots`: it asks for what is missing, as long as it can still be had, and for nothing else.

It looks at what is and not at what happened: a first start in mid-slot, a killed process, a run of the command line, a
backfill and a lost Dagster storage are all the same to it.
"""

from collections.abc import Mapping
from datetime import datetime

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.core.waiting import Waiting
from desbuquei_backups.defs.jobs import Upkeep
from desbuquei_backups.defs.rerun_slots import SlotReruns
from desbuquei_backups.defs.rerun_upkeep import UpkeepReruns
from desbuquei_backups.defs.resources import Backups, policy_changed
from desbuquei_backups.operations.unfinished_told import tell

_SECONDS = 60


def unfinished_slots(
    policy: Policy,
    since: datetime,
    tiers: Mapping[str, UnresolvedAssetJobDefinition],
    upkeep: Mapping[Upkeep, UnresolvedAssetJobDefinition],
    *,
    loaded: datetime,
    scheduled: bool,
) -> dg.SensorDefinition:
    """The sensor of one database, protected since then. `tiers`: the jobs of its tiers, by their names.

    `loaded`: when settings and program were last read (aware UTC): what failed for good before is tried once more.
    """
    names = {tier: job.name for tier, job in tiers.items()}
    promoted_from = {tier: policy.promoted_from(tier) for tier in policy.tiers}

    @dg.sensor(
        name=f"{policy.database}_unfinished_slots",
        jobs=[*tiers.values(), *upkeep.values()],
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if scheduled else dg.DefaultSensorStatus.STOPPED,
        description=(
            "Asks for what is missing: dumps while their slot is open, archives and proofs as long as what they are "
            "made of is kept. What failed is tried again after pauses that grow, unless only a person can mend it: "
            "that is told. A slot that closed empty is recorded as missed."
        ),
    )
    def unfinished_slots(context: dg.SensorEvaluationContext, backups: Backups) -> dg.SensorResult:
        site = backups.at_rest(policy.database)
        waiting = Waiting.of(context.cursor)
        changed = max(loaded, policy_changed())
        slots = SlotReruns(policy, since, names, promoted_from, changed)
        slots.look(context, site, backups, waiting)
        others = UpkeepReruns(policy.database, since, list(upkeep), changed)
        others.look(context.instance, site, waiting)
        tell(site, [*slots.conditions, *others.conditions])
        requests = [*slots.requests, *others.requests]
        said = [*slots.said, *others.said]
        for each in said:
            context.log.info(each)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason("; ".join(said) or "Everything is finished."),
            cursor=waiting.cursor({*slots.begun_by_nobody, *others.begun_by_nobody}),
            dynamic_partitions_requests=slots.registered,
        )

    return unfinished_slots
