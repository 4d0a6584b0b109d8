"""Fill a slot: by a dump of one snapshot, by another tier's of that instant, by what has not changed, or by WAL."""

import logging
from dataclasses import dataclass
from pathlib import Path

import psycopg

from desbuquei_backups.core.budget import left_out
from desbuquei_backups.core.errors import ConfigurationError, SlotError
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Takes
from desbuquei_backups.operations import records
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.egress import spent_so_far
from desbuquei_backups.operations.filled import Taken, already_there
from desbuquei_backups.operations.increment import take_increment
from desbuquei_backups.operations.opening import is_open, refuse_unless_open
from desbuquei_backups.operations.promotion import promote
from desbuquei_backups.operations.records import record_failures
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.snapshot_dump import SnapshotDump
from desbuquei_backups.operations.unchanged import unchanged
from desbuquei_backups.operations.whereabouts import is_on_disk, refuse_other_database
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import server
from desbuquei_backups.storage import catalog, disk

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A slot that was left empty on purpose, and why."""

    slot: Slot
    why: str


def take_dump(site: Site, slot: Slot, *, asked: Asked | None = None, measured: bool = True) -> Taken | Skipped:
    """Fill an open slot, or verify what fills it already.

    A dump that another tier took at the same instant is taken over. An incremental tier takes WAL, and what changed
    since a base backup, where the server gives them; else the newest backup for its own where nothing changed, and is
    skipped where the egress budget has no dump for it. What fails verification is taken anew while its slot is open,
    and the bad file set aside. `measured=False` leaves out counts and fingerprints, for measuring. Raises any
    BackupError; a closed empty slot is a SlotError: a backup cannot be taken in the past.
    """
    dump = SnapshotDump(site, slot, measured=measured)
    failures = record_failures(site, slot, "dump", egress=lambda: dump.read, asked=asked)
    with site.locked(slot.backup_id, "dump"), failures:
        if (there := already_there(site, slot, may_retake=is_open(site, slot))) is not None:
            refuse_other_database(site, there.manifest)
            _refuse_another(there.manifest, asked)
            records.record_found(site, there.manifest)
            return there
        refuse_unless_open(site, slot)
        if site.tier(slot).on_demand and (asked is None or asked.blank):
            raise ConfigurationError(
                f"a {slot.tier} backup needs an operator and a reason",
                remedy=f"desbuquei backup {slot.tier} --reason TEXT, or both in the run's configuration",
            )
        disk.prepare(site.settings.folder)
        return _Filling(site, slot, asked, dump).fill()


def _refuse_another(manifest: Manifest, asked: Asked | None) -> None:
    if asked is not None and (manifest.operator, manifest.reason) != (asked.operator, asked.reason):
        raise SlotError(
            f"{manifest.operator} asked for a backup in the same second: {manifest.reason}", remedy="ask once more"
        )


@dataclass
class _Filling:
    """One slot being filled."""

    site: Site
    slot: Slot
    asked: Asked | None
    dump: SnapshotDump

    @property
    def folder(self) -> Path:
        return self.site.settings.folder

    @property
    def _incremental(self) -> bool:
        return self.site.tier(self.slot).takes is Takes.INCREMENTAL

    def fill(self) -> Taken | Skipped:
        """Take WAL if the tier does, or over another tier's dump of this instant, or the newest of all, or take one."""
        if self._incremental:
            taken = take_increment(self.site, self.slot)
            if isinstance(taken, Manifest):
                return self._keep(taken, "disk")
            _LOG.warning("%s: a dump in place of WAL: %s", self.slot.backup_id, taken.why)
        if (promoted := promote(self.site, self.slot)) is not None:
            return self._keep(promoted, "disk" if is_on_disk(self.folder, promoted) else "S3")
        url = self.site.settings.database_url
        self.site.progress.stage("looking at the database")
        server.refuse_transaction_pooler(url, setting=DATABASE_URL)
        with pg.connect(url, setting=DATABASE_URL) as connection, pg.explained("taking the snapshot"):
            pg.pin(connection)
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            if self._incremental and (spared := self._spared(connection)) is not None:
                return spared
            return self._keep(self._dumped(connection), "disk")

    def _keep(self, manifest: Manifest, where: str) -> Taken:
        disk.write_file(catalog.draft_path(self.folder, self.slot.backup_id), manifest.to_bytes())
        records.record(self.site, manifest, status="success", read=self.dump.read)
        return Taken(manifest, reused=False, where=where)

    def _spared(self, connection: pg.Connection) -> Taken | Skipped | None:
        """What fills an incremental slot without a dump, or why none is taken; None if one is."""
        with connection.transaction():
            same = unchanged(self.site, self.slot, connection)
        if same is not None:
            return self._keep(same, "disk" if is_on_disk(self.folder, same) else "S3")
        spent = spent_so_far(records.lines(self.folder), self.site.now())
        if (why := left_out(self.site.policy, self.slot, spent)) is None:
            return None
        records.skip(self.site, self.slot, why)
        return Skipped(self.slot, why)

    def _dumped(self, connection: pg.Connection) -> Manifest:
        manifest = self.dump.take(connection)
        if self.asked is None:
            return manifest
        return manifest.model_copy(update={"operator": self.asked.operator, "reason": self.asked.reason})
