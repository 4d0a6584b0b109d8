"""Slots: the due times of a tier, their partition keys and their backup ids."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cronsim import CronSim

from desbuquei_backups.core.errors import ConfigurationError, SlotError

ON_DEMAND_OPEN = timedelta(days=1)
KEY_FORMAT = "%Y-%m-%d-%H%M%S"
_KEY_LENGTH = len("2026-02-02-020000")
_ID = re.compile(r"(?P<tier>[a-z][a-z0-9_]*)-(?P<key>\d{4}-\d{2}-\d{2}-\d{6})")


class SlotState(StrEnum):
    """Where an instant stands in a slot: before its due time, from it to the next one, or after."""

    FUTURE = "future"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One due time of one tier. `due` is aware UTC, in whole seconds."""

    tier: str
    due: datetime

    def __post_init__(self) -> None:
        if self.due.tzinfo is not UTC:
            raise ValueError(f"a slot's due time must be UTC, not {self.due!r}")

    @property
    def key(self) -> str:
        """The partition key: `2026-02-02-020000`."""
        return self.due.strftime(KEY_FORMAT)

    @property
    def backup_id(self) -> str:
        """`daily-2026-02-02-020000`."""
        return f"{self.tier}-{self.key}"

    @classmethod
    def of_key(cls, tier: str, key: str) -> "Slot":
        """The slot of a partition key; ConfigurationError if it is not one."""
        try:
            return cls(tier, datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC))
        except ValueError:
            raise ConfigurationError(
                f"{key!r} is not a slot", remedy="write the due time in UTC, like 2026-02-02-020000"
            ) from None

    @classmethod
    def of_id(cls, backup_id: str) -> "Slot":
        """The slot of a backup id; ConfigurationError if it is not one."""
        match = _ID.fullmatch(backup_id)
        if match is None:
            raise ConfigurationError(
                f"{backup_id!r} is not a backup id",
                remedy="write it like daily-2026-02-02-020000; `desbuquei list` shows those there are",
            )
        return cls.of_key(match["tier"], match["key"])


def slot_of(backup_id: str) -> Slot | None:
    """The slot of an id, or None if it is none; quicker than `Slot.of_id`, for catalogs of 100,000."""
    match = _ID.fullmatch(backup_id)
    if match is None:
        return None
    try:
        return Slot(match["tier"], datetime.fromisoformat(f"{match['key']}+00:00"))
    except ValueError:
        return None


def is_since(backup_id: str, starts: Mapping[str, str]) -> bool:
    """Whether an id, if it is one, is of a slot whose key is that of its tier in `starts` or a later one.

    Ids are compared as they are written, which is quicker than `slot_of`, for catalogs of 100,000.
    """
    tier, key = backup_id[:-_KEY_LENGTH].rstrip("-"), backup_id[-_KEY_LENGTH:]
    return tier in starts and key >= starts[tier]


def last_due(cron: str, now: datetime) -> datetime:
    """The last due time of `cron` (UTC) at or before `now` (aware)."""
    # CronSim yields instants strictly before the one it starts from.
    return next(CronSim(cron, _utc(now).replace(microsecond=0) + timedelta(seconds=1), reverse=True))


def due_before(cron: str, instant: datetime) -> Iterator[datetime]:
    """The due times of `cron` (UTC) strictly before `instant` (aware), newest first, without end."""
    return CronSim(cron, _utc(instant), reverse=True)


def falls_due(cron: str, instant: datetime) -> bool:
    """Whether `cron` (UTC) falls due at that very instant (aware)."""
    # In the hour that a clock change repeats, an instant in its own zone equals none in UTC (PEP 495).
    return last_due(cron, instant) == _utc(instant)


def next_due(cron: str, after: datetime) -> datetime:
    """The first due time of `cron` (UTC) strictly after `after` (aware)."""
    return next(CronSim(cron, _utc(after)))


def _utc(instant: datetime) -> datetime:
    """The same instant in UTC: CronSim reads a cron in the zone of the instant that it is given."""
    if instant.utcoffset() is None:
        raise ValueError(f"an instant must be aware, not {instant!r}")
    return instant.astimezone(UTC)


def state(slot: Slot, cron: str | None, now: datetime) -> SlotState:
    """Whether `slot` can be filled at `now`: it is open from its due time to the tier's next one.

    One that was asked for (`cron` None) is open for a day. SlotError if `cron` never falls due at that instant.
    """
    if cron is None:
        closes = slot.due + ON_DEMAND_OPEN
    elif falls_due(cron, slot.due):
        closes = next_due(cron, slot.due)
    else:
        raise SlotError(
            f"the tier {slot.tier} is not due at {slot.due:%Y-%m-%d %H:%M:%S} UTC",
            remedy=f"the slot before it is {Slot(slot.tier, last_due(cron, slot.due)).key}",
            backup_id=slot.backup_id,
        )
    if now < slot.due:
        return SlotState.FUTURE
    return SlotState.OPEN if now < closes else SlotState.CLOSED
