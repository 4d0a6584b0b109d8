"""The asset `recovery_drill`: once a month the cluster is recovered from S3 alone, looked at, measured, and removed."""

import dagster as dg

from desbuquei_backups.core.errors import BackupError, IdentityError
from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.assets import OWNERS
from desbuquei_backups.defs.general_checks import general, general_untrue
from desbuquei_backups.defs.rendering import skipped_check
from desbuquei_backups.defs.rendering_drill import drill_metadata
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import Steps, failure
from desbuquei_backups.operations.drill import drill, may_drill
from desbuquei_backups.operations.recovered_copy import Wanted
from desbuquei_backups.operations.site import Site
from desbuquei_backups.validation import checks

NAME = "recovery_drill"
CHECK = checks.RECOVERY_TIME_WITHIN_OBJECTIVE


def recovery_drill(policy: Policy) -> dg.AssetsDefinition:
    """The asset of one database."""
    database = policy.database
    taking = [name for name, tier in policy.tiers.items() if tier.base_backup]

    @dg.asset(
        key=[database, NAME],
        group_name=NAME,
        owners=OWNERS,
        kinds={"postgres", "s3"},
        output_required=False,  # where there is nothing to recover from, nothing was drilled
        deps=[[database, tier, "s3_archive"] for tier in taking],
        check_specs=[dg.AssetCheckSpec(CHECK, asset=[database, NAME], description=checks.DESCRIPTIONS[CHECK])],
        description=(
            "The whole cluster, recovered from S3 alone to the newest moment, on a scratch server that is gone "
            "afterwards. Every database is read, every table counted, every page and index checked; how long it took, "
            f"and would take for the present size, is held against {policy.recovery_time_objective}."
        ),
    )
    def recovery_drill(context: dg.AssetExecutionContext, backups: Backups) -> Steps:
        try:
            with backups.site(context.log, database) as site:
                yield from _drilled(context, site)
        except BackupError as error:
            raise failure(error) from None

    return recovery_drill


def _drilled(context: dg.AssetExecutionContext, site: Site) -> Steps:
    if (why := may_drill(site)) is not None:
        context.log.warning(f"no drill: {why}")
        yield skipped_check(CHECK, why)
        return
    try:
        record = drill(site, Wanted(Target()))
    except IdentityError as error:
        context.log.warning(f"{error}")
        yield skipped_check(CHECK, error.what)
    except BackupError as error:
        yield from general_untrue(site, NAME, error, CHECK)
        raise
    else:
        judgement = checks.recovery_time_within_objective(site.policy, record)
        yield dg.MaterializeResult(metadata=drill_metadata(record), check_results=[general(site, NAME, judgement)])
