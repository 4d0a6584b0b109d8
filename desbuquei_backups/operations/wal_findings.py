"""What the checks of the WAL judge: its continuity, its slot, and how much of the latest is not in S3."""

from collections.abc import Sequence
from datetime import timedelta

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.recovery import Base
from desbuquei_backups.core.wal import Gap, parse_lsn, show_lsn
from desbuquei_backups.core.wal_points import DeclaredGap
from desbuquei_backups.operations.slot_safety import slot_safety
from desbuquei_backups.operations.wal_state import WalState

_CONTINUOUS, _THERE = "no gap", "in S3"
_HOW = "desbuquei wal stream brings it all the time, desbuquei wal drain once"


def continuity(state: WalState) -> list[Finding]:
    """From the first base backup of the window to the newest segment, and from there to where the server is."""
    return [*_gaps(state), _server(state), *_clusters(state), *_rejected(state), *slot_safety(state.slot)]


def recovery_point(state: WalState, objective: timedelta) -> Finding:
    """How much of the latest is not in S3: at most the objective, and nothing, if nothing was written since."""
    subject, promised = "age of the newest WAL in S3", f"at most {in_words(objective)}"
    if state.newest is None:
        return Finding(subject, promised, None, _none_yet(state), f"there is no WAL in S3 yet: {_HOW}")
    if state.age is None:
        why = "nobody looked at the server before its end: the next drain does"
        return Finding(subject, promised, None, Verdict.UNCOMPARED, why)
    said = f"{state.newest.name} is the newest; the server is {in_words(state.age)} ahead of it"
    if state.age > objective:
        return Finding(subject, promised, in_words(state.age), Verdict.DIFFERS, said)
    return Finding(subject, promised, promised, Verdict.MATCHES, said)


def newest_age(state: WalState) -> timedelta | None:
    """How old the newest moment is that can be recovered to; None: not known, or a gap or a missing base backup is in
    the way."""
    mended = all(any(base.start >= gap.last.end for base in state.bases) for gap in state.gaps)
    return state.age if state.base is not None and mended else None


def _none_yet(state: WalState) -> Verdict:
    """Where nobody has ever asked for WAL there is nothing to judge; with a slot it should be there."""
    return Verdict.UNCOMPARED if state.slot is None else Verdict.DIFFERS


def _gaps(state: WalState) -> list[Finding]:
    since = state.base.backup_id if state.base is not None else "the oldest segment"
    subject = f"WAL since {since}"
    if state.newest is None:
        return [Finding(subject, _CONTINUOUS, None, _none_yet(state), f"there is none in S3 yet: {_HOW}")]
    found = (
        [] if state.gaps else [Finding(subject, _CONTINUOUS, _CONTINUOUS, Verdict.MATCHES, f"to {state.newest.name}")]
    )
    found += gap_findings(state.gaps, state.declared, state.bases)
    if state.base is None:
        why = "there is no base backup of this cluster in S3: its WAL recovers nothing yet"
        found.append(Finding("base backup", _THERE, None, Verdict.DIFFERS, why))
    return found


def gap_findings(gaps: Sequence[Gap], declared: Sequence[DeclaredGap], bases: Sequence[Base]) -> list[Finding]:
    """What is to be said of each gap."""
    return [_gap(gap, next((each for each in declared if _covers(each, gap)), None), bases) for gap in gaps]


def _gap(gap: Gap, declared: DeclaredGap | None, bases: Sequence[Base]) -> Finding:
    """A gap that was declared and has a base after it is known and over: neither good nor bad."""
    subject = f"WAL {show_lsn(gap.first.start)} to {show_lsn(gap.last.end)}"
    after = next((base for base in bases if base.start >= gap.last.end), None)
    mended = f"; {after.backup_id} was taken after it" if after is not None else "; no base backup was taken after it"
    if declared is None:
        return Finding(subject, _THERE, "missing", Verdict.DIFFERS, f"{gap.said()}{mended}")
    verdict = Verdict.UNCOMPARED if after is not None else Verdict.DIFFERS
    return Finding(
        subject, _THERE, "lost", verdict, f"{declared.said()}{mended}: nothing within it can be recovered to"
    )


def _covers(declared: DeclaredGap, gap: Gap) -> bool:
    return parse_lsn(declared.start) <= gap.first.start and gap.last.end <= parse_lsn(declared.end)


def _server(state: WalState) -> Finding:
    """S3 is not ahead of the server; what it has not yet is in the spool, or kept by the slot."""
    subject, expected = "the newest segment against the server", "what is not in S3 is on its way"
    if state.server is None or state.newest is None:
        return Finding(subject, expected, None, Verdict.UNCOMPARED, "there is no position to compare")
    size = state.cluster.segment_size
    end = -(-state.server.position // size) * size
    where = f"the server is at {show_lsn(state.server.position)}, S3 has WAL up to {show_lsn(state.newest.end)}"
    if state.newest.timeline == state.server.timeline and state.newest.end > end:
        return Finding(
            subject, expected, "ahead of the server", Verdict.DIFFERS, f"{where}: it was set back, or is another"
        )
    kept = (
        state.slot is not None and not state.slot.lost and (state.slot.restart or 0) // size * size <= state.newest.end
    )
    if kept or state.waiting or state.newest.end >= state.server.position // size * size:
        return Finding(subject, expected, expected, Verdict.MATCHES, where)
    why = f"{where}, and nothing keeps what is between: the slot begins later, or is gone"
    return Finding(subject, expected, "not kept", Verdict.DIFFERS, why)


def _clusters(state: WalState) -> list[Finding]:
    """The newest base is of the cluster that the server is: after an upgrade or a restore it is another one."""
    now = state.cluster.system_identifier
    others = f"WAL of {', '.join(state.others)} is there, too" if state.others else ""
    return [Finding("system identifier", now, now, Verdict.MATCHES, others)]


def _rejected(state: WalState) -> list[Finding]:
    if not state.rejected:
        return []
    why = "each was proven bad, and is kept: look at it, then move it away"
    return [Finding("set aside", "nothing", ", ".join(state.rejected[:5]), Verdict.DIFFERS, why)]
