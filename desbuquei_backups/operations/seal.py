"""Seal a backup: read every file back from disk, compare, and only then write its checksum manifest."""

import hashlib
from dataclasses import dataclass

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records, verify
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import catalog, disk


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed backup; `where` its manifest was found or written: disk or S3."""

    manifest: Manifest
    reused: bool
    where: str

    @property
    def sha256(self) -> str:
        """Of the manifest's own bytes."""
        return hashlib.sha256(self.manifest.to_bytes()).hexdigest()


def seal(site: Site, slot: Slot) -> Sealed:
    """Write the manifest of a dumped backup, or verify the one there is.

    IntegrityError if a file is not what was written; NotFound if there is no dump, on disk or in S3.
    """
    folder = site.settings.folder
    with site.locked(slot.backup_id, "checksum manifest"), records.record_failures(site, slot):
        found = catalog.on_disk(folder, slot.backup_id)
        if found is None:
            archived = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
            if archived is None:
                raise NotFound("there is no dump of this slot", remedy=f"desbuquei backup {slot.tier}")
            return Sealed(archived, reused=True, where="S3")
        site.progress.stage("reading back", found.manifest.size)
        if wrong := verify.checksum_faults(folder, found.manifest, progress=site.progress.advance):
            raise IntegrityError(
                f"not what was written: {'; '.join(wrong)}",
                remedy="run the slot again: while it is open the dump is taken anew, and the bad file is set aside",
            )
        if found.sealed:
            return Sealed(found.manifest, reused=True, where="disk")
        manifest = found.manifest.sealed(site.now(), catalog.last_sealed(folder, but=slot.backup_id))
        disk.write_file(catalog.manifest_path(folder, slot.backup_id), manifest.to_bytes())
        catalog.draft_path(folder, slot.backup_id).unlink(missing_ok=True)
        return Sealed(manifest, reused=False, where="disk")
