"""When the files of tiers that are kept in S3 alone leave the disk."""

import logging
from collections.abc import Iterator
from pathlib import Path

from desbuquei_backups.core.errors import BackupError, IntegrityError
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import proofs, records
from desbuquei_backups.operations.folder_names import DUMPS, names
from desbuquei_backups.operations.opening import is_open
from desbuquei_backups.operations.promotion import peers
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import age, catalog, disk

_LOG = logging.getLogger(__name__)


def leave_disk(site: Site) -> None:
    """Remove the files of archived backups whose tier is not kept on disk, if nobody needs them.

    A tier that is to keep the dump of the same instant takes them while its slot is open; of what is frozen in S3 any
    tier does, and it is restored from here until it is proven. The manifests stay. Call it under the lock.
    """
    folder = site.settings.folder
    try:
        for manifest in _not_to_be_kept(site):
            for file in manifest.files:
                with disk.disk_errors(folder / file.name):
                    (folder / file.name).unlink(missing_ok=True)
    except BackupError as error:  # no fault of the backup that was archived or proven: the next one tries again
        _LOG.warning("what is kept in S3 alone stays on disk for now: %s", error.what)


def _not_to_be_kept(site: Site) -> Iterator[Manifest]:
    for name in sorted(names(site.settings.folder).dumps):
        slot = slot_of(name.partition(".")[0])
        tier = site.policy.tiers.get(slot.tier) if slot is not None else None
        if slot is None or tier is None or tier.kept_on_disk is not None:
            continue
        try:
            found = catalog.on_disk(site.settings.folder, slot.backup_id)
        except IntegrityError:
            continue  # `verify` names it
        if found is None or not found.sealed or not records.says_archived(site.settings.folder, slot.backup_id):
            continue
        frozen = tier.storage_class.frozen
        if any(_wanted(site, peer, nowhere_else=frozen) for peer in peers(site, slot)):
            continue
        if not frozen or _proven(site, found.manifest):
            yield found.manifest


def _wanted(site: Site, peer: Slot, *, nowhere_else: bool) -> bool:
    """Whether a tier is still to take the dump from disk: to keep it there, or since no other copy can be read."""
    if not is_open(site, peer):
        return False
    folder = site.settings.folder
    if site.tier(peer).kept_on_disk is not None and not _is_filled(folder, peer):
        return True
    return nowhere_else and not records.says_archived(folder, peer.backup_id)


def _is_filled(folder: Path, slot: Slot) -> bool:
    return any((folder / f"{slot.backup_id}.{suffix}{end}").exists() for suffix in DUMPS for end in ("", age.SUFFIX))


def _proven(site: Site, manifest: Manifest) -> bool:
    found = proofs.newest(site.bucket, manifest.backup_id, dump_sha256=manifest.dump.sha256)
    return found is not None and not found.failed
