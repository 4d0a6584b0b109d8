"""Write a base backup, or an increment of one, as files of a slot's backup: tars, manifest, the server's settings."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from desbuquei_backups.core.manifest import BaseFacts, FileFacts, Role, Tablespace
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.wal import show_lsn
from desbuquei_backups.operations.increment_parent import keep_manifest
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unpacking import beside
from desbuquei_backups.operations.writing import Write, write_file_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import physical
from desbuquei_backups.postgres.programs import Programs
from desbuquei_backups.storage.stream import read_file, write_gzip, write_plain, write_zstd
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
        if spaces:
            with beside(self.site.settings.folder) as place:
                physical.base_backup_in(programs, parameters, place, label=label, against=against)
                self.site.progress.stage(f"compressing {doing}", size)
                self._pack(read_file(place / "base.tar"), Role.BASE, f"{self.kind}.tar.zst")
                for space in spaces:
                    self._pack(
                        read_file(place / f"{space.oid}.tar"), Role.TABLESPACE, f"{self.kind}.{space.oid}.tar.zst"
                    )
                own = (place / physical.MANIFEST).read_bytes()
        else:
            own = self._pack(
                physical.base_backup(programs, parameters, label=label, against=against),
                Role.BASE,
                f"{self.kind}.tar.zst",
            )
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
                for space, file in zip(spaces, (f for f in self.files if f.role is Role.TABLESPACE), strict=True)
            ],
        )

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
