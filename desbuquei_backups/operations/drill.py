"""A recovery drill: recover into a scratch folder, look at everything, measure it, and keep the record."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from desbuquei_backups.core.errors import BackupError, NotFound
from desbuquei_backups.core.wal import show_lsn
from desbuquei_backups.operations import drill_record, said
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.drill_checks import Findings, look_at_running, look_at_stopped
from desbuquei_backups.operations.drill_record import DrillRecord
from desbuquei_backups.operations.progress import timed
from desbuquei_backups.operations.recovered_copy import Copy, Wanted, recovered_copy
from desbuquei_backups.operations.recovery_catalog import base_copies
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.storage.disk import disk_errors, try_lock

_SCRATCH = ".drill-"


def drill(site: Site, wanted: Wanted) -> DrillRecord:
    """Recover, look at all of it, and leave nothing behind but the record, in the bucket that was recovered from and in
    the backup folder.

    What is wrong with the copy is in the record's `faults`. Raises what `recover` raises.
    """
    begun = site.now()
    findings = Findings()
    with _scratch(site) as data, recovered_copy(site, replace(wanted, throw_away=True), data) as copy:
        with timed(copy.seconds, "check"):
            look_at_running(copy, findings)
            copy.server.stop()
            look_at_stopped(copy, findings)
        record = DrillRecord(
            drilled_at=begun,
            place=wanted.place.value,
            target=str(wanted.target),
            backup_id=copy.plan.base.backup_id,
            increment=copy.plan.increment.backup_id if copy.plan.increment is not None else None,
            system_identifier=copy.copies.system_identifier,
            server_version=copy.cluster.programs.version,
            reached=show_lsn(copy.reached.position),
            committed_at=copy.reached.committed_at,
            timeline=copy.reached.timeline,
            base_size=copy.plan.base.size,
            wal_size=len(copy.plan.segments) * copy.wal.segment_size,
            present_size=_present_size(site),
            seconds=copy.seconds,
            databases=findings.databases,
            dumped_rows=_dumped(copy),
            checked=findings.checked,
            unchecked=findings.unchecked,
            faults=findings.faults,
            notes=copy.notes,
        )
    there = site.at_second_place if wanted.place is Place.SECOND else site
    said.drilled(there, record, drill_record.keep(there, record))
    return record


def may_drill(site: Site) -> str | None:
    """Why there is nothing in the bucket to recover from; None if there is."""
    try:
        base_copies(site, Place.S3)
    except NotFound as error:
        return error.what
    return None


def _dumped(copy: Copy) -> dict[str, int]:
    tables = copy.copies.manifests[copy.plan.base.backup_id].tables
    return {table.identity: table.rows for table in tables if table.rows is not None}


def _present_size(site: Site) -> int | None:
    """What the source's databases are now, if it can be asked: a drill needs nothing but the bucket."""
    url = site.settings.urls.get(DATABASE_URL)
    if not url:
        return None
    try:
        with pg.connect(url, setting=DATABASE_URL) as connection, pg.explained("asking for the database's size"):
            row = connection.execute("select sum(pg_database_size(oid))::bigint from pg_database").fetchone()
    except BackupError:
        return None
    return int(row[0]) if row else None


@contextmanager
def _scratch(site: Site) -> Iterator[Path]:
    """A data directory that is not there yet, gone afterwards; what a killed drill left goes first."""
    home = site.settings.home
    with disk_errors(home):
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
        for left in home.glob(f"{_SCRATCH}*"):
            with _held(left) as ours:
                if ours:
                    shutil.rmtree(left, ignore_errors=True)
        place = Path(mkdtemp(prefix=_SCRATCH, dir=home))
        place.chmod(0o711)  # who runs the server passes through
    with _held(place):
        try:
            yield place / "data"
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _held(place: Path) -> Iterator[bool]:
    """Hold a folder for as long as the block or this process lasts; False if another drill does."""
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield try_lock(folder)
    finally:
        os.close(folder)
