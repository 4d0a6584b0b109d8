"""What fills a slot already: verified again, on disk or in S3; what is bad is set aside, never deleted."""

import logging
from dataclasses import dataclass

from desbuquei_backups.core.errors import BackupError, IntegrityError
from desbuquei_backups.core.manifest import Manifest, manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records, verify
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import (
    faults_in_store,
    is_in_s3_alone,
    is_on_disk,
    stored_anywhere,
)
from desbuquei_backups.storage import catalog, disk

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that is on disk or in S3. `reused`: it was there already; on disk it was read back, in S3 asked for."""

    manifest: Manifest
    reused: bool
    where: str


def already_there(site: Site, slot: Slot, *, may_retake: bool) -> Taken | None:
    """The backup that fills `slot`, or None if it is empty. Call it under the lock.

    A copy on disk that does not verify is set aside: S3's is the backup then, or, with `may_retake`, none is. A closed
    slot's is left where it is and IntegrityError raised, if S3 has no other.
    """
    manifest, faults = _on_disk(site, slot)
    if manifest is not None and not faults and is_on_disk(site.settings.folder, manifest):
        return Taken(manifest, reused=True, where="disk")
    archived = _archived(site, slot)
    if archived is None and manifest is not None and not faults:
        faults = faults_in_store(manifest, stored_anywhere(site, manifest))
        if not faults:  # what it is to be copied from is whole
            return Taken(manifest, reused=True, where="S3")
    if archived is None and faults and not may_retake:
        raise IntegrityError("; ".join(faults), remedy="the slot is closed and S3 has no copy: see what altered it")
    if faults:
        _LOG.warning("%s: set aside, since it does not verify: %s", slot.backup_id, "; ".join(faults))
        _set_aside(site, slot)
    # What S3 holds is the backup; a copy on disk that is missing or bad does not make another one of it.
    return None if archived is None else Taken(archived, reused=True, where="S3")


def _on_disk(site: Site, slot: Slot) -> tuple[Manifest | None, list[str]]:
    """The backup's manifest in the folder, and what is wrong with its files; nothing, where none need be there."""
    folder = site.settings.folder
    try:
        found = catalog.on_disk(folder, slot.backup_id)
    except IntegrityError as error:
        return None, [error.what]
    if found is None:
        return None, []
    manifest = found.manifest
    if is_in_s3_alone(site, manifest):
        return manifest, []
    site.progress.stage("verifying what is there", manifest.size)
    return manifest, verify.faults_on_disk(folder, manifest, progress=site.progress.advance)


def _archived(site: Site, slot: Slot) -> Manifest | None:
    """S3's copy. An outage must not keep a dump from being taken, unless the records say that S3 has one already."""
    bucket = site.bucket  # a lost setting is no outage
    try:
        return catalog.in_bucket(bucket, slot.tier, slot.backup_id)
    except BackupError as error:
        if records.says_archived(site.settings.folder, slot.backup_id):
            raise
        _LOG.warning("%s: S3 cannot say whether it has it: %s", slot.backup_id, error.what)
        return None


def _set_aside(site: Site, slot: Slot) -> None:
    folder = site.settings.folder
    names = {path.name for path in folder.glob(f"{slot.backup_id}.*")}
    draft = catalog.draft_path(folder, slot.backup_id)
    # The manifest last: where this is interrupted, it goes on by it.
    for name in (*sorted(names - {manifest_name(slot.backup_id)}), manifest_name(slot.backup_id), draft.name):
        if (folder / name).exists():
            disk.set_aside(folder / name, "does-not-verify")
