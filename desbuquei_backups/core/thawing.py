"""How long it takes until a frozen object can be read, by its class and by how urgently it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from desbuquei_backups.core.tiers import StorageClass


class Speed(StrEnum):
    """S3's retrieval tiers: the faster, the dearer."""

    EXPEDITED = "expedited"
    STANDARD = "standard"
    BULK = "bulk"


# The longest that each is said to take:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html
LONGEST: Mapping[StorageClass, Mapping[Speed, timedelta]] = {
    StorageClass.GLACIER: {
        Speed.EXPEDITED: timedelta(minutes=5),
        Speed.STANDARD: timedelta(hours=5),
        Speed.BULK: timedelta(hours=12),
    },
    StorageClass.DEEP_ARCHIVE: {Speed.STANDARD: timedelta(hours=12), Speed.BULK: timedelta(hours=48)},
}


class State(StrEnum):
    """NEVER_FROZEN: its class is read at once. THAWED: there is a readable copy for some days."""

    NEVER_FROZEN = "never frozen"
    THAWING = "thawing"
    THAWED = "thawed"


@dataclass(frozen=True, slots=True)
class Thaw:
    """Where a backup's dump stands. `readable_by`: the latest hour at which it can be read, aware UTC.

    None: not known, since somebody asked for it by other means. `until`: when the readable copy is gone again.
    `asked`: whether it was asked for just now.
    """

    backup_id: str
    state: State
    storage_class: str
    asked: bool = False
    readable_by: datetime | None = None
    until: datetime | None = None


def by_the_clock(
    backup_id: str, storage_class: str, readable_by: datetime | None, until: datetime | None, now: datetime
) -> Thaw | None:
    """What is true at `now` of a thaw that was asked for, as far as the clock tells; None if none was, or it is over.

    `until` counts from when it was asked for: the store counts from when it was done, and keeps the copy no shorter.
    """
    if readable_by is None or until is None or now >= max(readable_by, until):
        return None
    state = State.THAWING if now < readable_by else State.THAWED
    return Thaw(backup_id, state, storage_class, readable_by=readable_by, until=until)


def is_frozen(storage_class: str) -> bool:
    """Whether a class, by the name that the store has for it, is one that must be thawed."""
    return storage_class in (frozen.value for frozen in LONGEST)


def time_to_thaw(storage_class: str, thaw: Thaw | None, now: datetime) -> timedelta:
    """How long it takes at most from `now` on until an object of that class can be read; nothing, if it can be."""
    if not is_frozen(storage_class) or (thaw is not None and thaw.state is not State.THAWING):
        return timedelta()
    if thaw is not None and thaw.readable_by is not None and thaw.readable_by > now:
        return thaw.readable_by - now
    return LONGEST[StorageClass(storage_class)][Speed.STANDARD]
