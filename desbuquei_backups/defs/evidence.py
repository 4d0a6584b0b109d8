"""The asset `evidence_anchor`: once a day the chain of evidence is walked, and its head carried away from this host."""

import dagster as dg

from desbuquei_backups.core.errors import BackupError, NotFound
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.daily import daily
from desbuquei_backups.defs.general_checks import remembered
from desbuquei_backups.defs.rendering_proof import evidence_metadata
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import Steps, failure, untrue
from desbuquei_backups.operations.anchoring import Anchored, anchor
from desbuquei_backups.operations.daily_audit import audit_today
from desbuquei_backups.operations.site import Site
from desbuquei_backups.validation import checks


def evidence_anchor(policy: Policy, *, retry_delay: float) -> dg.AssetsDefinition:
    """The asset of one database."""

    @daily(
        policy.database,
        "evidence_anchor",
        group="evidence",
        kinds={"s3"},
        after=[["retention"]],
        checks={checks.EVIDENCE_IS_UNBROKEN: checks.DESCRIPTIONS[checks.EVIDENCE_IS_UNBROKEN]},
        description=(
            "The chain of evidence: manifests, check results and what was pruned, each link with the SHA-256 of "
            f"the one before, kept {policy.evidence.kept_in_s3} in S3. What is new since yesterday is walked, all "
            "of it once a month, and compared with the manifests in the bucket.\n\n"
            "Its head is told to the policy's anchor_command, and the links are copied to the second place, so "
            "that a cut-off or rewritten end is found."
        ),
        retry_delay=retry_delay,
    )
    def evidence_anchor(context: dg.AssetExecutionContext, backups: Backups) -> Steps:
        judged = False
        try:
            with backups.site(context.log, policy.database) as site:
                audited = audit_today(site)
                yield remembered(site, "evidence_anchor", checks.evidence_is_unbroken(audited))
                judged = True
                yield dg.MaterializeResult(metadata=evidence_metadata(audited, _anchored(site)))
        except BackupError as error:
            if not judged:
                yield from untrue(error, checks.EVIDENCE_IS_UNBROKEN)
            raise failure(error) from None

    return evidence_anchor


def _anchored(site: Site) -> Anchored | None:
    try:
        return anchor(site)
    except NotFound:  # nothing was ever said
        return None
