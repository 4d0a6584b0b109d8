"""When the files of a tier that is kept in S3 alone leave the disk."""

from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot, SlotState
from desbuquei_backups.operations import proofs, records
from desbuquei_backups.operations.promotion import peers
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import is_on_disk
from desbuquei_backups.storage import disk


def leave_disk(site: Site, manifest: Manifest) -> bool:
    """Remove the files of an archived backup whose tier is not kept on disk, if nobody needs them; says whether.

    A tier that is to keep the dump of the same instant takes them while its slot is open; of what is frozen in S3 any
    tier does, and it is restored from here until it is proven. The manifest stays. Call it under the lock.
    """
    folder, slot = site.settings.folder, Slot.of_id(manifest.backup_id)
    tier = site.tier(slot)
    if tier.kept_on_disk is not None or manifest.same_as is not None or not is_on_disk(folder, manifest):
        return False
    frozen = tier.storage_class.frozen
    if any(_wanted(site, peer, nowhere_else=frozen) for peer in peers(site, slot)):
        return False
    sha256 = manifest.dump.sha256
    if frozen and proofs.newest(site.bucket, manifest.backup_id, dump_sha256=sha256) is None:
        return False
    for file in manifest.files:
        with disk.disk_errors(folder / file.name):
            (folder / file.name).unlink(missing_ok=True)
    return True


def _wanted(site: Site, peer: Slot, *, nowhere_else: bool) -> bool:
    """Whether a tier is still to take the dump from disk: to keep it there, or since no other copy can be read."""
    if site.state(peer) is not SlotState.OPEN:
        return False
    folder = site.settings.folder
    if site.tier(peer).kept_on_disk is not None and not any(folder.glob(f"{peer.backup_id}.*sql.gz")):
        return True
    return nowhere_else and not records.says_archived(folder, peer.backup_id)
