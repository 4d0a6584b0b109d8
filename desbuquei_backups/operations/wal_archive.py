"""From the spool to S3: each file is looked at, stored under its name, and only then removed from here."""

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from desbuquei_backups.core.errors import BackupError, IntegrityError, NotFound
from desbuquei_backups.core.wal import DEFAULT_SEGMENT_SIZE, Segment, WalKind, kind_of
from desbuquei_backups.core.wal_pages import HEADER_SIZE, FirstPage, first_page
from desbuquei_backups.core.wal_points import current_at
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bucket import Listed, listed
from desbuquei_backups.operations.wal_packing import NotWhole
from desbuquei_backups.operations.wal_spool import Spool, spool_of
from desbuquei_backups.operations.wal_storing import store_wal
from desbuquei_backups.storage import disk

_LOG = logging.getLogger(__name__)
_AT_ONCE = 4
_LARGE = 256 * 1024 * 1024  # of such segments one at a time is enough
_LOCK = "wal-archiving"
# A file that is shorter than it should be, and was written to so lately, may still be on its way: cp is not atomic.
_SETTLED_SECONDS = 300


@dataclass(slots=True)
class Archived:
    """What became of the spool. `stored` are new in S3, `equal` were there already; bytes are plain and as stored.

    `faults`: what could not be stored for good, each a sentence; its files are still here. `waiting`: not whole yet.
    """

    stored: list[str] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    faults: list[BackupError] = field(default_factory=list)
    plain_bytes: int = 0
    stored_bytes: int = 0
    seconds: float = 0.0

    def add(self, other: "Archived") -> None:
        """Count what another pass over the spool did, too; what waited may be stored by now."""
        self.stored += other.stored
        self.equal += other.equal
        self.waiting = other.waiting
        self.faults = [*self.faults, *other.faults]
        self.plain_bytes += other.plain_bytes
        self.stored_bytes += other.stored_bytes
        self.seconds += other.seconds


def archive_spool(site: Site, *, wait_seconds: float = 600) -> Archived:
    """Store every whole file of the spool, some at once. One that is bad keeps no other from it: see `faults`.

    StoreUnreachable if S3 is down: what is not stored stays here; run again, it goes on. Busy if another process is at
    it for longer than `wait_seconds`. NotFound if it is not known whose the files are.
    """
    spool, begun = spool_of(site), time.monotonic()
    spool.prepare()
    done = Archived()
    with spool.locked(_LOCK, wait_seconds):
        files = spool.files()
        if files:
            _archive(site, spool, files, done)
        spool.trim()
    done.seconds = time.monotonic() - begun
    return done


def _archive(site: Site, spool: Spool, files: Sequence[Path], done: Archived) -> None:
    system_identifier = spool.system_identifier
    if system_identifier is None:
        raise NotFound(
            f"it is not known of which cluster the WAL in {spool.folder} is",
            remedy="run `desbuquei wal drain` once while the database answers",
        )
    run = _Run(site, spool, system_identifier, listed(site.bucket, system_identifier, after=_before(files)), done)
    at_once = 1 if max(path.stat().st_size for path in files) >= _LARGE else _AT_ONCE
    pool = ThreadPoolExecutor(at_once)
    try:
        for found in pool.map(run.one, files):
            if found is not None:
                raise found
    finally:
        pool.shutdown(cancel_futures=True)


def _before(files: Sequence[Path]) -> str:
    """A name before all of them: only what comes after it need be listed. Points and gaps come after all names."""
    first = min(path.name for path in files)
    return first[:-1]


@dataclass(slots=True)
class _Run:
    site: Site
    spool: Spool
    system_identifier: str
    there: Listed
    done: Archived
    seen: list[tuple[int, int, datetime]] = field(init=False)
    stopped: bool = False

    def __post_init__(self) -> None:
        self.seen = [(each.timeline, each.position, each.at) for each in self.spool.positions()]

    def one(self, path: Path) -> BackupError | None:
        """Store one file and remove it; what keeps all others from being stored, too, is returned."""
        if self.stopped:
            return None
        try:
            before = path.stat()
            self._store(path)
        except FileNotFoundError:  # moved away meanwhile
            return None
        except NotWhole as error:
            if self._is_on_its_way(path, before):
                self.done.waiting.append(path.name)
            else:
                disk.set_aside(path, "not-whole")
                self._fault(error)
        except IntegrityError as error:
            self._fault(error)
        except BackupError as error:
            self.stopped = True
            return error
        return None

    def _store(self, path: Path) -> None:
        suffix, at = self.there.files.get(path.name), self._current_at(path)
        stored = store_wal(self.site, self.system_identifier, path, suffix=suffix, at=at)
        if stored.new:
            self.done.stored.append(path.name)
            self.done.plain_bytes += stored.plain_size
            self.done.stored_bytes += stored.size
        else:
            self.done.equal.append(path.name)
        with disk.disk_errors(path):
            path.unlink(missing_ok=True)
        self.site.progress.advance(stored.plain_size)

    def _current_at(self, path: Path) -> datetime | None:
        page = _first_page(path) if kind_of(path.name) is WalKind.SEGMENT else None
        return current_at(Segment.of_name(path.name, page.segment_size), self.seen) if page is not None else None

    def _is_on_its_way(self, path: Path, before: os.stat_result) -> bool:
        """Whether it may still be written: it grew meanwhile, or it is short, and was written to lately."""
        with disk.disk_errors(path):
            status = path.stat()
            if (status.st_size, status.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                return True
            if kind_of(path.name) is not WalKind.SEGMENT:
                return False
            page = _first_page(path)
        whole = page.segment_size if page is not None else DEFAULT_SEGMENT_SIZE
        return status.st_size < whole and self.site.now().timestamp() - status.st_mtime < _SETTLED_SECONDS

    def _fault(self, error: BackupError) -> None:
        _LOG.error("%s", error.what)
        self.done.faults.append(error)


def _first_page(path: Path) -> FirstPage | None:
    with disk.disk_errors(path), path.open("rb") as file:
        return first_page(file.read(HEADER_SIZE))
