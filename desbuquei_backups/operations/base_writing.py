"""Write a base backup, or an increment of one, as files of a slot's backup: tars, manifest, the server's settings."""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import ToolFailed
from desbuquei_backups.core.manifest import BaseFacts, FileFacts, Role, Tablespace
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.wal import show_lsn
from desbuquei_backups.operations.increment_parent import keep_manifest
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unpacking import beside
from desbuquei_backups.operations.writing import Write, write_file_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import physical, replication_copy, wal
from desbuquei_backups.postgres.programs import Programs
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.growing import Growing
from desbuquei_backups.storage.stream import Checksums, read_file, write_gzip, write_plain, write_zstd
from desbuquei_backups.storage.tar_stream import TarWatcher


def write_base(
    site: Site,
    slot: Slot,
    connection: pg.Connection,
    programs: Programs,
    spaces: Sequence[physical.Space],
    *,
    against: Path | None = None,
) -> tuple[BaseFacts, list[FileFacts]]:
    """A base backup of the whole cluster; or, `against` PostgreSQL's manifest of one, an increment of that.

    ToolFailed, SourceUnreachable, DiskError; nothing is left under a final name then that a draft speaks of.
    """
    writing = _Writing(site, slot, "base" if against is None else "incr")
    return writing.write(connection, programs, spaces, against), writing.files


def in_the_clear(
    site: Site, connection: pg.Connection, spaces: Sequence[physical.Space], *, increment: bool = False
) -> str | None:
    """Why parts of it would lie on disk before they could be encrypted, as the settings demand; None if they would not.

    pg_basebackup writes tablespaces to disk; a server that it is too old for, or an increment, cannot be streamed
    without it.
    """
    old = connection.info.server_version < replication_copy.OLDEST * 10000
    if not spaces or not site.settings.age_recipients or not (old or increment):
        return None
    named = ", ".join(space.name for space in spaces)
    why = "" if increment else f", and is older than PostgreSQL {replication_copy.OLDEST}"
    return (
        f"the cluster has tablespaces ({named}){why}: pg_basebackup writes them to disk before they could be encrypted"
    )


@dataclass
class _Writing:
    site: Site
    slot: Slot
    kind: str
    files: list[FileFacts] = field(default_factory=list)
    unpacked: int = 0

    def write(
        self, connection: pg.Connection, programs: Programs, spaces: Sequence[physical.Space], against: Path | None
    ) -> BaseFacts:
        begun = time.monotonic()
        row = connection.execute(
            "select sum(pg_database_size(oid))::bigint from pg_database where has_database_privilege(oid, 'connect')"
        ).fetchone()
        size = row[0] if row and against is None else None
        doing = "the cluster" if against is None else "what has changed"
        self.site.progress.stage(f"copying {doing}", size)
        parameters = pg.parse(self.site.settings.database_url, setting=DATABASE_URL)
        label = self.slot.backup_id
        source = _Source(programs, parameters, label, against)
        if spaces and self.site.settings.age_recipients:
            own = self._stream(spaces)
        elif not self.site.settings.age_recipients and physical.compresses(connection):
            # Of what passes compressed, nobody knows how much will come.
            self.site.progress.stage(f"copying {doing}")
            own = self._take(source, spaces, wal.segment_size(connection))
        elif spaces:
            with beside(self.site.settings.folder) as place:
                for _ in source.into(place):
                    pass
                _refuse_changed(
                    {*place.glob("*.tar")} ^ {place / f"{oid}.tar" for oid in ("base", *(s.oid for s in spaces))}
                )
                self.site.progress.stage(f"compressing {doing}", size)
                self._pack(read_file(place / "base.tar"), Role.BASE, self._tar(None))
                for space in spaces:
                    self._pack(read_file(place / f"{space.oid}.tar"), Role.TABLESPACE, self._tar(space.oid))
                own = (place / physical.MANIFEST).read_bytes()
        else:
            own = self._pack(source.streamed(), Role.BASE, self._tar(None))
        needed = physical.wal_range(own)
        self._keep(Role.BASE_MANIFEST, f"{self.kind}_manifest", lambda path, to: write_plain([own], path, to))
        if against is None:
            keep_manifest(self.site, label, own)
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
                if f".{self._tar(space.oid)}" in file.name
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
                    self._pack(chunks, Role.BASE, self._tar(None))
                else:
                    left ^= {part.oid}
                    self._pack(chunks, Role.TABLESPACE, self._tar(part.oid))
        _refuse_changed(left)
        return own

    def _tar(self, oid: int | None) -> str:
        """The suffix of a tablespace's file; None: the data directory's."""
        return f"{self.kind}.tar.zst" if oid is None else f"{self.kind}.{oid}.tar.zst"

    def _take(self, source: "_Source", spaces: Sequence[physical.Space], segment_size: int) -> bytes:
        """Let the server compress, and hash the tars as they come; PostgreSQL's manifest, which is in none of them."""
        with beside(self.site.settings.folder) as place:
            tars = {oid: Growing(place / f"{oid or 'base'}.tar.zst") for oid in (None, *(each.oid for each in spaces))}
            try:
                for _ in source.into(place, compressed=True):
                    self.site.progress.advance(sum(tar.read() for tar in tars.values()))
                _refuse_changed({*place.glob("*.tar.zst")} ^ {tar.path for tar in tars.values()})
                own = (place / physical.MANIFEST).read_bytes()
                sizes = physical.sizes(own)
                sizes[None] += physical.wal_range(own).bytes_of_segments(segment_size)
                for oid, tar in tars.items():
                    role = Role.TABLESPACE if oid else Role.BASE
                    self._keep(role, self._tar(oid), _moved(tar, sizes.get(oid, 0)))
                self.unpacked = sum(sizes.values())
            finally:
                for tar in tars.values():
                    tar.close()
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


@dataclass(frozen=True, slots=True)
class _Source:
    """What pg_basebackup is called with."""

    programs: Programs
    parameters: Mapping[str, Any]
    label: str
    against: Path | None

    def streamed(self) -> Iterator[bytes]:
        return physical.base_backup(self.programs, self.parameters, label=self.label, against=self.against)

    def into(self, place: Path, *, compressed: bool = False) -> Iterator[None]:
        return physical.base_backup_in(
            self.programs, self.parameters, place, label=self.label, against=self.against, compressed=compressed
        )


def _refuse_changed(tablespaces: Collection[object]) -> None:
    """ToolFailed if there are any that were not there before, or are no more."""
    if tablespaces:
        named = ", ".join(sorted(str(each).rpartition("/")[2] for each in tablespaces))
        raise ToolFailed(f"tablespaces were made or dropped meanwhile: {named}", remedy="run again")


def _moved(tar: Growing, plain_size: int) -> Write:
    """Put what was hashed in the place of what is to be written."""

    def write(path: Path, _: Sequence[str]) -> Checksums:
        sums = tar.checksums(plain_size=plain_size)
        with disk_errors(path):
            tar.path.replace(path)
        return sums

    return write
