"""The asset `reproof`: once a day the copies whose turn it is are restored once more, those that are frozen thawed."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from desbuquei_backups.core.errors import BackupError, IdentityError
from desbuquei_backups.core.reproof import longer_tiers
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.daily import daily
from desbuquei_backups.defs.general_checks import general
from desbuquei_backups.defs.rendering import findings_table
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import Steps, failure
from desbuquei_backups.operations import said
from desbuquei_backups.operations.reproof import Done, prove_due
from desbuquei_backups.operations.site import Site
from desbuquei_backups.validation import checks
from desbuquei_backups.validation.expectations import meets
from desbuquei_backups.validation.judge import Judgement
from desbuquei_backups.validation.kept_copies import DESCRIPTION, KEPT_COPIES_MATCH, kept_copies_match
from desbuquei_backups.validation.shortened import of_error, shortened, whole

NAME = "reproof"


def reproof(policy: Policy, *, retry_delay: float) -> dg.AssetsDefinition:
    """The asset of one database."""

    @daily(
        policy.database,
        NAME,
        group=NAME,
        kinds={"postgres", "s3"},
        after=[[tier, "restored_copy"] for tier in longer_tiers(policy)],
        checks={KEPT_COPIES_MATCH: DESCRIPTION},
        description=(
            "Copies of longer tiers are proven by the daily's restored copy and an equal SHA-256 when they are "
            f"made. Every {policy.reproof} the oldest one that is kept of each is restored itself and compared; "
            "what is frozen in two runs: thawed by the first, restored by the one of the next day."
        ),
        retry_delay=retry_delay,
    )
    def reproof(context: dg.AssetExecutionContext, backups: Backups) -> Steps:
        try:
            with backups.site(context.log, policy.database) as site:
                yield _proven(site)
        except BackupError as error:
            raise failure(error) from None

    return reproof


def _proven(site: Site) -> dg.MaterializeResult[Any]:
    done = []
    for each in prove_due(site, judged_by=meets):
        _say(site, each)
        done.append(each)
    judgement = kept_copies_match(done)
    seconds = [sum(each.proof.seconds.values()) for each in done if each.proof is not None]
    return dg.MaterializeResult(
        metadata={
            "due": sum(each.still is None for each in done),
            "restored": len(seconds),
            "being thawed": sum(each.thaw is not None for each in done),
            "seconds": round(sum(seconds), 3),
            "copies": findings_table(judgement.findings),
        },
        check_results=[general(site, NAME, judgement)],
    )


def _say(site: Site, done: Done) -> None:
    """In the chain of evidence, as the restored copy's own checks, which is what they are."""
    found: Sequence[Judgement] = ()
    if done.proof is not None:
        found = [
            *checks.restored_copy_matches(done.proof),
            *checks.invariants_hold(done.proof.invariants, _asked(done)),
        ]
    results, kept = list(map(shortened, found)), list(map(whole, found))
    if done.error is not None and not isinstance(done.error, IdentityError):
        results = kept = [of_error(name, done.error.what) for name in checks.RESTORED_COPY_CHECKS]
    if results:
        said.checks(site, done.due.slot.backup_id, "restored_copy", results, whole=kept)


def _asked(done: Done) -> list[str]:
    return [each.name for each in done.proof.invariants] if done.proof is not None else []
