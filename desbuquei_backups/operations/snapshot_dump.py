"""A dump of one snapshot of the database, counted and fingerprinted in that same snapshot."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from desbuquei_backups.core.errors import IntegrityError, SourceUnreachable
from desbuquei_backups.core.manifest import (
    FINGERPRINT,
    DatabaseObject,
    FileFacts,
    LargeObjectFacts,
    Manifest,
    ObjectFacts,
    Role,
    TableFacts,
)
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.progress import timed
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.survey import Survey, survey
from desbuquei_backups.operations.writing import write_file_of
from desbuquei_backups.postgres import amcheck, contents, logical, objects, server
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres.plain_dump import Found, PlainDumpReader
from desbuquei_backups.postgres.programs import Programs, choose
from desbuquei_backups.postgres.requirements import requirements
from desbuquei_backups.postgres.snapshots import mark
from desbuquei_backups.storage.stream import write_gzip

_SETTLING = 5  # how often tables may come and go between listing and locking before we give up


@dataclass
class SnapshotDump:
    """One dump being taken. `read` is the bytes of SQL that came out of the database so far."""

    site: Site
    slot: Slot
    measured: bool
    read: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def take(self, connection: pg.Connection) -> Manifest:
        """Write the files of one snapshot into the folder; `connection` is pinned, its transactions repeatable."""
        begun = time.monotonic()
        programs = self._programs(connection)
        with self._snapshot(connection) as (snapshot, taken_at, seen):
            manifest = self._dump(connection, programs, snapshot, taken_at, seen)
        return manifest.model_copy(update={"duration_seconds": round(time.monotonic() - begun, 3)})

    @property
    def folder(self) -> Path:
        return self.site.settings.folder

    def _programs(self, connection: pg.Connection) -> Programs:
        major = connection.info.server_version // 10000
        programs = choose(major)
        if programs.major > major:
            self.warnings.append(
                f"taken with pg_dump {programs.version} from PostgreSQL {major}: "
                f"it restores on PostgreSQL {programs.major} or newer"
            )
        return programs

    @contextmanager
    def _snapshot(self, connection: pg.Connection) -> Iterator[tuple[str, datetime, Survey]]:
        """Lock every table, then take the snapshot, then see that the tables are still the ones that were locked."""
        lock_timeout_ms = int(self.site.policy.lock_timeout.total_seconds() * 1000)
        platform = server.platform(connection)
        for _ in range(_SETTLING):
            before = survey(connection, platform)
            try:
                with connection.transaction():
                    contents.lock(connection, before.readable, timeout_ms=lock_timeout_ms)
                    row = connection.execute("select pg_export_snapshot(), statement_timestamp()").fetchone()
                    assert row is not None
                    after = survey(connection, platform)
                    if before.oids == after.oids:
                        yield row[0], row[1], after
                        return
            except psycopg.errors.UndefinedTable:
                continue
        raise SourceUnreachable(
            "tables come and go faster than they can be locked", remedy="run again when the migration is over"
        )

    def _dump(
        self, connection: pg.Connection, programs: Programs, snapshot: str, taken_at: datetime, seen: Survey
    ) -> Manifest:
        parameters = pg.parse(self.site.settings.database_url, setting=DATABASE_URL)
        facts, state = server.facts(connection, seen.platform), mark(connection)
        needed = requirements(connection, seen.excluded_relations)
        with timed(self.seconds, "dump"):
            file, found = self._write_dump(connection, programs, parameters, snapshot, seen)
        tables, large_objects = self._measure(connection, seen, found)
        counted, unwritten = self._objects(connection, seen, found)
        with timed(self.seconds, "globals"):
            files = [file, *self._write_extras(programs, parameters, seen)]
        return Manifest(
            backup_id=self.slot.backup_id,
            tier=self.slot.tier,
            slot=self.slot.due,
            taken_at=taken_at,
            duration_seconds=0,
            stage_seconds=self.seconds,
            database=self.site.policy.database,
            server=facts,
            tools={"pg_dump": programs.version, "psql": programs.version},
            files=files,
            fingerprint=FINGERPRINT if self.measured else None,
            tables=tables,
            sequences=found.sequences,
            large_objects=large_objects,
            objects=counted,
            unwritten=unwritten,
            invalid_indexes=amcheck.invalid_indexes(connection),
            requirements=needed,
            left_out=seen.left_out,
            warnings=self.warnings,
            mark=state,
            recipients=self.site.settings.age_recipients,
        )

    def _write_dump(
        self,
        connection: pg.Connection,
        programs: Programs,
        parameters: Mapping[str, Any],
        snapshot: str,
        seen: Survey,
    ) -> tuple[FileFacts, Found]:
        row = connection.execute("select pg_database_size(current_database())").fetchone()
        self.site.progress.stage("dumping", row[0] if row else None)
        reader = PlainDumpReader(passing=False, count_rows=self.measured)

        def watched() -> Iterator[bytes]:
            for chunk in logical.dump(
                programs,
                parameters,
                snapshot=snapshot,
                exclude=seen.exclude_patterns,
                lock_timeout_ms=int(self.site.policy.lock_timeout.total_seconds() * 1000),
                warnings=self.warnings,
            ):
                reader.feed(chunk)
                self.read += len(chunk)
                self.site.progress.advance(len(chunk))
                yield chunk
            reader.finish()
            if not reader.found.complete:
                raise IntegrityError(
                    "pg_dump ended well, but its footer is missing: the dump is not whole",
                    remedy="run again; look at the server's log if it happens twice",
                )

        return self._write(Role.DUMP, "sql.gz", watched()), reader.found

    def _measure(
        self, connection: pg.Connection, seen: Survey, found: Found
    ) -> tuple[list[TableFacts], LargeObjectFacts | None]:
        if not self.measured:
            return [], None
        with timed(self.seconds, "counts and fingerprints"):
            self.site.progress.stage("counting and fingerprinting", len(seen.counted), unit="tables")
            parts = contents.parts_of(seen.carried, seen.counted)
            counted = contents.measure(
                connection, seen.counted, parts=parts, done=lambda _: self.site.progress.advance(1)
            )
            large_objects = contents.large_objects(connection)
        tables = [
            facts.model_copy(
                update={"dumped_rows": sum(found.rows.get(oid, 0) for oid in (facts.parts or (facts.oid,)))}
            )
            for facts in counted
        ]
        return tables, large_objects

    def _objects(
        self, connection: pg.Connection, seen: Survey, found: Found
    ) -> tuple[list[ObjectFacts] | None, list[DatabaseObject]]:
        """What there is by the catalogs, and what of it pg_dump did not write."""
        if not self.measured:
            return None, []
        with timed(self.seconds, "objects"):
            gone = [relation.oid for relation in seen.excluded]
            return objects.count_objects(connection, gone), objects.unwritten(connection, found.objects, gone)

    def _write_extras(self, programs: Programs, parameters: Mapping[str, Any], seen: Survey) -> list[FileFacts]:
        self.site.progress.stage("roles and the database's own properties")
        return [
            self._write(
                Role.GLOBALS,
                "globals.sql.gz",
                logical.globals_(programs, parameters, passwords=seen.passwords_readable),
            ),
            self._write(
                Role.DATABASE,
                "database.sql.gz",
                logical.database_properties(programs, parameters, exclude=seen.exclude_patterns),
            ),
        ]

    def _write(self, role: Role, suffix: str, chunks: Iterator[bytes]) -> FileFacts:
        written = write_file_of(self.site, self.slot, role, suffix, lambda path, to: write_gzip(chunks, path, to))
        self.read += 0 if role is Role.DUMP else written.plain_size
        return written
