"""Checks that belong to no backup: shown by Dagster, remembered for alerts and metrics, said in the chain."""

from collections.abc import Iterator

import dagster as dg

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.defs.rendering import check_result
from desbuquei_backups.defs.steps import untrue
from desbuquei_backups.operations import last_verdicts, said, standing
from desbuquei_backups.operations.site import Site
from desbuquei_backups.validation.judge import Judgement
from desbuquei_backups.validation.shortened import of_error, shortened


def remembered(
    site: Site,
    step: str,
    judgement: Judgement,
    *,
    worst: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """The result of a check that the chain of evidence does not tell. `step`: the asset, without the database."""
    last_verdicts.remember(site, step, None, [shortened(judgement)])
    return check_result(judgement, worst=worst)


def general(site: Site, step: str, judgement: Judgement) -> dg.AssetCheckResult:
    """The result of a check that is run once a day, or less often."""
    said.general_checks(site, step, [shortened(judgement)])
    return remembered(site, step, judgement)


def general_untrue(site: Site, step: str, error: BackupError, name: str) -> Iterator[dg.AssetCheckResult]:
    """The same check where an error proves it untrue."""
    if error.permanent:
        result = of_error(name, error.what)
        last_verdicts.remember(site, step, None, [result])
        said.general_checks(site, step, [result])
    yield from untrue(error, name)


def standing_check(site: Site, step: str, judgement: Judgement, *, worst: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    """The result of a check that is run several times an hour: the chain tells when it changes, and once a day."""
    standing.checks(site, step, [shortened(judgement)])
    return remembered(site, step, judgement, worst=worst)
