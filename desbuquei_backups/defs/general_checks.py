"""Results of checks that belong to no backup: shown by Dagster, and said in the chain of evidence."""

from collections.abc import Iterator

import dagster as dg

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.defs.rendering import check_result
from desbuquei_backups.defs.steps import untrue
from desbuquei_backups.operations import said
from desbuquei_backups.operations.site import Site
from desbuquei_backups.validation.judge import Judgement
from desbuquei_backups.validation.shortened import of_error, shortened


def general(site: Site, step: str, judgement: Judgement) -> dg.AssetCheckResult:
    """The result of a check that is run once a day, or less often."""
    said.general_checks(site, step, [shortened(judgement)])
    return check_result(judgement)


def general_untrue(site: Site, step: str, error: BackupError, name: str) -> Iterator[dg.AssetCheckResult]:
    """The same check where an error proves it untrue."""
    if error.permanent:
        said.general_checks(site, step, [of_error(name, error.what)])
    yield from untrue(error, name)
