"""The check of copies that are kept for long: each that was restored once more is what the source was."""

from collections.abc import Sequence

from desbuquei_backups.core.comparison import Finding, Verdict, tally
from desbuquei_backups.core.errors import IdentityError
from desbuquei_backups.operations.reproof import Done
from desbuquei_backups.validation.judge import Judgement, judge

KEPT_COPIES_MATCH = "kept_copies_match"
DESCRIPTION = "The oldest copy of each longer tier, restored from its own object when its turn comes, is the source's."
_WHOLE = "as the source was"


def kept_copies_match(done: Sequence[Done]) -> Judgement:
    """What became of those that were due; one that is being thawed is proven by a later run.

    One that was not the source's when its turn came stays so: it is not restored every day, and never forgotten.
    """
    nothing = Finding("copies that are due", "none", "none", Verdict.MATCHES, "each was restored within its time")
    return judge(KEPT_COPIES_MATCH, [_finding(each) for each in done] or [nothing])


def _finding(done: Done) -> Finding:
    backup_id = done.due.slot.backup_id
    if done.proof is not None:
        verdict = done.proof.verdict
        found = {Verdict.MATCHES: _WHOLE, Verdict.UNCOMPARED: None}.get(verdict, "not as the source was")
        return Finding(backup_id, _WHOLE, found, verdict, tally(done.proof.findings))
    if done.thaw is not None:
        return Finding(backup_id, _WHOLE, None, Verdict.UNCOMPARED, "it is being thawed: a later run restores it")
    if done.still is not None:
        remedy = f"`desbuquei prove {backup_id}` restores it once more"
        why = f"so restored on {done.due.last:%Y-%m-%d}: {done.still}; {remedy}"
        return Finding(backup_id, _WHOLE, "not as the source was", Verdict.DIFFERS, why)
    why = done.error.what if done.error is not None else ""
    if isinstance(done.error, IdentityError):  # nothing is disproven: it is for another host to do
        return Finding(backup_id, _WHOLE, None, Verdict.UNCOMPARED, why)
    return Finding(backup_id, _WHOLE, "cannot be restored", Verdict.DIFFERS, why)
