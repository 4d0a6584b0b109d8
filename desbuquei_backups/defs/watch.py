"""Checks that go on when backups have stopped: how old the newest recovery point is, and whether the disk has room."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.general_checks import standing_check
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import failure
from desbuquei_backups.operations import disk_history
from desbuquei_backups.operations.disk_use import disk_use
from desbuquei_backups.operations.recovery_point import newest_point
from desbuquei_backups.operations.site import Site
from desbuquei_backups.validation import checks

_LATE, _FULL = checks.RECOVERY_POINT_WITHIN_OBJECTIVE, checks.DISK_USAGE_BELOW_THRESHOLD


def watch_checks(policy: Policy) -> list[dg.AssetChecksDefinition]:
    """What would be lost of the source now; whether the folder that retention keeps in bounds has room.

    The latter is judged with each retention, too.
    """
    source, kept = (dg.AssetKey([policy.database, name]) for name in ("source", "retention"))

    @dg.asset_check(asset=source, name=_LATE, description=checks.DESCRIPTIONS[_LATE])
    def recovery_point(context: dg.AssetCheckExecutionContext, backups: Backups) -> dg.AssetCheckResult:
        with _opened(context, backups, policy.database) as site:
            point = newest_point(site)
            worst = dg.AssetCheckSeverity.ERROR if point.late else dg.AssetCheckSeverity.WARN
            return standing_check(site, "source", checks.newest_within_objective(point.finding()), worst=worst)

    @dg.asset_check(asset=kept, name=_FULL, description=checks.DESCRIPTIONS[_FULL])
    def disk_usage(context: dg.AssetCheckExecutionContext, backups: Backups) -> dg.AssetCheckResult:
        with _opened(context, backups, policy.database) as site:
            folder, now = site.settings.folder, site.now()
            use = disk_use(folder)
            seen = disk_history.foreseen(folder, use, now) if use is not None else None
            judgement = checks.disk_usage_below_threshold(use, seen, now)
            return standing_check(site, "disk", judgement, worst=dg.AssetCheckSeverity.WARN)

    return [recovery_point, disk_usage]


@contextmanager
def _opened(context: dg.AssetCheckExecutionContext, backups: Backups, database: str) -> Iterator[Site]:
    try:
        with backups.site(context.log, database) as site:
            yield site
    except BackupError as error:
        raise failure(error) from None
