"""Each tier's slots in a period: taken in time, late, missed, left out on purpose, or still open."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from desbuquei_backups.audit.facts import Backup, Facts, Recorded
from desbuquei_backups.core.slots import Slot, last_due, next_due

_GRACE = timedelta(hours=1)  # after a due time, before a backup is late; of a tier due more often, half its interval


class Outcome(StrEnum):
    """What became of a slot. UNKNOWN: neither the chain nor the bucket could be asked."""

    TAKEN = "taken"
    LATE = "late"
    MISSED = "missed"
    LEFT_OUT = "left out"
    OPEN = "open"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Due:
    """One due time, what became of it, and why, where that is known."""

    slot: Slot
    outcome: Outcome
    why: str = ""
    backup: Backup | None = None


def slots_due(facts: Facts) -> dict[str, list[Due]]:
    """By tier, oldest first: those due in the period, from the first that was open when protection began."""
    return {name: list(_of_tier(facts, name, cron)) for name, cron in facts.policy.scheduled.items()}


def _of_tier(facts: Facts, name: str, cron: str) -> Iterator[Due]:
    if facts.since is None or facts.since >= facts.period.end:
        return
    start = max(facts.period.start, last_due(cron, facts.since))
    end = min(facts.period.end, facts.now + timedelta(seconds=1))
    dues = []
    due = last_due(cron, start)
    while due < end:
        if due >= start:
            dues.append(due)
        due = next_due(cron, due)
    known = facts.listed is not None or facts.chain.trouble is None
    for instant, closes in pairwise([*dues, due]):
        slot = Slot(name, instant)
        record = (facts.recorded or {}).get(slot)
        yield _due(slot, closes, facts.backups.get(slot), record, facts.now, known=known)


def _due(
    slot: Slot, closes: datetime, backup: Backup | None, record: Recorded | None, now: datetime, *, known: bool
) -> Due:
    if backup is not None and backup.archived:
        grace = min(_GRACE, (closes - slot.due) / 2)
        if (behind := backup.taken_at - slot.due) > grace:
            return Due(slot, Outcome.LATE, f"taken {_minutes(behind)} after it was due", backup)
        return Due(slot, Outcome.TAKEN, "", backup)
    if record is not None and record.status == "skipped":
        return Due(slot, Outcome.LEFT_OUT, record.error or "on purpose", backup)
    if now < closes:
        return Due(slot, Outcome.OPEN, "its time is not over", backup)
    if not known:
        return Due(slot, Outcome.UNKNOWN, "neither the chain of evidence nor the bucket could be asked", backup)
    if record is not None and record.error:
        return Due(slot, Outcome.MISSED, record.error, backup)
    return Due(slot, Outcome.MISSED, "it was dumped, and never archived" if backup is not None else "", backup)


def _minutes(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def of_outcome(dues: Mapping[str, Sequence[Due]], *outcomes: Outcome) -> list[Due]:
    """The slots of all tiers with those outcomes, oldest first."""
    found = [due for each in dues.values() for due in each if due.outcome in outcomes]
    return sorted(found, key=lambda due: (due.slot.due, due.slot.tier))


def stretches(dues: Sequence[Due], outcome: Outcome) -> Iterator[list[Due]]:
    """The slots of one tier with that outcome, those that follow one another for the same reason together."""
    stretch: list[Due] = []
    for due in dues:
        if stretch and (due.outcome is not outcome or due.why != stretch[0].why):
            yield stretch
            stretch = []
        if due.outcome is outcome:
            stretch.append(due)
    if stretch:
        yield stretch


def said(stretch: Sequence[Due]) -> str:
    """A stretch in one line: its first and last slot, how many they are, and why."""
    first, last = stretch[0].slot.backup_id, stretch[-1].slot.backup_id
    slots = first if first == last else f"{first} to {last} ({len(stretch):,} slots)"
    return f"{slots}: {stretch[0].why}" if stretch[0].why else slots
