"""Retention: what is kept and what may go, with a reason for each backup. It decides; it deletes nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice

from desbuquei_backups.core.periods import Period
from desbuquei_backups.core.slots import Slot, last_due
from desbuquei_backups.core.tiers import Policy, Tier


class Place(StrEnum):
    """Where a backup is kept; each place has a rule of its own."""

    DISK = "disk"
    S3 = "s3"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup in one place, as far as retention must know it.

    `taken_at` is the moment it restores to, aware UTC. `good`: sealed, and none of its checks failed. `needs`: the
    backups without whose files it cannot be restored: what it is the same as, what it is an increment of. `protected`:
    why it is kept whatever its age, as a person would say it: a lock, a hold, a restore under way.
    """

    slot: Slot
    taken_at: datetime
    good: bool = True
    needs: Sequence[Slot] = ()
    protected: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What retention says of one backup, and why."""

    slot: Slot
    keep: bool
    reason: str

    @property
    def backup_id(self) -> str:
        return self.slot.backup_id


def kept_for(tier: Tier, place: Place) -> Period | None:
    """How long a tier is kept there; None: not at all."""
    return tier.kept_in_s3 if place is Place.S3 else tier.kept_on_disk


def verdicts(backups: Iterable[Backup], policy: Policy, now: datetime, place: Place) -> list[Verdict]:
    """A verdict on each backup that is in `place` at `now` (aware UTC), newest first.

    Kept is what is protected, within its tier's period by its slot's due time, one of the newest that a tier never has
    fewer of, the newest of all, or needed by another that is kept. The last three count only backups that are good.
    Tiers that the policy does not know are kept: nothing was promised of them, and nothing said.
    """
    ordered = sorted(backups, key=lambda backup: (backup.slot.due, backup.slot.tier), reverse=True)
    rules = {name: _Rule.of(tier, now, place) for name, tier in policy.tiers.items()}
    over = {name: rule.over for name, rule in rules.items()}
    kept: dict[Slot, str] = {}
    for backup in ordered:
        if (reason := _own_reason(backup, rules.get(backup.slot.tier), now)) is not None:
            kept[backup.slot] = reason
    good = [backup for backup in ordered if backup.good]
    for name, tier in policy.tiers.items():
        if rules[name].period is not None:
            for backup in islice((each for each in good if each.slot.tier == name), tier.never_fewer_than):
                kept.setdefault(backup.slot, f"one of the {tier.never_fewer_than} that are always kept")
    if good:
        kept.setdefault(max(good, key=lambda each: (each.taken_at, each.slot)).slot, "the newest restorable of all")
    _keep_needed(kept, {backup.slot: backup for backup in ordered})
    return [Verdict(each.slot, each.slot in kept, kept.get(each.slot) or over[each.slot.tier]) for each in ordered]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A tier's rule in one place, at one moment."""

    period: Period | None
    oldest: datetime | None
    open_due: datetime | None

    @classmethod
    def of(cls, tier: Tier, now: datetime, place: Place) -> "_Rule":
        period = kept_for(tier, place)
        return cls(
            period,
            period.before(now) if period is not None else None,
            last_due(tier.cron, now) if tier.cron is not None and period is not None else None,
        )

    @property
    def over(self) -> str:
        """Why what it does not keep may go."""
        return "its tier is kept in S3 alone" if self.period is None else f"older than {self.period}"


def _own_reason(backup: Backup, rule: _Rule | None, now: datetime) -> str | None:
    """Why it is kept for its own sake; None if its time is over."""
    slot = backup.slot
    if backup.protected is not None:
        return backup.protected
    if rule is None:
        return f"the policy has no tier {slot.tier}: nothing is said of how long it is kept"
    if slot.due > now:
        return "not due yet: a clock ran ahead when it was taken"
    if rule.open_due is not None and slot.due >= rule.open_due:
        return "its slot is open"
    return f"within {rule.period}" if rule.oldest is not None and slot.due >= rule.oldest else None


def _keep_needed(kept: dict[Slot, str], backups: dict[Slot, Backup]) -> None:
    waiting = [backups[slot] for slot in kept]
    while waiting:
        backup = waiting.pop()
        for slot in backup.needs:
            if slot in backups and slot not in kept:
                kept[slot] = f"{backup.slot.backup_id} needs its files"
                waiting.append(backups[slot])
