"""The WAL in S3: an asset that Dagster does not make, and its checks, in a job of their own every quarter of an hour.

They are not part of any backup: they must go on when backups have stopped.
"""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.looks import look
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.assets import OWNERS
from desbuquei_backups.defs.rendering import check_result, skipped_check
from desbuquei_backups.defs.rendering_wal import wal_metadata
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import failure
from desbuquei_backups.defs.wal_judged import judged
from desbuquei_backups.operations import standing
from desbuquei_backups.operations.second_wal_status import second_continuity
from desbuquei_backups.operations.second_wal_status import second_wal as look_at_second
from desbuquei_backups.operations.wal_findings import newest_age
from desbuquei_backups.operations.wal_slot import Refused
from desbuquei_backups.operations.wal_state import WalState, wal_state
from desbuquei_backups.validation import checks
from desbuquei_backups.validation.shortened import shortened

CHECKS = (checks.WAL_IS_CONTINUOUS, checks.RECOVERY_POINT_WITHIN_OBJECTIVE)


def wal(database: str) -> dg.AssetSpec:
    """The write-ahead log that `desbuquei wal stream`, an hourly run or an archive_command brings into S3."""
    return dg.AssetSpec(
        [database, "wal"],
        group_name="wal",
        kinds={"postgres", "s3"},
        owners=OWNERS,
        deps=[[database, "source"]],
        description="The write-ahead log in S3: with a base backup before it, any second since is within reach.",
    )


def second_wal(database: str) -> dg.AssetSpec:
    """The same in the second place, which follows the first."""
    return dg.AssetSpec(
        [database, "second_wal"],
        group_name="wal",
        kinds={"s3"},
        owners=OWNERS,
        deps=[[database, "wal"]],
        description=(
            "The write-ahead log in the second place, from the base backups there on. What holds it up is made up "
            "later, and holds up nothing in the first place."
        ),
    )


def wal_checks(policy: Policy, *, second_place: bool = False) -> dg.AssetChecksDefinition:
    """Whether any second can be recovered to, as far as looking at server, spool and S3 tells; from each place."""
    asset = dg.AssetKey([policy.database, "wal"])
    second = dg.AssetKey([policy.database, "second_wal"])
    looked_at = [(name, asset) for name in CHECKS] + [(checks.WAL_IS_CONTINUOUS, second)] * second_place

    @dg.multi_asset_check(
        name=f"{policy.database}__wal_checks",
        specs=[dg.AssetCheckSpec(name, asset=key, description=checks.DESCRIPTIONS[name]) for name, key in looked_at],
    )
    def wal_checks(context: dg.AssetCheckExecutionContext, backups: Backups) -> Iterator[dg.AssetCheckResult]:
        try:
            with backups.site(context.log, policy.database) as site:
                state = wal_state(site)
                there = look_at_second(site, state) if isinstance(state, WalState) else None
        except BackupError as error:
            raise failure(error) from None
        if isinstance(state, Refused):
            yield from (skipped_check(name, f"not applicable: {state.why}", key) for name, key in looked_at)
            return
        objective = site.policy.recovery_point_objective
        found = judged(state, objective)
        age = newest_age(state)
        standing.checks(
            site,
            standing.WAL,
            [shortened(judgement) for judgement, _ in found],
            looked=lambda before: look(before, site.now(), age),
        )
        context.op_execution_context.log_event(dg.AssetObservation(asset, metadata=wal_metadata(state)))
        for judgement, worst in found:
            yield check_result(judgement, worst=worst, asset=asset)
        if second_place and there is not None:
            # The first place has it: a warning, however late it is.
            late = replace(checks.wal_is_continuous(second_continuity(there, objective)), summary=there.said())
            standing.checks(site, "second_wal", [shortened(late)])
            yield check_result(late, worst=dg.AssetCheckSeverity.WARN, asset=second)

    return wal_checks
