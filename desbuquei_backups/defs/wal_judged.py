"""What is known of the WAL, judged: each judgement with how bad it is where it is not true."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.slot_safety import is_urgent, slot_safety
from desbuquei_backups.operations.wal_bases import base_of
from desbuquei_backups.operations.wal_findings import continuity, recovery_point
from desbuquei_backups.operations.wal_slot import Refused
from desbuquei_backups.operations.wal_state import WalState, wal_state
from desbuquei_backups.validation import checks
from desbuquei_backups.validation.judge import Judgement

Judged = tuple[Judgement, dg.AssetCheckSeverity]


def judged(state: WalState, objective: timedelta) -> list[Judged]:
    """Its continuity, and how much of the latest is not in S3."""
    found, late = continuity(state), recovery_point(state, objective)
    return [
        (checks.wal_is_continuous(found), _severity(state, found)),
        (checks.newest_within_objective(late), dg.AssetCheckSeverity.ERROR),
    ]


def judged_wal(site: Site, taken: Manifest) -> list[Judged]:
    """The same of how it is now, with what was `taken`; where that cannot be told, nothing is claimed."""
    full = base_of(taken) if taken.parent is None else None
    try:
        state = wal_state(site, not_archived=full)
    except BackupError as error:
        if error.permanent:
            raise
        return _unknown(error.what)
    return _unknown(state.why) if isinstance(state, Refused) else judged(state, site.policy.recovery_point_objective)


def _unknown(why: str) -> list[Judged]:
    finding = Finding("WAL in S3", "known", None, Verdict.UNCOMPARED, why)
    worst = dg.AssetCheckSeverity.WARN
    return [(checks.wal_is_continuous([finding]), worst), (checks.newest_within_objective(finding), worst)]


def _severity(state: WalState, findings: Sequence[Finding]) -> dg.AssetCheckSeverity:
    """A slot that holds back much is a warning before it is an error; a gap is one at once."""
    of_slot = {each.subject for each in slot_safety(state.slot)}
    wrong = [each for each in findings if each.verdict is Verdict.DIFFERS and each.subject not in of_slot]
    return dg.AssetCheckSeverity.ERROR if wrong or is_urgent(state.slot) else dg.AssetCheckSeverity.WARN
