"""WAL in the second place: what the first has since the base backups there, and it has not, is copied.

Nothing waits for it: what is in the way is said, and made up the next time.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from desbuquei_backups.core.errors import BackupError, Busy, IntegrityError, NotFound
from desbuquei_backups.core.recovery import Base
from desbuquei_backups.core.wal_retention import bases_of_window, wal_verdict
from desbuquei_backups.operations.second_wal_copy import copy_wal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bases import bases_there
from desbuquei_backups.operations.wal_bucket import Listed, clusters, listed, segment_size
from desbuquei_backups.storage import disk

_LOG = logging.getLogger(__name__)
_AT_ONCE = 4
_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Lacking:
    """What the second place has of one cluster's WAL, and the names and keys of what it should have and has not.

    `bases`: the base backups of the window that are there; without one, its WAL would recover nothing, and none is due.
    """

    there: Listed
    bases: Sequence[Base]
    files: Sequence[str]
    keys: Sequence[str]


@dataclass(slots=True)
class CaughtUp:
    """What became of it: the keys that are new there. `faults`: objects that could not be copied for good.

    `trouble`: what kept all others from being copied, None if nothing did.
    """

    copied: list[str] = field(default_factory=list)
    faults: list[BackupError] = field(default_factory=list)
    trouble: BackupError | None = None
    seconds: float = 0.0

    def said(self) -> str:
        """In one line, for a person."""
        if self.trouble is not None:
            return f"{len(self.copied):,} files copied, the rest is made up later: {self.trouble.what}"
        return f"{len(self.copied):,} files copied in {self.seconds:.1f} s"


def lacking(site: Site, system_identifier: str) -> Lacking:
    """By one listing of each place. What `prune` would remove there is not copied; StoreError.

    Histories, recovery points and declared gaps are small, and wanted whatever their age.
    """
    second = site.at_second_place
    there = listed(second.bucket, system_identifier)
    bases = bases_of_window(bases_there(second, system_identifier), site.now(), site.policy.pitr_window)
    if not bases:
        return Lacking(there, (), (), ())
    here = listed(site.bucket, system_identifier)
    size = segment_size(site.bucket, here)
    over = wal_verdict(here.files, bases, size, site.now(), site.policy.pitr_window).going
    # One that has another size there is another object: trying to copy it says so.
    same = {name for name, suffix in there.files.items() if here.files.get(name) != suffix}
    same |= {name for name, size in there.sizes.items() if here.sizes.get(name) == size}
    files = sorted(here.files.keys() - same - set(over))
    documents = sorted({*here.documents} - {*there.documents})
    return Lacking(there, bases, files, [*map(here.key, files), *documents])


def make_up(site: Site) -> CaughtUp:
    """Copy what the second place lacks, where there is one. It never fails: what is in the way is said."""
    if site.second is None:
        return CaughtUp()
    done = catch_up(site)
    if done.trouble is not None:
        _LOG.warning("WAL in the second place: %s; it is made up later", done.trouble.what)
    for fault in done.faults:
        _LOG.error("WAL in the second place: %s", fault.what)
    return done


def catch_up(site: Site, *, stopped: Callable[[], bool] = lambda: False) -> CaughtUp:
    """The same without a word. While another process is at it, that one is waited for, and then left to it."""
    done, begun = CaughtUp(), time.monotonic()
    try:
        with disk.lock(
            site.settings.folder,
            f"{site.policy.database}-second-wal",
            doing="WAL for the second place",
            wait_seconds=min(site.lock_wait_seconds, _WAIT_SECONDS),
        ):
            for system_identifier in clusters(site.bucket):
                _copy(site, lacking(site, system_identifier), done, stopped)
    except Busy:
        pass
    except BackupError as error:
        done.trouble = error
    done.seconds = time.monotonic() - begun
    return done


def _copy(site: Site, missing: Lacking, done: CaughtUp, stopped: Callable[[], bool]) -> None:
    """Oldest first, and the points after their WAL; the first that cannot be copied for now ends it."""
    files = len(missing.files)
    if missing.keys:
        site.progress.stage("WAL for the second place", len(missing.keys), unit="files")

    def one(number: int, key: str) -> BackupError | None:
        if stopped():
            return None
        try:
            if copy_wal(site, key, locked=number < files):
                done.copied.append(key)
        except NotFound:  # pruned meanwhile
            return None
        except IntegrityError as error:
            done.faults.append(error)
        except BackupError as error:
            return error
        site.progress.advance(1)
        return None

    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        for found in pool.map(one, range(len(missing.keys)), missing.keys):
            if found is not None:
                raise found
    finally:
        pool.shutdown(cancel_futures=True)
