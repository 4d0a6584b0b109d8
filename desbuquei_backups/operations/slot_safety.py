"""Whether the slot that keeps WAL for us is a danger to the database's own disk, or about to be given up."""

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.postgres.wal import Slot

_WARNED, _REFUSED = 0.5, 0.8


def slot_safety(slot: Slot | None) -> list[Finding]:
    """What the slot holds back, against what it may: from half of it on that is untrue, and said more loudly later.

    Where it may hold anything, nothing can be compared: how full the server's disk is, a role is not told.
    """
    if slot is None:
        return [Finding("slot", "there", None, Verdict.DIFFERS, "there is none: the next drain makes it anew")]
    if slot.lost:
        why = "the server gave it up: the next drain makes it anew, and declares the gap"
        return [Finding("slot", "there", "lost", Verdict.DIFFERS, why)]
    held = f"{slot.held / 1e6:,.0f} MB"
    if slot.most is None:
        why = (
            f"it holds {held}, and max_slot_wal_keep_size is -1: unread, it fills the server's disk, whose size is not "
            "known here. Set it to what the disk can spare"
        )
        return [Finding("WAL held back", None, held, Verdict.UNCOMPARED, why)]
    most = f"at most {_WARNED:.0%} of {slot.most / 1e6:,.0f} MB"
    share = slot.held / slot.most if slot.most else 1.0
    if share < _WARNED:
        return [Finding("WAL held back", most, most, Verdict.MATCHES, f"{held}")]
    why = f"it holds {held}, {share:.0%} of max_slot_wal_keep_size: nobody reads it, or not fast enough"
    return [Finding("WAL held back", most, held, Verdict.DIFFERS, why)]


def is_urgent(slot: Slot | None) -> bool:
    """Whether it is an error, and no longer a warning: lost, or about to be."""
    if slot is None or slot.lost:
        return True
    return slot.most is not None and (slot.status == "unreserved" or slot.held >= _REFUSED * slot.most)
