"""The asset `retention`: once a day what the policy no longer keeps goes, and it is seen that the rest is there."""

from dataclasses import replace
from typing import Any

import dagster as dg

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.daily import daily
from desbuquei_backups.defs.general_checks import general, general_untrue
from desbuquei_backups.defs.rendering_proof import retention_metadata
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import Steps, failure
from desbuquei_backups.operations.disk_use import disk_use
from desbuquei_backups.operations.honoured import honoured
from desbuquei_backups.operations.prune import prune
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_pruning import wal_lines
from desbuquei_backups.validation import checks


def retention(policy: Policy, *, retry_delay: float) -> dg.AssetsDefinition:
    """The asset of one database."""
    longest = [f"{name}: {tier.kept_in_s3} in S3" for name, tier in policy.tiers.items()]

    @daily(
        policy.database,
        "retention",
        group="retention",
        kinds={"s3"},
        after=[[tier, "s3_archive"] for tier in policy.tiers],
        checks={checks.RETENTION_IS_HONOURED: checks.DESCRIPTIONS[checks.RETENTION_IS_HONOURED]},
        description=(
            "What the policy no longer keeps goes, on disk and in S3 each by its own rule, with every version of "
            f"it; a reason is given for every backup. Kept are {'; '.join(longest)}.\n\n"
            "Never pruned: the newest restorable backup, those of which there are never fewer, what another one "
            "needs, what is locked, held or being read, and a copy on disk that S3 has not whole."
        ),
        retry_delay=retry_delay,
    )
    def retention(context: dg.AssetExecutionContext, backups: Backups) -> Steps:
        try:
            with backups.site(context.log, policy.database) as site:
                try:
                    yield _pruned(site)
                except BackupError as error:
                    yield from general_untrue(site, "retention", error, checks.RETENTION_IS_HONOURED)
                    raise
        except BackupError as error:
            raise failure(error) from None

    return retention


def _pruned(site: Site) -> dg.MaterializeResult[Any]:
    done = prune(site)
    found = honoured(site, done)
    if site.second is not None:
        there = prune(site.second)
        found += [replace(each, subject=f"second place: {each.subject}") for each in honoured(site.second, there)]
        done = [*done, *there]
    wal = wal_lines(site, dry_run=False)
    if site.second is not None:
        wal += [f"second place: {line}" for line in wal_lines(site.second, dry_run=False)]
    disk = disk_use(site.settings.folder)
    return dg.MaterializeResult(
        metadata={
            **retention_metadata(done),
            "WAL": "; ".join(wal) or "none",
            **({"disk (percent)": disk.percent, "disk, free (bytes)": disk.free} if disk is not None else {}),
        },
        check_results=[general(site, "retention", checks.retention_is_honoured(found))],
    )
