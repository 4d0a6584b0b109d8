"""Verify backups one by one, wherever they lie, and say of each file whether it is still what its manifest says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from desbuquei_backups.core.errors import BackupError, NotFound
from desbuquei_backups.core.manifest import Manifest, manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import inventory, verified, verify
from desbuquei_backups.operations.clusters import Clusters
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.operations.verified import Verification
from desbuquei_backups.operations.whereabouts import faults_in_store, is_in_s3_alone, stored
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.s3 import StoredObject


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """One file: what is wrong with it, or nothing; and why it was not read, or not opened, if it was not."""

    name: str
    size: int | None
    faults: Sequence[str]
    unread: str = ""
    unopened: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """One backup in one place. `read_bytes`: how much of it was read."""

    backup_id: str
    where: str
    files: Sequence[FileVerdict]
    read_bytes: int = 0

    @property
    def whole(self) -> bool:
        return not any(file.faults for file in self.files)


def chosen(site: Site, *, latest: str | None, remote: bool) -> list[str]:
    """The ids of the newest backup of a tier, or of all there are, newest first; NotFound if there is none.

    A backup whose manifest cannot be read is one of them.
    """
    if latest:
        site.policy.tier(latest)
    if remote:
        slots = inventory.archived_slots(site.bucket, [latest] if latest else None)
    else:
        sealed = inventory.sealed_slots(site.settings.folder)
        slots = [slot for slot in sealed if latest in (None, slot.tier) and _to_be_on_disk(site, slot)]
    if not slots:
        where = site.bucket.uri("") if remote else str(site.settings.folder)
        raise NotFound(
            f"there is no sealed {latest + ' ' if latest else ''}backup in {where}",
            remedy="desbuquei list, also with --remote, shows what there is; --remote verifies what is in S3 alone",
        )
    ids = [slot.backup_id for slot in sorted(slots, key=lambda slot: (slot.due, slot.tier), reverse=True)]
    return ids[:1] if latest else ids


def _to_be_on_disk(site: Site, slot: Slot) -> bool:
    """Whether its files are there, or should be: those of copies and of tiers that are kept in S3 alone need not."""
    try:
        found = catalog.on_disk(site.settings.folder, slot.backup_id)
    except BackupError:
        return True
    return found is None or not is_in_s3_alone(site, found.manifest)


def verify_backup(site: Site, backup_id: str, *, remote: bool) -> Verified:
    """Read a backup whole, in S3 or on disk. NotFound if it is not there; StoreError if S3 cannot be asked."""
    done = verify_within(site, backup_id, remote=remote, at_most=None)
    assert done is not None
    return done


def verify_within(
    site: Site, backup_id: str, *, remote: bool, at_most: int | None, clusters: Clusters | None = None
) -> Verified | None:
    """The same; None if more than `at_most` bytes would be read for it. In `clusters` it is told whose it is.

    What was found in S3 is remembered.
    """
    with naming(backup_id):
        where = "s3" if remote else "disk"
        tier = Slot.of_id(backup_id).tier
        try:
            manifest = _manifest(site, tier, backup_id, remote=remote)
        except NotFound:
            raise
        except BackupError as error:
            if not error.permanent:
                raise
            done = Verified(backup_id, where, [FileVerdict(manifest_name(backup_id), None, [error.what])])
        else:
            if clusters is not None:
                clusters.add(manifest)
            if remote:
                there = stored(site, manifest)
                size = sum(file.size for file in manifest.files if not _is_frozen(there[file.name]))
                if at_most is not None and size > at_most:
                    return None
                site.progress.stage(f"verifying {backup_id}", size)
                done = Verified(backup_id, where, _in_bucket(site, manifest, there), size)
            else:
                site.progress.stage(f"verifying {backup_id}", manifest.size)
                folder = site.settings.folder
                faults = verify.faults_on_disk(folder, manifest, site.identity, progress=site.progress.advance)
                done = Verified(backup_id, where, _by_file(site, manifest, faults), manifest.size)
        if remote:
            verified.remember(site, Verification(backup_id, site.now(), done.whole, done.read_bytes))
        return done


def _is_frozen(found: StoredObject | None) -> bool:
    return found is not None and found.frozen


def _in_bucket(site: Site, manifest: Manifest, there: Mapping[str, StoredObject | None]) -> list[FileVerdict]:
    """Each object read back whole; of what is frozen, the store's own checksum is compared, and that is said."""
    frozen = {name: found for name, found in there.items() if found is not None and found.frozen}
    asked = manifest.model_copy(update={"files": [file for file in manifest.files if file.name in frozen]})
    read = manifest.model_copy(update={"files": [file for file in manifest.files if file.name not in frozen]})
    faults = verify.faults_in_bucket(site.bucket, read, site.identity, progress=site.progress.advance)
    return [
        replace(verdict, unread=_unread(frozen[verdict.name])) if verdict.name in frozen else verdict
        for verdict in _by_file(site, manifest, faults + faults_in_store(asked, there))
    ]


def _unread(found: StoredObject) -> str:
    asked = (
        "the store's own checksum was compared"
        if found.checksum
        else "the store tells no checksum, its size was compared"
    )
    return f"in {found.storage_class.value}, not read: {asked}"


def _manifest(site: Site, tier: str, backup_id: str, *, remote: bool) -> Manifest:
    if remote:
        archived = catalog.in_bucket(site.bucket, tier, backup_id)
        if archived is None:
            raise NotFound("it is not archived in S3", remedy=f"desbuquei backup {tier} finishes what is missing")
        return archived
    found = catalog.on_disk(site.settings.folder, backup_id)
    if found is None or is_in_s3_alone(site, found.manifest):
        raise NotFound(
            f"it is not in {site.settings.folder}",
            remedy="its time on disk may be over, or its tier is kept in S3 alone: --remote verifies it there",
        )
    return found.manifest


def _by_file(site: Site, manifest: Manifest, faults: Sequence[str]) -> list[FileVerdict]:
    """Faults begin with the file's name, but for those of what is inside the dump."""
    closed = "encrypted, and no identity is named: its checksums were compared, not what is inside"
    found: dict[str, list[str]] = {file.name: [] for file in manifest.files}
    for fault in faults:
        name = next((name for name in found if fault.startswith(name)), manifest.dump.name)
        found[name].append(fault.removeprefix(name).strip(" ,"))
    return [
        FileVerdict(
            file.name, file.size, found[file.name], unopened=closed if file.decrypted and site.identity is None else ""
        )
        for file in manifest.files
    ]
