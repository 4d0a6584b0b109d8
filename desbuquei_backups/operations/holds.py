"""Holds: a backup that is kept until somebody says otherwise, whatever its age, as for a lawsuit or an audit."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import said
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.storage import catalog, versions
from desbuquei_backups.storage.catalog import key_of

SUFFIX = ".hold.json"


class Hold(BaseModel):
    """Who holds a backup, why, and since when."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    backup_id: str
    operator: str
    reason: str
    since: AwareDatetime

    def said(self) -> str:
        return f"held by {self.operator}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Held:
    """What came of it. `legal_holds`: how many objects are under the store's own legal hold; None: the bucket has none.

    `was`: it was held, or released, already.
    """

    hold: Hold
    legal_holds: int | None
    was: bool = False


def hold(site: Site, backup_id: str, asked: Asked) -> Held:
    """Keep a backup until it is released. NotFound if it is not archived; StoreError.

    Where the bucket has Object Lock, its objects, and those of the backup that it names, are under a legal hold too:
    nobody can delete them. It is written down in the bucket, so that every machine knows.
    """
    with naming(backup_id), site.locked(backup_id, "hold"):
        keys = _keys(site, backup_id)
        found = held(site, backup_id)
        made = found or Hold(backup_id=backup_id, operator=asked.operator, reason=asked.reason, since=site.now())
        if found is None:
            said.held(site, backup_id, asked)
            site.bucket.put_bytes(_key(backup_id), (made.model_dump_json(indent=1) + "\n").encode(), tags={})
        return Held(made, _set(site, keys, on=True), was=found is not None)


def release(site: Site, backup_id: str) -> Held:
    """End a hold: from now on retention decides. NotFound if it is not held."""
    with naming(backup_id), site.locked(backup_id, "release"):
        found = held(site, backup_id)
        if found is None:
            raise NotFound("it is not held", remedy="`desbuquei prune --dry-run` says why it is kept")
        keys = _keys(site, backup_id)
        said.released(site, backup_id, found.said())
        done = _set(site, keys, on=False)
        for version in list(versions.versions(site.bucket, _key(backup_id))):
            versions.delete_version(site.bucket, version)
        return Held(found, done)


def held(site: Site, backup_id: str) -> Hold | None:
    """The hold on a backup, or None; IntegrityError if what is written of it cannot be read."""
    key = _key(backup_id)
    try:
        content = b"".join(site.bucket.read(key))
    except NotFound:
        return None
    try:
        return Hold.model_validate_json(content)
    except ValidationError:
        raise IntegrityError(
            f"{site.bucket.uri(key)} does not say who holds it", remedy="see who wrote it; while it is there it is held"
        ) from None


def reason(site: Site, backup_id: str) -> str:
    """Why a backup with a hold is kept, whatever is written in it."""
    try:
        found = held(site, backup_id)
    except IntegrityError as error:
        return f"held: {error.what}"
    return found.said() if found is not None else "held"


def _key(backup_id: str) -> str:
    return f"{Slot.of_id(backup_id).tier}/{backup_id}{SUFFIX}"


def _keys(site: Site, backup_id: str) -> list[str]:
    slot = Slot.of_id(backup_id)
    manifest = catalog.in_bucket(site.bucket, slot.tier, backup_id)
    if manifest is None:
        raise NotFound("it is not archived in S3", remedy="`desbuquei list --remote` shows what is there")
    return [key_of(manifest_name(backup_id)), *(key_of(file.name) for file in manifest.files)]


def _set(site: Site, keys: Iterable[str], *, on: bool) -> int | None:
    if not site.bucket.has_lock:
        return None
    count = 0
    for key in keys:
        versions.set_hold(site.bucket, key, on=on)
        count += 1
    return count
