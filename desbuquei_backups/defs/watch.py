"""Checks that go on when backups have stopped: how old the newest recovery point is, and whether the disk has room."""

from collections.abc import Iterator

import dagster as dg

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.remembered import remembered
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import failure
from desbuquei_backups.operations import disk_history
from desbuquei_backups.operations.disk_use import disk_use
from desbuquei_backups.operations.recovery_point import newest_point
from desbuquei_backups.validation import checks


def watch_checks(policy: Policy) -> dg.AssetChecksDefinition:
    """What would be lost of the source now; whether the folder that retention keeps in bounds has room."""
    source, kept = (dg.AssetKey([policy.database, name]) for name in ("source", "retention"))
    looked_at = ((checks.RECOVERY_POINT_WITHIN_OBJECTIVE, source), (checks.DISK_USAGE_BELOW_THRESHOLD, kept))

    @dg.multi_asset_check(
        name="watch_checks",
        specs=[dg.AssetCheckSpec(name, asset=key, description=checks.DESCRIPTIONS[name]) for name, key in looked_at],
    )
    def watch_checks(context: dg.AssetCheckExecutionContext, backups: Backups) -> Iterator[dg.AssetCheckResult]:
        try:
            with backups.site(context.log) as site:
                folder, now = site.settings.folder, site.now()
                use = disk_use(folder)
                judgement = checks.disk_usage_below_threshold(
                    use, disk_history.foreseen(folder, use, now) if use is not None else None, now
                )
                yield remembered(site, "disk", judgement, worst=dg.AssetCheckSeverity.WARN, asset=kept)
                point = newest_point(site)
                worst = dg.AssetCheckSeverity.ERROR if point.late else dg.AssetCheckSeverity.WARN
                late = checks.newest_within_objective(point.finding())
                yield remembered(site, "source", late, worst=worst, asset=source)
        except BackupError as error:
            raise failure(error) from None

    return watch_checks
