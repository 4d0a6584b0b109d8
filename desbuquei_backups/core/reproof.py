"""Which copies are to be restored once more: of each longer tier, as often as promised, the oldest that is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from desbuquei_backups.core.periods import Period
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Policy


@dataclass(frozen=True, slots=True)
class Due:
    """A copy whose own object is to be read and restored. `last`: when one of its tier was; None: never yet."""

    slot: Slot
    last: datetime | None


def longer_tiers(policy: Policy) -> list[str]:
    """The tiers that take another one's dump over, and so are proven by its restored copy and an equal checksum."""
    return [name for name in policy.scheduled if policy.promoted_from(name) is not None]


def due(kept: Iterable[Slot], restored: Mapping[str, datetime], every: Period, now: datetime) -> list[Due]:
    """What is due at `now` (aware UTC). `kept`: all copies of the longer tiers; `restored`: when one of that tier was
    last restored from its own object; `every`: how often one is to be.
    """
    oldest: dict[str, Slot] = {}
    for slot in kept:
        oldest[slot.tier] = min(slot, oldest.get(slot.tier, slot))
    return [
        Due(slot, last)
        for tier, slot in sorted(oldest.items())
        if (last := restored.get(tier)) is None or every.after(last) <= now
    ]
