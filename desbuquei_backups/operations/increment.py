"""What fills an incremental slot where the server gives WAL: a point, all WAL up to it, what changed since a base.

Where no base backup of the last days leads to the point, or WAL was lost since, a full one is taken instead.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

from desbuquei_backups.core.errors import DiskError, IntegrityError, StoreUnreachable, ToolError
from desbuquei_backups.core.manifest import BaseFacts, FileFacts, Manifest, Role, ServerFacts
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.core.wal_points import RecoveryPoint
from desbuquei_backups.operations.base_writing import in_the_clear, write_base
from desbuquei_backups.operations.increment_parent import newest_base, own_manifest
from desbuquei_backups.operations.progress import timed
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unpacking import unpacked_and_verified
from desbuquei_backups.operations.wal_bucket import read_gaps
from desbuquei_backups.operations.wal_drain import drain
from desbuquei_backups.operations.wal_slot import Cluster, Refused, cluster_of, ensure_slot
from desbuquei_backups.operations.writing import write_file_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import physical, server, wal
from desbuquei_backups.storage.disk import PARTIAL, disk_errors
from desbuquei_backups.storage.stream import write_gzip

_LOG = logging.getLogger(__name__)


def take_increment(site: Site, slot: Slot) -> Manifest | Refused:
    """The draft of a backup of WAL, its files being in the folder; Refused, nothing having been made, if the server
    gives none, or the role may make no recovery points.

    While S3 does not answer, the WAL waits in the spool. Raises as `drain` does; IntegrityError if what changed cannot
    be read back.
    """
    return _Taking(site, slot).take()


@dataclass
class _Taking:
    site: Site
    slot: Slot
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    files: list[FileFacts] = field(default_factory=list)

    def take(self) -> Manifest | Refused:
        begun = time.monotonic()
        with self._connected() as connection:
            cluster = cluster_of(self.site, connection)
            if isinstance(cluster, Refused):
                return cluster
            if (why := wal.no_restore_points(connection)) is not None:
                return Refused(why)
            ensure_slot(self.site, connection, cluster)
            facts = server.facts(connection, server.platform(connection))
            parent = self._parent(cluster)
            increment = self._increment(connection, cluster, parent) if parent is not None else None
        with timed(self.seconds, "WAL"):
            drained = drain(self.site, self.slot.backup_id, into_s3=False)
        if isinstance(drained, Refused):
            return drained
        base = increment
        if parent is None or self._is_cut_off(parent, cluster, drained.in_s3):
            self._throw_away()
            with self._connected() as connection, timed(self.seconds, "base backup"):
                base, parent = self._full(connection, cluster), None
        manifest = self._draft(facts, cluster, drained.point, base, parent if base is not None else None)
        self._verify(manifest)
        told = {"stage_seconds": self.seconds, "warnings": self.warnings}
        return manifest.model_copy(update={"duration_seconds": round(time.monotonic() - begun, 3), **told})

    @contextmanager
    def _connected(self) -> Iterator[pg.Connection]:
        url = self.site.settings.database_url
        with pg.connect(url, setting=DATABASE_URL) as connection, pg.explained("taking an increment"):
            pg.pin(connection)
            yield connection

    def _parent(self, cluster: Cluster) -> Manifest | None:
        """The base backup to go by; one from before the window of any second would keep ever more WAL."""
        oldest = self.site.now() - self.site.policy.pitr_window
        try:
            found = newest_base(self.site, cluster)
            return found if found is not None and found.slot >= oldest else None
        except StoreUnreachable as error:
            self.warnings.append(f"no base backup is on disk, and S3 does not answer: {error.what}")
            return None

    def _increment(self, connection: pg.Connection, cluster: Cluster, parent: Manifest) -> BaseFacts | None:
        """What has changed since `parent`; None where the WAL alone must do, and why is among the warnings."""
        if not physical.summarizes(connection):
            return None
        spaces = physical.spaces(connection)
        if (why := in_the_clear(self.site, connection, spaces, increment=True)) is not None:
            self.warnings.append(f"no increment: {why}")
            return None
        own = own_manifest(self.site, parent)
        if own is None:
            self.warnings.append(f"no increment: PostgreSQL's own manifest of {parent.backup_id} cannot be read here")
            return None
        with timed(self.seconds, "increment"), _as_file(self.site.settings.folder, self.slot.backup_id, own) as against:
            try:
                base, self.files = write_base(
                    self.site, self.slot, connection, cluster.programs, spaces, against=against
                )
            except (ToolError, DiskError) as error:  # the WAL is worth having by itself
                self.warnings.append(f"no increment against {parent.backup_id}: {error.what}")
                _LOG.warning("%s", self.warnings[-1])
                return None
        return base

    def _full(self, connection: pg.Connection, cluster: Cluster) -> BaseFacts | None:
        spaces = physical.spaces(connection)
        if (why := in_the_clear(self.site, connection, spaces)) is not None:
            self.warnings.append(f"no base backup: {why}")
            return None
        base, self.files = write_base(self.site, self.slot, connection, cluster.programs, spaces)
        return base

    def _throw_away(self) -> None:
        """The increment of a base backup that leads nowhere."""
        for file in self.files:
            path = self.site.settings.folder / file.name
            with disk_errors(path):
                path.unlink(missing_ok=True)
        self.files = []

    def _is_cut_off(self, parent: Manifest, cluster: Cluster, s3_answers: bool) -> bool:
        """Whether WAL that was written since the base backup is lost, as far as S3 can be asked."""
        assert parent.base is not None
        if not s3_answers:
            return False
        stop = parse_lsn(parent.base.stop_lsn)
        return any(parse_lsn(gap.end) > stop for gap in read_gaps(self.site.bucket, cluster.system_identifier))

    def _draft(
        self,
        facts: ServerFacts,
        cluster: Cluster,
        point: RecoveryPoint,
        base: BaseFacts | None,
        parent: Manifest | None,
    ) -> Manifest:
        described = write_file_of(
            self.site,
            self.slot,
            Role.POINT,
            "point.json.gz",
            lambda path, to: write_gzip([point.to_bytes()], path, to),
        )
        own = {"system_identifier": cluster.system_identifier, "timeline": point.timeline, "lsn": point.lsn}
        return Manifest(
            backup_id=self.slot.backup_id,
            tier=self.slot.tier,
            slot=self.slot.due,
            taken_at=point.at,
            duration_seconds=0,
            stage_seconds={},
            database=self.site.policy.database,
            server=facts.model_copy(update=own),
            tools={"pg_receivewal": cluster.programs.version, "pg_basebackup": cluster.programs.version},
            files=[described, *self.files],
            fingerprint=None,
            tables=[],
            sequences=[],
            large_objects=None,
            requirements=[],
            left_out=[],
            warnings=[],
            parent=parent.backup_id if parent is not None else None,
            recipients=self.site.settings.age_recipients,
            base=base,
            point=point,
        )

    def _verify(self, manifest: Manifest) -> None:
        if manifest.base is None:
            return
        with timed(self.seconds, "verify"):
            verified = unpacked_and_verified(self.site, manifest)
        if verified.unread:
            self.warnings.append(f"pg_verifybackup did not look at what has changed: {verified.unread}")
        if verified.faults:
            raise IntegrityError(
                f"what has changed was not written whole: {'; '.join(verified.faults)}",
                remedy="look at the server's and this host's disks; the WAL up to the point is kept, run again",
            )


@contextmanager
def _as_file(folder: Path, backup_id: str, content: bytes) -> Iterator[Path]:
    """A file for as long as the block runs; what a killed run left of it is abandoned, and goes with the rest."""
    with disk_errors(folder), NamedTemporaryFile(dir=folder, prefix=f".{backup_id}.against-", suffix=PARTIAL) as file:
        file.write(content)
        file.flush()
        yield Path(file.name)
