"""Which frozen backups are being thawed, or can be read for some days: who asked, and what the store says."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.errors import NotFound
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import Speed, State, Thaw, is_frozen
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.archives import Archive
from desbuquei_backups.storage.s3 import StoredObject
from desbuquei_backups.storage.side_by_side import side_by_side

_AT = "%Y%m%dT%H%M%SZ"
_LONGEST = timedelta(days=365 + 3)  # what was asked for before that is over, whatever it was
_MOST = 50  # the store is asked for so many, those that were asked for last


class Asked(BaseModel):
    """That a thaw was asked for: a new object for each time, beside the manifest, so that every machine knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    asked_at: AwareDatetime
    readable_by: AwareDatetime
    days: int
    speed: Speed

    def recorded(self) -> dict[str, str]:
        """What it says in the backup's record."""
        return {"thaw_readable_by": self.readable_by.isoformat(), "thaw_until": self.until.isoformat()}

    @property
    def until(self) -> datetime:
        """Until when the readable copy is there at least."""
        return self.asked_at + timedelta(days=self.days)


def keep(site: Site, backup_id: str, asked: Asked, tags: dict[str, str]) -> None:
    """Write down that a thaw was asked for."""
    content = (asked.model_dump_json(indent=1) + "\n").encode()
    site.bucket.put_bytes(f"{_start(backup_id)}{asked.asked_at.strftime(_AT)}.json", content, tags=tags)


def keys(site: Site, backup_id: str) -> list[str]:
    """The keys of what was written of a backup's thaws, oldest first."""
    return list(site.bucket.keys(_start(backup_id)))


def standing(site: Site, backup_id: str, found: StoredObject, written: Sequence[str]) -> Thaw:
    """Where the dump stands, by the store's answer for it and what is `written` of its thaws (keys, oldest first)."""
    name = found.storage_class.value
    if found.thawing:
        asked = last_asked(site, written)
        return Thaw(backup_id, State.THAWING, name, readable_by=asked.readable_by if asked is not None else None)
    if found.thawed:
        return Thaw(backup_id, State.THAWED, name, until=found.thawed_until)
    return Thaw(backup_id, State.NEVER_FROZEN, name)


def of_archives(site: Site, listed: Iterable[Archive]) -> dict[Slot, Thaw]:
    """The thaws under way or done of those of the listed backups that are frozen: the store is asked for each."""
    frozen = {
        each.slot: (each, each.dump.key)
        for each in listed
        if each.slot is not None and each.dump is not None and is_frozen(each.dump.storage_class)
    }
    found = side_by_side(lambda slot: _of_dump(site, slot.backup_id, *frozen[slot]), frozen)
    return {slot: thaw for slot, thaw in zip(frozen, found, strict=True) if thaw is not None}


def under_way(site: Site, listed: Iterable[Archive]) -> dict[Slot, Thaw]:
    """The same of those for which a thaw was asked from here or elsewhere, and may not be over: of 100,000, a few."""
    since = site.now() - _LONGEST
    asked = [each for each in listed if each.thaws and _asked_at(each.thaws[-1]) >= since]
    return of_archives(site, sorted(asked, key=lambda each: _asked_at(each.thaws[-1]))[-_MOST:])


def _of_dump(site: Site, backup_id: str, archive: Archive, key: str) -> Thaw | None:
    found = site.bucket.head(key)
    return standing(site, backup_id, found, archive.thaws) if found is not None and _is_told(found) else None


def _is_told(found: StoredObject) -> bool:
    return found.thawing or found.thawed


def last_asked(site: Site, written: Sequence[str]) -> Asked | None:
    """The newest of what is `written` of a backup's thaws (keys, oldest first) that can be read, or None."""
    for key in reversed(written):
        try:
            return Asked.model_validate_json(b"".join(site.bucket.read(key)))
        except (ValidationError, NotFound):
            continue
    return None


def _asked_at(key: str) -> datetime:
    """When, by its key; of a key that is none of ours, long ago."""
    try:
        return datetime.strptime(key.rpartition(".thaw-")[2], f"{_AT}.json").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _start(backup_id: str) -> str:
    return f"{Slot.of_id(backup_id).tier}/{backup_id}.thaw-"
