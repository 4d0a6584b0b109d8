"""The WAL in S3: an asset that Dagster does not make, and its checks, in a job of their own every quarter of an hour.

They are not part of any backup: they must go on when backups have stopped.
"""

from collections.abc import Iterator

import dagster as dg

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.assets import OWNERS
from desbuquei_backups.defs.rendering import check_result, skipped_check
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import failure
from desbuquei_backups.defs.wal_judged import judged
from desbuquei_backups.operations.wal_slot import Refused
from desbuquei_backups.operations.wal_state import wal_state
from desbuquei_backups.validation import checks

DUE = "*/15 * * * *"
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


def wal_checks(policy: Policy) -> dg.AssetChecksDefinition:
    """Whether any second can be recovered to, as far as looking at server, spool and S3 tells."""
    asset = [policy.database, "wal"]

    @dg.multi_asset_check(
        name="wal_checks",
        specs=[dg.AssetCheckSpec(name, asset=asset, description=checks.DESCRIPTIONS[name]) for name in CHECKS],
    )
    def wal_checks(context: dg.AssetCheckExecutionContext, backups: Backups) -> Iterator[dg.AssetCheckResult]:
        try:
            with backups.site(context.log) as site:
                state = wal_state(site)
        except BackupError as error:
            raise failure(error) from None
        if isinstance(state, Refused):
            yield from (skipped_check(name, f"not applicable: {state.why}") for name in CHECKS)
            return
        for judgement, worst in judged(state, site.policy.recovery_point_objective):
            yield check_result(judgement, worst=worst)

    return wal_checks
