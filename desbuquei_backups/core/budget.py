"""How often an incremental tier may read the whole database, within what may be read in a month."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile

from desbuquei_backups.core.slots import Slot, due_before, next_due
from desbuquei_backups.core.tiers import Policy, Takes

MONTH = timedelta(days=30)
_GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Spent:
    """What was read out of the database so far: `month_bytes` over the last 30 days.

    `dump_bytes` and `dump_duration` are of the newest dump; None before the first. `last_due`: the due time of the
    newest slot that was filled by reading.
    """

    month_bytes: int
    dump_bytes: int | None
    dump_duration: timedelta | None
    last_due: datetime | None


@dataclass(frozen=True, slots=True)
class Cadence:
    """How a tier is stretched. `every`: each so many-th of its due times is dumped, None: none of its own.

    `interval` is the longest time between two dumps of the database; bytes are of SQL in 30 days: as the policy's crons
    have it, as stretched, and as allowed.
    """

    every: int | None
    interval: timedelta
    wanted_bytes: int
    stretched_bytes: int
    allowed_bytes: int

    @property
    def stretched(self) -> bool:
        return self.every != 1


def cadence(policy: Policy, name: str, dump_bytes: int, now: datetime) -> Cadence:
    """How often the incremental tier `name` may dump from `now` (aware UTC) on, a dump being that many bytes.

    Full tiers are dumped whenever they are due, whatever that costs; this one has what they leave.
    """
    cron = policy.scheduled[name]
    end = now + MONTH
    full = {
        due
        for other, theirs in policy.scheduled.items()
        if policy.tiers[other].takes is Takes.FULL
        for due in _dues(theirs, now, end)
    }
    own = _dues(cron, now, end)
    allowed = int(policy.max_monthly_egress_gb * _GB)
    wanted = _dumped(own, full, 1)
    every, dumped = next(
        (
            (each, dumped)
            for each in range(1, len(own) + 1)
            if len(dumped := _dumped(own, full, each)) * dump_bytes <= allowed and (each == 1 or dumped != full)
        ),
        (None, full),
    )
    return Cadence(
        every=every,
        interval=_longest(dumped, now, end),
        wanted_bytes=len(wanted) * dump_bytes,
        stretched_bytes=len(dumped) * dump_bytes,
        allowed_bytes=allowed,
    )


def left_out(policy: Policy, slot: Slot, spent: Spent) -> str | None:
    """Why the budget has no dump for a slot of an incremental tier; None if it has, or nothing is known yet."""
    if spent.dump_bytes is None or any(policy.tiers[name].takes is Takes.FULL for name in policy.due_at(slot.due)):
        return None
    gb = policy.max_monthly_egress_gb
    if spent.month_bytes + spent.dump_bytes > gb * _GB:
        return f"{spent.month_bytes / _GB:.1f} GB were read in the last 30 days, and {gb:g} GB may be"
    planned = cadence(policy, slot.tier, spent.dump_bytes, slot.due)
    if planned.every is None:
        return f"one more dump between those of the full tiers would exceed the {gb:g} GB that may be read in 30 days"
    if spent.last_due is None:
        return None
    since = spent.last_due
    passed = takewhile(
        lambda due: due > since, due_before(policy.scheduled[slot.tier], slot.due + timedelta(seconds=1))
    )
    if sum(1 for _ in islice(passed, planned.every)) >= planned.every:
        return None
    return f"{gb:g} GB may be read in 30 days, which allows a dump at one due time in {planned.every}"


def _dues(cron: str, start: datetime, end: datetime) -> list[datetime]:
    found = []
    due = next_due(cron, start)
    while due <= end:
        found.append(due)
        due = next_due(cron, due)
    return found


def _dumped(own: list[datetime], full: set[datetime], every: int) -> set[datetime]:
    """The instants at which the database is dumped, if each `every`-th due time after a dump is one."""
    dumped, passed = set(full), 0
    for due in own:
        passed = 0 if due in full else passed + 1
        if passed == every:
            dumped.add(due)
            passed = 0
    return dumped


def _longest(dumped: set[datetime], start: datetime, end: datetime) -> timedelta:
    """The longest time between two of the instants; MONTH if there are not two."""
    ordered = sorted(dumped)
    return max((later - earlier for earlier, later in pairwise(ordered)), default=end - start)
