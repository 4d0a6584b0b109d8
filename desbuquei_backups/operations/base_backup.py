"""A physical base backup beside a slot's dump: the whole cluster, for a fast recovery and for every second after it."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from desbuquei_backups.core.errors import IntegrityError, NotFound, ToolFailed
from desbuquei_backups.core.manifest import BaseFacts, FileFacts, Manifest, Role, Tablespace
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.wal import show_lsn
from desbuquei_backups.operations import verify
from desbuquei_backups.operations.opening import refuse_unless_open
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unpacking import Unpacked, beside, unpacked_and_verified
from desbuquei_backups.operations.whereabouts import is_on_disk
from desbuquei_backups.operations.writing import Write, write_file_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import physical, replication_copy
from desbuquei_backups.postgres.programs import Programs, choose
from desbuquei_backups.storage import catalog, disk
from desbuquei_backups.storage.stream import read_file, write_gzip, write_plain, write_zstd
from desbuquei_backups.storage.tar_stream import TarWatcher


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

    Capability is proven first, and nothing is made on the server. Where it is refused, the dump stands alone, and that
    is said. NotFound if the slot has no dump; SlotError if it is closed; ToolFailed, SourceUnreachable, DiskError.
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
    files: list[FileFacts] = field(default_factory=list)
    unpacked: int = 0

    @property
    def _encrypted(self) -> bool:
        return bool(self.site.settings.age_recipients)

    def take(self) -> BaseTaken | NotApplicable:
        url = self.site.settings.database_url
        with pg.connect(url, setting=DATABASE_URL) as connection, pg.explained("taking a base backup"):
            pg.pin(connection)
            may = physical.capability(url, connection, setting=DATABASE_URL)
            if may.refused is not None:
                return NotApplicable(self.slot, may.refused)
            programs = choose(connection.info.server_version // 10000)
            if may.spaces and self._encrypted and connection.info.server_version < replication_copy.OLDEST * 10000:
                named = ", ".join(space.name for space in may.spaces)
                return NotApplicable(
                    self.slot,
                    f"the cluster has tablespaces ({named}), and is older than PostgreSQL {replication_copy.OLDEST}: "
                    "pg_basebackup writes them to disk before they could be encrypted",
                )
            base = self._write(connection, programs, may.spaces)
        # Which cluster it is of, the replication protocol tells whoever may copy it.
        server = self.draft.server.model_copy(update={"system_identifier": may.system_identifier})
        manifest = self.draft.model_copy(
            update={"files": [*self.draft.files, *self.files], "base": base, "server": server}
        )
        verified = unpacked_and_verified(self.site, manifest)
        if verified.faults:
            raise IntegrityError(
                f"the base backup is not whole: {'; '.join(verified.faults)}",
                remedy="look at the server's and this host's disks; the dump stands alone, the next day tries again",
            )
        # From here on it is part of the backup: a draft without it leaves files that the next run writes over.
        disk.write_file(catalog.draft_path(self.site.settings.folder, self.slot.backup_id), manifest.to_bytes())
        return BaseTaken(manifest, False, verified)

    def _write(self, connection: pg.Connection, programs: Programs, spaces: Sequence[physical.Space]) -> BaseFacts:
        begun = time.monotonic()
        row = connection.execute("select sum(pg_database_size(oid))::bigint from pg_database").fetchone()
        self.site.progress.stage("copying the cluster", row[0] if row else None)
        parameters = pg.parse(self.site.settings.database_url, setting=DATABASE_URL)
        label = self.slot.backup_id
        if spaces and self._encrypted:
            own = self._stream(spaces)
        elif spaces:
            with beside(self.site.settings.folder) as place:
                physical.base_backup_in(programs, parameters, place, label=label)
                self.site.progress.stage("compressing the cluster", row[0] if row else None)
                self._pack(read_file(place / "base.tar"), Role.BASE, "base.tar.zst")
                for space in spaces:
                    self._pack(read_file(place / f"{space.oid}.tar"), Role.TABLESPACE, _space_tar(space.oid))
                own = (place / physical.MANIFEST).read_bytes()
        else:
            own = self._pack(physical.base_backup(programs, parameters, label=label), Role.BASE, "base.tar.zst")
        needed = physical.wal_range(own)
        self._keep(Role.BASE_MANIFEST, "base_manifest", lambda path, to: write_plain([own], path, to))
        script = json.dumps(physical.configuration(connection), indent=1, sort_keys=True).encode()
        self._keep(Role.CONFIGURATION, "configuration.json.gz", lambda path, to: write_gzip([script], path, to))
        return BaseFacts(
            timeline=needed.timeline,
            start_lsn=show_lsn(needed.start),
            stop_lsn=show_lsn(needed.stop),
            stopped_at=physical.now_of(connection),
            size=self.unpacked,
            duration_seconds=round(time.monotonic() - begun, 3),
            tool=programs.version,
            tablespaces=[
                Tablespace(oid=space.oid, name=space.name, location=space.location, file=file.name)
                for space in spaces
                for file in self.files
                if f".{_space_tar(space.oid)}" in file.name
            ],
        )

    def _stream(self, spaces: Sequence[physical.Space]) -> bytes:
        """Every tar from the server straight into its encrypted file; the manifest."""
        left, own = {space.oid for space in spaces}, b""
        url, label = self.site.settings.database_url, self.slot.backup_id
        with closing(replication_copy.base_backup_parts(url, label=label, setting=DATABASE_URL)) as parts:
            for part, chunks in parts:
                if part.is_manifest:
                    own = b"".join(chunks)
                elif part.oid is None:
                    self._pack(chunks, Role.BASE, "base.tar.zst")
                else:
                    left ^= {part.oid}
                    self._pack(chunks, Role.TABLESPACE, _space_tar(part.oid))
        if left:
            raise ToolFailed(f"tablespaces were made or dropped meanwhile: {sorted(left)}", remedy="run again")
        return own

    def _pack(self, chunks: Iterable[bytes], role: Role, suffix: str) -> bytes:
        """Compress one tar; the manifest in it, if it has one."""
        tar = TarWatcher(lambda name: name == physical.MANIFEST)
        watched = tar.passing(self._counted(chunks), name=f"{self.slot.backup_id}.{suffix}")
        self._keep(role, suffix, lambda path, to: write_zstd(watched, path, to))
        self.unpacked += tar.unpacked
        return tar.kept.get(physical.MANIFEST, b"")

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.site.progress.advance(len(chunk))
            yield chunk

    def _keep(self, role: Role, suffix: str, write: Write) -> None:
        self.files.append(write_file_of(self.site, self.slot, role, suffix, write))


def _space_tar(oid: int) -> str:
    return f"base.{oid}.tar.zst"
