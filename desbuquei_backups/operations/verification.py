"""Verify backups one by one, wherever they lie, and say of each file whether it is still what its manifest says."""

from collections.abc import Sequence
from dataclasses import dataclass

from desbuquei_backups.core.errors import BackupError, NotFound
from desbuquei_backups.core.manifest import Manifest, manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import inventory, verify
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.storage import catalog


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """One file: what is wrong with it, or nothing."""

    name: str
    size: int | None
    faults: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verified:
    """One backup in one place."""

    backup_id: str
    where: str
    files: Sequence[FileVerdict]

    @property
    def whole(self) -> bool:
        return not any(file.faults for file in self.files)


def chosen(site: Site, *, latest: str | None, remote: bool) -> list[str]:
    """The ids of the newest backup of a tier, or of all there are, newest first; NotFound if there is none.

    A backup whose manifest cannot be read is one of them.
    """
    tiers = [latest] if latest else list(site.policy.tiers)
    for tier in tiers:
        site.policy.tier(tier)
    if remote:
        slots = [slot for tier in tiers for slot in inventory.archived_slots(site.bucket, tier)]
    else:
        slots = [slot for slot in inventory.sealed_slots(site.settings.folder) if slot.tier in tiers]
    if not slots:
        where = site.bucket.uri("") if remote else str(site.settings.folder)
        raise NotFound(
            f"there is no sealed backup in {where}",
            remedy="desbuquei list, also with --remote, shows what there is",
        )
    ids = [slot.backup_id for slot in sorted(slots, key=lambda slot: (slot.due, slot.tier), reverse=True)]
    return ids[:1] if latest else ids


def verify_backup(site: Site, backup_id: str, *, remote: bool) -> Verified:
    """Read a backup whole, in S3 or on disk. NotFound if it is not there; StoreError if S3 cannot be asked."""
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
            return Verified(backup_id, where, [FileVerdict(manifest_name(backup_id), None, [error.what])])
        site.progress.stage(f"verifying {backup_id}", manifest.size)
        if remote:
            faults = verify.faults_in_bucket(site.bucket, manifest, progress=site.progress.advance)
        else:
            faults = verify.faults_on_disk(site.settings.folder, manifest, progress=site.progress.advance)
        return Verified(backup_id, where, _by_file(manifest, faults))


def _manifest(site: Site, tier: str, backup_id: str, *, remote: bool) -> Manifest:
    if remote:
        archived = catalog.in_bucket(site.bucket, tier, backup_id)
        if archived is None:
            raise NotFound("it is not archived in S3", remedy=f"desbuquei backup {tier} finishes what is missing")
        return archived
    found = catalog.on_disk(site.settings.folder, backup_id)
    if found is None:
        raise NotFound(
            f"it is not in {site.settings.folder}", remedy="its time on disk may be over: --remote verifies it in S3"
        )
    return found.manifest


def _by_file(manifest: Manifest, faults: Sequence[str]) -> list[FileVerdict]:
    """Faults begin with the file's name, but for those of what is inside the dump."""
    found: dict[str, list[str]] = {file.name: [] for file in manifest.files}
    for fault in faults:
        name = next((name for name in found if fault.startswith(name)), manifest.dump.name)
        found[name].append(fault.removeprefix(name).strip())
    return [FileVerdict(file.name, file.size, found[file.name]) for file in manifest.files]
