"""Archive a sealed backup in S3: its files, and last its manifest, each compared with what the store says it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import Manifest, Role, manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations import records, verify
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import catalog, disk
from desbuquei_backups.storage.s3 import StoredObject


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file of a backup against its object: None where the object is not there. `sha256` is the manifest's."""

    name: str
    size: int
    sha256: str
    storage_class: StorageClass
    stored: StoredObject | None

    @property
    def whole(self) -> bool:
        """Whether the store has it, as far as asking tells."""
        return self.stored is not None and (self.stored.size, self.stored.sha256) == (self.size, self.sha256)


@dataclass(frozen=True, slots=True)
class Archived:
    """A backup in S3, as the store describes it when asked afterwards."""

    manifest: Manifest
    files: Sequence[ArchivedFile]
    reused: bool

    @property
    def dump_uri(self) -> str | None:
        return next((f.stored.uri for f in self.files if f.name == self.manifest.dump.name and f.stored), None)


def archive(site: Site, slot: Slot) -> Archived:
    """Store what is missing in S3 and compare all of it. Nothing is overwritten; run again, it finishes.

    NotFound if the backup is neither sealed on disk nor archived; IntegrityError if a file was altered on disk;
    StoreError if the store refuses or does not answer.
    """
    folder, tier = site.settings.folder, site.tier(slot)
    with site.locked(slot.backup_id, "archive"), records.record_failures(site, slot):
        archived = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
        found = catalog.on_disk(folder, slot.backup_id)
        if archived is None:
            if found is None or not found.sealed:
                raise NotFound("there is no sealed backup of this slot on disk", remedy=f"desbuquei backup {slot.tier}")
            site.progress.stage("archiving", found.manifest.size)
            there = _store(site, found.manifest, tier.storage_class)
            archived = found.manifest
            if catalog.in_bucket(site.bucket, slot.tier, slot.backup_id) != archived:
                raise IntegrityError(
                    "the manifest in S3 is not the one that was sent", remedy="look at what else writes to the bucket"
                )
            reused = False
        else:
            reused = True
            if found is not None and found.sealed and found.manifest != archived:
                raise IntegrityError(
                    "S3 holds another backup under this id",
                    remedy="find out who wrote it: another host with the same bucket and prefix? Nothing was changed",
                )
            there = stored(site, archived)
        result = Archived(archived, _described(archived, there, tier.storage_class), reused)
        whole = all(file.whole for file in result.files)
        records.change(
            site,
            slot.backup_id,
            status="success" if whole else "failed",
            error=None if whole else "S3 does not hold what the manifest says",
            s3_uri=result.dump_uri,
            storage_class=tier.storage_class.value,
        )
        return result


def stored(site: Site, manifest: Manifest) -> dict[str, StoredObject | None]:
    """What the store says of each file of a backup, by name."""
    return {file.name: site.bucket.head(catalog.key_of(manifest, file.name)) for file in manifest.files}


def _store(site: Site, manifest: Manifest, storage_class: StorageClass) -> dict[str, StoredObject | None]:
    folder = site.settings.folder
    # The dump is seen to be whole as it is sent. The small files are read first: half an archive of a bad backup would
    # stand in the way of the one that is taken in its place.
    small = manifest.model_copy(update={"files": [file for file in manifest.files if file.role is not Role.DUMP]})
    if wrong := verify.checksum_faults(folder, small):
        raise IntegrityError(
            f"not what the manifest says: {'; '.join(wrong)}",
            remedy="run the slot again: what is open is taken anew, and the altered file is set aside",
        )
    tags = {"backup-id": manifest.backup_id, "tier": manifest.tier, "database": manifest.database}
    sent: dict[str, StoredObject | None] = {}
    for file in manifest.files:
        key, path = catalog.key_of(manifest, file.name), folder / file.name
        if file.role is Role.DUMP:
            sent[file.name] = site.bucket.put_file(
                key,
                path,
                sha256=file.sha256,
                storage_class=storage_class,
                tags=tags,
                progress=site.progress.advance,
            )
        else:
            with disk.disk_errors(path):
                content = path.read_bytes()
            sent[file.name] = site.bucket.put_bytes(key, content, tags=tags)
    # Last: where a manifest is, all that it speaks of is.
    site.bucket.put_bytes(catalog.key_of(manifest, manifest_name(manifest.backup_id)), manifest.to_bytes(), tags=tags)
    return sent


def _described(
    manifest: Manifest, there: Mapping[str, StoredObject | None], storage_class: StorageClass
) -> list[ArchivedFile]:
    return [
        ArchivedFile(
            name=file.name,
            size=file.size,
            sha256=file.sha256,
            storage_class=storage_class if file.role is Role.DUMP else StorageClass.STANDARD,
            stored=there[file.name],
        )
        for file in manifest.files
    ]
