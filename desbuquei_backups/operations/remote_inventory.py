"""What backups the bucket has: by its keys and its manifests, with nothing else at hand."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.clusters import Clusters
from desbuquei_backups.operations.held import Held, Listing, newest_of, of_archive, of_manifest
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.thaws import of_archives
from desbuquei_backups.storage.archives import Archive, archives
from desbuquei_backups.storage.catalog import read_manifest
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.side_by_side import side_by_side

READ = 100  # so many manifests are read, the newest, unless others are asked for


def remote(
    site: Site, tiers: Collection[str] | None = None, limit: int | None = None, *, read: int | None = READ
) -> Listing:
    """As `local`, by the bucket alone: it describes itself, tiers that the policy no longer has included.

    Of those whose manifest is read, the store is asked whether what is frozen is being thawed.
    """
    there: dict[Slot, Archive] = {}
    faults: list[str] = []
    for each in archives(site.bucket, tiers):
        if each.sealed and each.slot is not None:
            there[each.slot] = each
        elif each.sealed:
            _manifest(site.bucket, each.key, faults)  # which says what is wrong with it
    newest = newest_of(there, limit)
    thaws = of_archives(site, [there[slot] for slot in newest[:read]])
    clusters = Clusters.of(site)
    looked_at = newest[:read]
    listed: list[Held] = []
    manifests = side_by_side(lambda slot: _manifest(site.bucket, there[slot].key, faults), looked_at)
    for slot, manifest in zip(looked_at, manifests, strict=True):
        if manifest is not None:
            clusters.add(manifest)
            listed.append(of_manifest(manifest, replace(of_archive(slot, there[slot]), thaw=thaws.get(slot))))
    total = len(there) - len(looked_at) + len(listed)
    listed += [of_archive(slot, there[slot]) for slot in newest[len(looked_at) :]]
    return Listing(listed, total, [*sorted(faults), *clusters.faults()], clusters.notes())


def archived(bucket: Bucket, tier: str, *, start: datetime | None = None) -> dict[Slot, Archive]:
    """A tier's backups that have a manifest in the bucket, by their slots; StoreError if it cannot be asked.

    `start` (aware UTC): those that fell due then or later, the others not being listed at all.
    """
    found = archives(bucket, [tier], start=start)
    return {each.slot: each for each in found if each.sealed and each.slot is not None}


def archived_slots(bucket: Bucket, tiers: Collection[str] | None = None) -> list[Slot]:
    """The slots of those tiers, of all by default, that have a manifest in the bucket."""
    return [each.slot for each in archives(bucket, tiers) if each.sealed and each.slot is not None]


def _manifest(bucket: Bucket, key: str, faults: list[str]) -> Manifest | None:
    try:
        return read_manifest(bucket, key)
    except BackupError as error:
        if not error.permanent:
            raise
        faults.append(error.what)
        return None
