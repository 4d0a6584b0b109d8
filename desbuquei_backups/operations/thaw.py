"""Thaw a frozen backup: ask the store for a readable copy of its dump, and say when it will be there."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.errors import ConfigurationError, NotFound
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import LONGEST, Speed
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.operations.storing import tags_of
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.s3 import StoredObject


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


class Asked(BaseModel):
    """That a thaw was asked for: a new object for each time, beside the manifest, so that every machine knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    asked_at: AwareDatetime
    readable_by: AwareDatetime
    days: int
    speed: Speed


def thaw(site: Site, backup_id: str, *, days: int, speed: Speed) -> Thaw:
    """Ask for a readable copy of the backup's dump for so many days, unless there is one or one is on its way.

    NotFound if it is not archived; ConfigurationError if its class has no such speed; StoreError.
    """
    with naming(backup_id):
        slot = Slot.of_id(backup_id)
        manifest = catalog.in_bucket(site.bucket, slot.tier, backup_id)
        if manifest is None:
            raise NotFound("it is not archived in S3", remedy="`desbuquei list --remote` shows what is there")
        key = key_of(manifest.dump.name)
        found = site.bucket.head(key)
        if found is None:
            raise NotFound(f"{site.bucket.uri(key)} is not there", remedy=f"desbuquei verify {backup_id} --remote")
        if found.thawing or not found.frozen:
            return _standing(site, manifest, found)
        longest = LONGEST[StorageClass(found.storage_class.value)].get(speed)
        if longest is None:
            speeds = ", ".join(LONGEST[StorageClass(found.storage_class.value)])
            raise ConfigurationError(
                f"{found.storage_class.value} cannot be thawed at the speed {speed}", remedy=f"choose one of: {speeds}"
            )
        now = site.now()
        asked = Asked(asked_at=now, readable_by=now + longest, days=days, speed=speed)
        site.bucket.thaw(key, days=days, speed=speed.capitalize())
        at = now.strftime("%Y%m%dT%H%M%SZ")
        content = (asked.model_dump_json(indent=1) + "\n").encode()
        site.bucket.put_bytes(f"{_start(backup_id)}{at}.json", content, tags=tags_of(manifest, backup_id))
        return Thaw(backup_id, State.THAWING, found.storage_class.value, asked=True, readable_by=asked.readable_by)


def _standing(site: Site, manifest: Manifest, found: StoredObject) -> Thaw:
    """What was asked for already, or need not be."""
    name = found.storage_class.value
    if found.thawing:
        asked = _asked(site, manifest.backup_id)
        by = asked.readable_by if asked is not None else None
        return Thaw(manifest.backup_id, State.THAWING, name, readable_by=by)
    if found.thawed:
        return Thaw(manifest.backup_id, State.THAWED, name, until=found.thawed_until)
    return Thaw(manifest.backup_id, State.NEVER_FROZEN, name)


def _asked(site: Site, backup_id: str) -> Asked | None:
    """The newest record of a thaw that can be read, or None."""
    for key in sorted(site.bucket.keys(_start(backup_id)), reverse=True):
        try:
            return Asked.model_validate_json(b"".join(site.bucket.read(key)))
        except (ValidationError, NotFound):
            continue
    return None


def _start(backup_id: str) -> str:
    return f"{Slot.of_id(backup_id).tier}/{backup_id}.thaw-"
