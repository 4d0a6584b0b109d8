"""How the files of a backup come into the bucket: copied within it where they are a copy, else sent from disk."""

import logging

from desbuquei_backups.core.errors import Frozen, IntegrityError, NotFound
from desbuquei_backups.core.manifest import FileFacts, Manifest, manifest_name
from desbuquei_backups.core.prices import stored_as
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations import verify
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import is_on_disk, source_key
from desbuquei_backups.storage import catalog, disk
from desbuquei_backups.storage.s3 import Lock, StoredObject
from desbuquei_backups.storage.s3_errors import THAW
from desbuquei_backups.storage.stream import checksums_of

_LOG = logging.getLogger(__name__)


def store(site: Site, manifest: Manifest) -> dict[str, StoredObject | None]:
    """Store each file that is missing, and last the manifest; returns what the store says of each file, by name."""
    # What is large is seen to be whole as it is sent. The small files are read first: half an archive of a bad backup
    # would stand in the way of the one that is taken in its place.
    small = manifest.model_copy(update={"files": [file for file in manifest.files if not file.role.large]})
    folder = site.settings.folder
    if is_on_disk(folder, manifest) and (wrong := verify.checksum_faults(folder, small)):
        raise IntegrityError(
            f"not what the manifest says: {'; '.join(wrong)}",
            remedy="run the slot again: what is open is taken anew, and the altered file is set aside",
        )
    there = {file.name: _copied(site, manifest, file) or _sent(site, manifest, file) for file in manifest.files}
    # Last: where a manifest is, all that it speaks of is.
    name = manifest_name(manifest.backup_id)
    site.bucket.put_bytes(
        catalog.key_of(name), manifest.to_bytes(), tags=tags_of(manifest, name), lock=lock_of(site, name)
    )
    return dict(there)


def class_of(site: Site, file: FileFacts) -> StorageClass | None:
    """The class that a file's object has: that of the tier it was taken for; None if the policy no longer has it.

    What is read often is always in STANDARD, and so is what is smaller than what the tier's class bills at least.
    """
    if not file.role.large:
        return StorageClass.STANDARD
    tier = site.policy.tiers.get(_taken_for(file.name).tier)
    return stored_as(tier, file.size) if tier is not None else None


def _copied(site: Site, manifest: Manifest, file: FileFacts) -> StoredObject | None:
    """The object, copied within the store; or, of a backup that names another's files, theirs. Else None.

    Where the file can be sent from disk, what is wrong with the object to be copied is only said.
    """
    key = catalog.key_of(file.name)
    if (source := source_key(manifest, file)) is None:
        there = site.bucket.head(key) if manifest.same_as else None
        return there if there is not None and there.is_whole(file) else None
    try:
        return site.bucket.copy_file(
            key,
            source,
            _source(site, manifest, source, file),
            sha256=file.sha256,
            parts_sha256=file.parts_sha256,
            storage_class=class_of(site, file) or StorageClass.STANDARD,
            tags=tags_of(manifest, file.name),
            lock=lock_of(site, file.name),
            progress=site.progress.advance,
        )
    except (NotFound, IntegrityError, Frozen) as error:
        if not _found_on_disk(site, source, file):
            raise
        _LOG.warning("%s is sent from disk: %s", manifest.backup_id, error.what)
        return None


def _source(site: Site, manifest: Manifest, key: str, file: FileFacts) -> StoredObject:
    found, uri = site.bucket.head(key), site.bucket.uri(key)
    again = f"desbuquei verify {manifest.copy_of} --remote; when the bad object is deleted, run this slot again"
    if found is None:
        raise NotFound(
            f"{uri}, which it is a copy of, is not there", remedy="run the slot again: it is taken elsewhere"
        )
    if not found.is_whole(file):
        raise IntegrityError(f"{uri}, which it is a copy of, is not what it was", remedy=again)
    if found.frozen:
        raise Frozen(f"{uri}, which it is a copy of, is in {found.storage_class.value}", remedy=THAW)
    return found


def _found_on_disk(site: Site, source: str, file: FileFacts) -> bool:
    """Whether the file is on disk, under its own name or after all under that of what it is a copy of."""
    own = site.settings.folder / file.name
    other = site.settings.folder / source.rpartition("/")[2]
    if not own.exists() and other.exists():
        if verify.difference(file, checksums_of(other, plain_size=file.plain_size)):
            return False
        disk.link(other, own)
    return own.exists()


def _sent(site: Site, manifest: Manifest, file: FileFacts) -> StoredObject:
    key, path = catalog.key_of(file.name), site.settings.folder / file.name
    if not path.exists():
        raise NotFound(
            f"{file.name} is neither on disk nor in S3",
            remedy="run the slot again: while it is open it is taken from another tier or from the database",
        )
    if file.role.large:
        return site.bucket.put_file(
            key,
            path,
            sha256=file.sha256,
            parts_sha256=file.parts_sha256,
            storage_class=class_of(site, file) or StorageClass.STANDARD,
            tags=tags_of(manifest, file.name),
            lock=lock_of(site, file.name),
            progress=site.progress.advance,
        )
    with disk.disk_errors(path):
        content = path.read_bytes()
    return site.bucket.put_bytes(key, content, tags=tags_of(manifest, file.name), lock=lock_of(site, file.name))


def _taken_for(file_name: str) -> Slot:
    """The backup that a file is named after: the one that it was taken for, whoever else names it."""
    return Slot.of_id(file_name.partition(".")[0])


def lock_of(site: Site, file_name: str) -> Lock | None:
    """The lock of a file's object: until its tier's time in S3 is over, where policy and bucket have one."""
    slot = _taken_for(file_name)
    tier = site.policy.tiers.get(slot.tier)
    if tier is None or tier.object_lock is None:
        return None
    until = tier.kept_in_s3.after(slot.due)
    return Lock(tier.object_lock, until) if until > site.now() and site.bucket.has_lock else None


def tags_of(manifest: Manifest, file_name: str) -> dict[str, str]:
    """The tags of a file's object: those of the backup that it is named after."""
    slot = _taken_for(file_name)
    return {"backup-id": slot.backup_id, "tier": slot.tier, "database": manifest.database}
