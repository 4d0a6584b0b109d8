"""Seal a backup: read every file back from disk, compare, and only then write its checksum manifest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import FileFacts, Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records, said, verify
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import faults_in_store, is_in_s3_alone, is_on_disk, stored_anywhere
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
    with site.locked(slot.backup_id, "checksum manifest"), records.record_failures(site, slot, "manifest"):
        found = catalog.on_disk(folder, slot.backup_id)
        if found is None:
            archived = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
            if archived is None:
                raise NotFound(
                    "there is no dump of this slot", remedy=f"desbuquei backup {slot.tier} --slot {slot.key}"
                )
            return Sealed(archived, reused=True, where="S3")
        files = _read_back(site, found.manifest)
        if found.sealed:
            where = "disk" if is_on_disk(folder, found.manifest) else "S3"
            return Sealed(found.manifest, reused=True, where=where)
        draft = found.manifest.model_copy(update={"files": files})
        manifest = draft.sealed(site.now(), catalog.last_sealed(folder, but=slot.backup_id))
        said.sealed(site, manifest)
        disk.write_file(catalog.manifest_path(folder, slot.backup_id), manifest.to_bytes())
        catalog.draft_path(folder, slot.backup_id).unlink(missing_ok=True)
        records.change(
            site, slot.backup_id, total_size=manifest.size
        )  # with the base backup, which came after the dump
        return Sealed(manifest, reused=False, where="disk")


def _read_back(site: Site, manifest: Manifest) -> Sequence[FileFacts]:
    """The files as they were found to be; of a copy that is not on disk, the store is asked for what it is copied from.

    IntegrityError if one is not what was written.
    """
    folder = site.settings.folder
    again = "run the slot again: while it is open the dump is taken anew, and the bad file is set aside"
    if is_in_s3_alone(site, manifest):
        if wrong := faults_in_store(manifest, stored_anywhere(site, manifest)):
            raise IntegrityError("; ".join(wrong), remedy=again)
        return manifest.files
    site.progress.stage("reading back", manifest.size)
    found = verify.read_back(folder, manifest, progress=site.progress.advance)
    if wrong := verify.differences(manifest, found):
        raise IntegrityError(f"not what was written: {'; '.join(wrong)}", remedy=again)
    return [
        file.model_copy(update={"parts_sha256": getattr(found[file.name], "parts_sha256", None)})
        for file in manifest.files
    ]
