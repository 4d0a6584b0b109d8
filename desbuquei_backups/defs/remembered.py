"""A check of what is no backup, remembered where alerts and metrics look."""

import dagster as dg

from desbuquei_backups.defs.rendering import check_result
from desbuquei_backups.operations import last_verdicts
from desbuquei_backups.operations.site import Site
from desbuquei_backups.validation.judge import Judgement
from desbuquei_backups.validation.shortened import shortened


def remembered(
    site: Site,
    of: str,
    judgement: Judgement,
    *,
    worst: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """The check's result; `of`: the asset's name, without the database."""
    last_verdicts.remember(site, of, None, [shortened(judgement)])
    return check_result(judgement, worst=worst)
