"""Thaw a frozen backup: ask the store for a readable copy of its dump, and say when it will be there."""

from desbuquei_backups.core.errors import ConfigurationError, NotFound
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import LONGEST, Speed, State, Thaw
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations import records, thaws
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.operations.storing import tags_of
from desbuquei_backups.operations.thaws import Asked, standing
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.catalog import key_of


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
            return standing(site, backup_id, found, thaws.keys(site, backup_id))
        longest = LONGEST[StorageClass(found.storage_class.value)].get(speed)
        if longest is None:
            speeds = ", ".join(LONGEST[StorageClass(found.storage_class.value)])
            raise ConfigurationError(
                f"{found.storage_class.value} cannot be thawed at the speed {speed}", remedy=f"choose one of: {speeds}"
            )
        now = site.now()
        asked = Asked(asked_at=now, readable_by=now + longest, days=days, speed=speed)
        site.bucket.thaw(key, days=days, speed=speed.capitalize())
        thaws.keep(site, backup_id, asked, tags_of(manifest, backup_id))
        if site.first is None:
            records.change(site, backup_id, **asked.recorded())
        return Thaw(backup_id, State.THAWING, found.storage_class.value, asked=True, readable_by=asked.readable_by)
