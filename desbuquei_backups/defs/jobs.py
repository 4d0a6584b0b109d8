"""The jobs of one database: one a tier, one for each asset that falls due and has no slots, one that only looks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.operations.conditions_drill import DRILL_DUE

WATCH_DUE = "*/15 * * * *"
# On every run that works on a database: dagster.yaml bounds how many of one database there are at once.
DATABASE_TAG = "desbuquei/database"
# On those that only look, and must go on when the others hang.
WATCHED_TAG = "desbuquei/watches"
_WATCH_SECONDS = 900  # until the next one is due: a server that hangs must not fill the queue with looks at it


@dataclass(frozen=True, slots=True)
class Upkeep:
    """An asset that falls due by a cron (UTC) and has no slots. `command`: how a person does the same.

    `physical`: only of a database whose cluster is copied.
    """

    name: str
    asset: str
    cron: str
    command: str
    described: str
    physical: bool = False

    def job_of(self, database: str) -> str:
        return job_name(database, self.name)

    def key_of(self, database: str) -> dg.AssetKey:
        return dg.AssetKey([database, self.asset])


# The tiers of the night are taken at 02:00. Retention comes after them, and what it did is anchored, then reported.
_UPKEEP = (
    Upkeep(
        "retention",
        "retention",
        "30 4 * * *",
        "desbuquei prune",
        "What the policy no longer keeps goes; a reason is given for every backup.",
    ),
    Upkeep(
        "evidence",
        "evidence_anchor",
        "0 5 * * *",
        "desbuquei audit verify",
        "The chain of evidence is walked, and its head anchored elsewhere.",
    ),
    Upkeep(
        "audit_report",
        "audit_report",
        "30 5 * * *",
        "desbuquei report --out .",
        "What was promised is held against what can be shown, for an auditor.",
    ),
    Upkeep(
        "reproof",
        "reproof",
        "0 6 * * *",
        "desbuquei prove --due",
        "Copies of longer tiers whose turn it is are restored once more, or thawed for it.",
    ),
    Upkeep(
        "recovery_drill",
        "recovery_drill",
        DRILL_DUE,
        "desbuquei drill",
        "The cluster is recovered from S3 alone on a scratch server, looked at, measured, and removed.",
        physical=True,
    ),
)


def upkeep_of(policy: Policy) -> list[Upkeep]:
    """What falls due for that database beside its tiers."""
    return [each for each in _UPKEEP if policy.physical or not each.physical]


def job_name(database: str, tier: str) -> str:
    """The job that runs a tier's whole chain for one slot."""
    return f"{database}_{tier}"


def tier_job(policy: Policy, tier: str, chain: Sequence[dg.AssetsDefinition]) -> UnresolvedAssetJobDefinition:
    """At one instant, the tier that the others are promoted from goes first: it proves the dump that they take over."""
    priority = Counter(policy.promoted_from(name) for name in policy.tiers)
    return dg.define_asset_job(
        job_name(policy.database, tier),
        selection=dg.AssetSelection.assets(*chain),
        description=f"The {tier} backup: dump, checksum manifest, S3 archive, restored copy.",
        tags={"dagster/priority": str(priority[tier]), DATABASE_TAG: policy.database},
    )


def upkeep_job(policy: Policy, each: Upkeep) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        each.job_of(policy.database),
        selection=[each.key_of(policy.database)],
        description=each.described,
        tags={DATABASE_TAG: policy.database},
    )


def watch_job(policy: Policy, looks: Sequence[dg.AssetChecksDefinition]) -> UnresolvedAssetJobDefinition:
    """Checks alone: they go on when backups have stopped."""
    return dg.define_asset_job(
        job_name(policy.database, "watch"),
        selection=dg.AssetSelection.checks(*looks),
        description="Whether backups run or not: no gap in the WAL, the recovery point not late, room on the disk.",
        tags={WATCHED_TAG: policy.database, MAX_RUNTIME_SECONDS_TAG: str(_WATCH_SECONDS)},
    )
