"""Promotion: where tiers fall due at one instant, or are late, the database is read once, and all take that dump."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.core.errors import BackupError, IntegrityError
from desbuquei_backups.core.manifest import FileFacts, Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records, verify
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import faults_in_store, is_on_disk, refuse_other_database, stored
from desbuquei_backups.storage import catalog, disk

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dumped:
    """A verified dump of another tier's slot at the same instant, and where it was found whole."""

    manifest: Manifest
    on_disk: bool
    in_s3: bool


def peers(site: Site, slot: Slot) -> list[Slot]:
    """The slots of other tiers that fall due at the same instant, that of the one it is promoted from first."""
    if slot.tier not in site.policy.scheduled:
        return []
    first = site.policy.promoted_from(slot.tier)
    due = [name for name in site.policy.due_at(slot.due) if name != slot.tier]
    return [Slot(name, slot.due) for name in sorted(due, key=lambda name: name != first)]


def _late(site: Site, slot: Slot) -> list[Slot]:
    """Of a slot whose instant is past: the slot that is open now of the tier that it is promoted from."""
    first = site.policy.promoted_from(slot.tier)
    if first is None:
        return []
    later = site.open_slot(first)
    return [later] if later.due > slot.due else []


def promote(site: Site, slot: Slot) -> Manifest | None:
    """Fill `slot` with a dump that another tier took at its instant; None if there is none. Call it under the lock.

    A run that is late, or the first one ever, takes the dump of the slot that is open now of the tier that it is
    promoted from: it is of this slot's time, too.

    Files of a tier that is kept on disk, and those that are nowhere else yet, are second names of that dump's own.
    """
    dumped = next(_dumped(site, slot), None)
    if dumped is None:
        return None
    manifest = _draft(dumped.manifest, slot)
    site.progress.stage(f"taking over {dumped.manifest.backup_id}")
    if dumped.on_disk and (site.tier(slot).kept_on_disk is not None or not dumped.in_s3):
        _link(site.settings.folder, dumped.manifest, manifest)
    return manifest


def _draft(taken: Manifest, slot: Slot) -> Manifest:
    def renamed(file: FileFacts) -> FileFacts:
        return file.model_copy(update={"name": file.name.replace(taken.backup_id, slot.backup_id, 1)})

    files = [renamed(file) for file in taken.logical]
    return taken.standing_for(slot.backup_id, slot.tier, slot=slot.due, files=files, copy_of=taken.backup_id)


def _link(folder: Path, taken: Manifest, manifest: Manifest) -> None:
    for source, file in zip(taken.logical, manifest.files, strict=True):
        disk.link(folder / source.name, folder / file.name)


def _dumped(site: Site, slot: Slot) -> Iterator[Dumped]:
    """The dumps there are, each verified where it lies: what does not verify is left for its own tier to mend."""
    for peer in (*peers(site, slot), *_late(site, slot)):
        try:
            there = catalog.on_disk(site.settings.folder, peer.backup_id)
        except IntegrityError as error:
            _LOG.warning("%s: not taken over from %s: %s", slot.backup_id, peer.backup_id, error.what)
            there = None
        local = there.manifest if there is not None and _whole_on_disk(site, there.manifest) else None
        archived = _archived(site, peer, needed=local is None)
        manifest = archived or local
        # What stands for an earlier dump, or has none, is no dump of this instant, nor is one of before it.
        if manifest is None or manifest.same_as is not None or manifest.point is not None:
            continue
        if peer.due == slot.due or manifest.taken_at >= slot.due:
            refuse_other_database(site, manifest)
            on_disk = local is not None and local.dump.sha256 == manifest.dump.sha256
            yield Dumped(manifest, on_disk, archived is not None)


def _whole_on_disk(site: Site, manifest: Manifest) -> bool:
    folder = site.settings.folder
    if not is_on_disk(folder, manifest):
        return False
    site.progress.stage(f"verifying {manifest.backup_id}", manifest.size)
    if faults := verify.faults_on_disk(folder, manifest, progress=site.progress.advance):
        _LOG.warning("%s does not verify: %s", manifest.backup_id, "; ".join(faults))
    return not faults


def _archived(site: Site, peer: Slot, *, needed: bool) -> Manifest | None:
    """The archived backup, if the store has it whole and can copy it.

    An outage leaves what is on disk. Where that is nothing, and S3 was told to have it, it is to be waited for: the
    database is not read again for it.
    """
    try:
        manifest = catalog.in_bucket(site.bucket, peer.tier, peer.backup_id)
        if manifest is None:
            return None
        there = stored(site, manifest)
    except BackupError as error:
        if needed and records.says_archived(site.settings.folder, peer.backup_id):
            raise
        _LOG.warning("S3 cannot say whether it has %s: %s", peer.backup_id, error.what)
        return None
    if faults := faults_in_store(manifest, there):
        _LOG.warning("%s does not verify: %s", peer.backup_id, "; ".join(faults))
    frozen = any(found is not None and found.frozen for found in there.values())
    return None if faults or frozen else manifest
