"""A physical base backup beside a slot's dump: the whole cluster, for a fast recovery and for every second after it."""

from contextlib import ExitStack
from dataclasses import dataclass

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import verify
from desbuquei_backups.operations.base_writing import write_base
from desbuquei_backups.operations.opening import refuse_unless_open
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unpacking import Unpacked, unpacked_and_verified
from desbuquei_backups.operations.wal_before_base import keeping_wal
from desbuquei_backups.operations.whereabouts import is_on_disk
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import physical
from desbuquei_backups.postgres.programs import choose
from desbuquei_backups.storage import catalog, disk


@dataclass(frozen=True, slots=True)
class BaseTaken:
    """A base backup that is part of `manifest`. `verified`: what unpacking it and pg_verifybackup showed.

    `reused`: it was there already; None for `verified` then, where only S3 has it.
    """

    manifest: Manifest
    reused: bool
    verified: Unpacked | None


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """That the server, or what fills the slot, allows no base backup, and why."""

    slot: Slot
    why: str


def take_base_backup(site: Site, slot: Slot) -> BaseTaken | NotApplicable:
    """Take a base backup of the cluster for a slot whose dump is not sealed yet, or verify the one there is.

    Capability is proven first; a replication slot is made before the base backup begins. Where it is refused, nothing
    is made on the server, the dump stands alone, and that is said. NotFound if the slot has no dump; SlotError if it is
    closed; ToolFailed, SourceUnreachable, DiskError.
    """
    folder = site.settings.folder
    with site.locked(slot.backup_id, "base backup"):
        found = catalog.on_disk(folder, slot.backup_id)
        if found is None:
            return _archived(site, slot)
        if found.manifest.base is not None:
            return BaseTaken(found.manifest, True, _verified(site, found.manifest))
        if found.sealed:
            return NotApplicable(slot, "the slot was sealed without one")
        if not is_on_disk(folder, found.manifest):
            return NotApplicable(slot, "the slot's dump is a copy that is in S3 alone")
        refuse_unless_open(site, slot)
        return _Taking(site, slot, found.manifest).take()


def _archived(site: Site, slot: Slot) -> BaseTaken | NotApplicable:
    manifest = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    if manifest is None:
        raise NotFound("there is no dump of this slot", remedy=f"desbuquei backup {slot.tier} --slot {slot.key}")
    return BaseTaken(manifest, True, None) if manifest.base else NotApplicable(slot, "it was archived without one")


def _verified(site: Site, manifest: Manifest) -> Unpacked | None:
    """What is on disk, verified again; None if it is in S3 alone."""
    physical_ones = manifest.model_copy(update={"files": [file for file in manifest.files if file.role.physical]})
    if not any((site.settings.folder / file.name).exists() for file in physical_ones.files):
        return None
    if faults := verify.checksum_faults(site.settings.folder, physical_ones, progress=site.progress.advance):
        raise IntegrityError("; ".join(faults), remedy="recover from S3's copy, or from another day's base backup")
    return unpacked_and_verified(site, manifest)


@dataclass
class _Taking:
    """One base backup being taken."""

    site: Site
    slot: Slot
    draft: Manifest

    def take(self) -> BaseTaken | NotApplicable:
        with ExitStack() as until_whole:
            return self._take(until_whole)

    def _take(self, until_whole: ExitStack) -> BaseTaken | NotApplicable:
        url = self.site.settings.database_url
        with pg.connect(url, setting=DATABASE_URL) as connection, pg.explained("taking a base backup"):
            pg.pin(connection)
            may = physical.capability(url, connection, setting=DATABASE_URL)
            if may.refused is not None:
                return NotApplicable(self.slot, may.refused)
            if may.spaces and self.site.settings.age_recipients:
                named = ", ".join(space.name for space in may.spaces)
                return NotApplicable(
                    self.slot,
                    f"the cluster has tablespaces ({named}): pg_basebackup writes them to disk before they "
                    "could be encrypted",
                )
            programs = choose(connection.info.server_version // 10000)
            until_whole.enter_context(keeping_wal(self.site))
            base, files = write_base(self.site, self.slot, connection, programs, may.spaces)
        # Which cluster it is of, the replication protocol tells whoever may copy it.
        server = self.draft.server.model_copy(update={"system_identifier": may.system_identifier})
        manifest = self.draft.model_copy(update={"files": [*self.draft.files, *files], "base": base, "server": server})
        verified = unpacked_and_verified(self.site, manifest)
        if verified.faults:
            raise IntegrityError(
                f"the base backup is not whole: {'; '.join(verified.faults)}",
                remedy="look at the server's and this host's disks; the dump stands alone, the next day tries again",
            )
        # From here on it is part of the backup: a draft without it leaves files that the next run writes over.
        disk.write_file(catalog.draft_path(self.site.settings.folder, self.slot.backup_id), manifest.to_bytes())
        return BaseTaken(manifest, False, verified)
