"""Where one tier stands: its last good backup, what it missed, what was left out, and what is the matter."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile

from desbuquei_backups.core.slots import Slot, due_before, last_due, next_due
from desbuquei_backups.core.tiers import Tier
from desbuquei_backups.operations.held import Held

_GRACE = timedelta(hours=1)  # after a due time, before an empty slot is a fault
_MOST_SLOTS = 5_000


@dataclass(frozen=True, slots=True)
class TierStatus:
    """One tier. `last_good`: sealed and archived; `taken_at` is the moment it restores to, aware UTC.

    `missed` and `left_out` are closed slots without a backup, the latter on purpose, newest first. `trouble`: a backup
    that should be there is not; `unproven`: it is, and was not restored. `wal`: the last good one has no dump that
    could be restored. `next_due` None: when somebody asks.
    """

    tier: str
    last_good: str | None = None
    taken_at: datetime | None = None
    age: timedelta | None = None
    proven: bool | None = None
    wal: bool = False
    next_due: datetime | None = None
    missed: Sequence[str] = ()
    left_out: Sequence[str] = ()
    trouble: str | None = None
    unproven: str | None = None


def window(tier: Tier, now: datetime) -> datetime:
    """The instant from which a tier's slots matter: what is kept, and at least the slot that is open."""
    start = tier.kept_in_s3.before(now)
    return start if tier.cron is None else min(start, last_due(tier.cron, now))


def tier_status(
    name: str,
    tier: Tier,
    held: Mapping[Slot, Held],
    archived: Collection[Slot],
    *,
    since: datetime,
    now: datetime,
    taken_at: datetime | None = None,
) -> TierStatus:
    """By what is held here and archived there. `taken_at` is that of the newest archived one, if its line lacks it.

    What was skipped on purpose is neither missed nor missing. A tier that nobody has to fill is never in trouble.
    """
    good = max(archived, default=None)
    line = held.get(good) if good else None
    restores_to = (line.taken_at if line else None) or taken_at or (good.due if good else None)
    found = TierStatus(
        tier=name,
        last_good=good.backup_id if good else None,
        taken_at=restores_to,
        age=now - restores_to if restores_to else None,
        proven=line.proven if line else None,
        wal=line.wal if line else False,
    )
    return found if tier.cron is None else _scheduled(found, tier.cron, tier, held, archived, since=since, now=now)


def _scheduled(
    found: TierStatus,
    cron: str,
    tier: Tier,
    held: Mapping[Slot, Held],
    archived: Collection[Slot],
    *,
    since: datetime,
    now: datetime,
) -> TierStatus:
    there = set(archived)
    current = Slot(found.tier, last_due(cron, now))
    closed = list(_closed(current, cron, max(last_due(cron, since), tier.kept_in_s3.before(now))))
    empty = [slot for slot in closed if slot not in there]
    skipped = {slot for slot in (current, *empty) if slot not in there and _was_skipped(held.get(slot))}
    # What should be there is the newest that was not skipped.
    judged = next((slot for slot in (current, *closed) if slot not in skipped), None)
    late = judged != current or now - current.due > min(_GRACE, (next_due(cron, now) - current.due) / 2)
    trouble = unproven = None
    if judged is not None and (not there or max(there) < judged):
        trouble = _trouble(judged, held.get(judged), late=late, open_still=judged == current)
    elif late and found.proven is False:
        unproven = f"{found.last_good} was not proven by restoring it"
    return replace(
        found,
        next_due=next_due(cron, now),
        missed=[slot.key for slot in empty if slot not in skipped],
        left_out=[slot.key for slot in empty if slot in skipped],
        trouble=trouble,
        unproven=unproven,
    )


def _closed(current: Slot, cron: str, start: datetime) -> Iterator[Slot]:
    """Closed slots from `start` on, newest first."""
    dues = takewhile(lambda due: due >= start, due_before(cron, current.due))
    return (Slot(current.tier, due) for due in islice(dues, _MOST_SLOTS))


def _was_skipped(held: Held | None) -> bool:
    return held is not None and held.status == "skipped"


def _trouble(slot: Slot, held: Held | None, *, late: bool, open_still: bool) -> str | None:
    what = f"the {slot.tier} due at {slot.due:%Y-%m-%d %H:%M} UTC"
    if held is not None and held.error is not None:
        return f"{what} failed: {held.error}"
    if not late:
        return None
    if held is not None:
        return f"{what} is not archived"
    return f"{what} is missing" + (
        f": desbuquei backup {slot.tier} fills it while the slot is open" if open_still else ""
    )
