"""Archive a sealed backup in S3: its files, and last its manifest, each compared with what the store says it has."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import FileFacts, Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations import records, said
from desbuquei_backups.operations.evidence import try_to_send
from desbuquei_backups.operations.leaving import leave_disk
from desbuquei_backups.operations.pinging import ping
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.storing import class_of, store
from desbuquei_backups.operations.wal_drain import bring
from desbuquei_backups.operations.whereabouts import stored
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.s3 import StoredObject


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file of a backup against its object: None where the object is not there.

    `storage_class` is what the policy says; None: the policy no longer has the tier.
    """

    facts: FileFacts
    storage_class: StorageClass | None
    stored: StoredObject | None

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def whole(self) -> bool:
        """Whether the store has it, as far as asking tells."""
        return self.stored is not None and self.stored.is_whole(self.facts)


@dataclass(frozen=True, slots=True)
class Archived:
    """A backup in S3, as the store describes it when asked afterwards."""

    manifest: Manifest
    files: Sequence[ArchivedFile]
    reused: bool

    @property
    def whole(self) -> bool:
        """Whether the store has all of it, as far as asking tells."""
        return all(file.whole for file in self.files)

    @property
    def dump_uri(self) -> str | None:
        return self._dump.uri if self._dump else None

    @property
    def dump_class(self) -> str | None:
        """The storage class that the dump's object has."""
        return self._dump.storage_class.value if self._dump else None

    @property
    def _dump(self) -> StoredObject | None:
        return next((file.stored for file in self.files if file.name == self.manifest.dump.name), None)


def archive(site: Site, slot: Slot) -> Archived:
    """Store what is missing in S3 and compare all of it. Nothing is overwritten; run again, it finishes.

    A copy is made by the store itself, of the object that it is a copy of; no byte comes here or is sent. Where WAL was
    taken, all of it up to the point comes first.

    NotFound if the backup is neither sealed on disk nor archived; IntegrityError if a file was altered on disk;
    StoreError if the store refuses or does not answer.
    """
    with site.locked(slot.backup_id, "archive"), records.record_failures(site, slot, "archive"):
        found = catalog.on_disk(site.settings.folder, slot.backup_id)
        if found is not None and found.manifest.same_as is not None:
            _archive_named(site, Slot.of_id(found.manifest.same_as))
        archived = _archive(site, slot)
        leave_disk(site)
    if not archived.reused and archived.whole and slot.tier in site.policy.scheduled:
        ping(site)  # one that somebody asked for says nothing of those that fall due
    return archived


def _archive_named(site: Site, slot: Slot) -> None:
    """The files that a backup names are this one's: where they are, its manifest is to be, too."""
    if catalog.in_bucket(site.bucket, slot.tier, slot.backup_id) is None:
        _archive(site, slot)


def _archive(site: Site, slot: Slot) -> Archived:
    archived = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    found = catalog.on_disk(site.settings.folder, slot.backup_id)
    reused, took = archived is not None, None
    if archived is None:
        if found is None or not found.sealed:
            raise NotFound(
                f"there is no sealed backup {slot.backup_id} on disk",
                remedy=f"desbuquei backup {slot.tier} --slot {slot.key}",
            )
        if found.manifest.point is not None:
            bring(site, found.manifest.point)
        site.progress.stage("archiving", found.manifest.size)
        try_to_send(site)  # so that the chain knows each manifest that is in the bucket
        begun = time.monotonic()
        there = store(site, found.manifest)
        took = round(time.monotonic() - begun, 3)
        archived = found.manifest
        if catalog.in_bucket(site.bucket, slot.tier, slot.backup_id) != archived:
            raise IntegrityError(
                "the manifest in S3 is not the one that was sent", remedy="look at what else writes to the bucket"
            )
    elif found is not None and found.sealed and found.manifest != archived:
        raise IntegrityError(
            "S3 holds another backup under this id",
            remedy="find out who wrote it: another host with the same bucket and prefix? Nothing was changed",
        )
    else:
        there = stored(site, archived)
    said.archived(site, archived)
    result = Archived(archived, _described(site, archived, there), reused)
    told: dict[str, Any] = {"s3_uri": result.dump_uri, "storage_class": result.dump_class}
    if took is not None:
        told["archive_seconds"] = took
    if not result.whole:
        told |= {"status": "failed", "error": "S3 does not hold what the manifest says", "failed_in": "archive"}
    elif not records.failed_in(site.settings.folder, slot.backup_id, "proof"):  # which asking S3 does not disprove
        told |= {"status": "success", "error": None, "failed_in": None}
    records.change(site, slot.backup_id, **told)
    return result


def _described(site: Site, manifest: Manifest, there: Mapping[str, StoredObject | None]) -> list[ArchivedFile]:
    return [ArchivedFile(file, class_of(site, file), there[file.name]) for file in manifest.files]
