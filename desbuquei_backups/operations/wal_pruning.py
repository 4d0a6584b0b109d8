"""Prune WAL: what no base backup of the window needs any more goes, with every version of it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desbuquei_backups.core.slots import slot_of
from desbuquei_backups.core.wal_retention import WalVerdict, wal_verdict
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bases import bases_there
from desbuquei_backups.operations.wal_bucket import clusters, listed, point_key, segment_size
from desbuquei_backups.storage.s3_errors import Locked
from desbuquei_backups.storage.versions import delete_version, versions

_AT_ONCE = 8
_SETTLED = timedelta(days=1)  # by then a slot's point was made


@dataclass(frozen=True, slots=True)
class WalPlanned:
    """The verdict on the WAL of one cluster, and the keys of what goes."""

    system_identifier: str
    verdict: WalVerdict
    keys: list[str]

    def said(self, gone: int | None = None) -> str:
        """In one sentence."""
        going = len(self.keys) if gone is None else gone
        word = "would go" if gone is None else "gone"
        return f"WAL of {self.system_identifier}: {self.verdict.kept:,} kept, {going:,} {word}; {self.verdict.reason}"


@dataclass(frozen=True, slots=True)
class WalPruned:
    """What became of it. `locked`: how many the store would not delete yet."""

    planned: WalPlanned
    gone: int
    freed: int
    locked: int


def plan_wal(site: Site) -> list[WalPlanned]:
    """For each cluster whose WAL is in the bucket; nothing is changed. StoreError if S3 cannot be asked.

    Nothing goes where S3 is pruned from elsewhere.
    """
    found = []
    for system_identifier in clusters(site.bucket):
        there = listed(site.bucket, system_identifier)
        bases = bases_there(site, system_identifier)
        verdict = wal_verdict(there.files, bases, segment_size(site.bucket, there), site.now(), site.policy.pitr_window)
        if not site.settings.prunes_s3:
            verdict = replace(
                verdict, going=(), kept=len(there.files), reason=f"{verdict.reason}; pruned from elsewhere"
            )
        keys = [there.key(name) for name in verdict.going]
        if verdict.going and verdict.since is not None:
            keys += [point_key(system_identifier, name) for name in _over(there.points, verdict.since.stopped_at)]
        found.append(WalPlanned(system_identifier, verdict, keys))
    return found


def _over(points: Sequence[str], since: datetime) -> list[str]:
    """The hourly points from before the oldest base backup that is kept; one that a person named stays."""
    return [name for name in points if (slot := slot_of(name)) is not None and slot.due < since - _SETTLED]


def wal_lines(site: Site, *, dry_run: bool) -> list[str]:
    """Prune WAL, or only look; a line for each cluster."""
    if dry_run:
        return [planned.said() for planned in plan_wal(site)]
    return [each.planned.said(each.gone) for each in prune_wal(site)]


def prune_wal(site: Site) -> list[WalPruned]:
    """Carry it out, oldest first. What is locked stays, and is tried again the next time."""
    done = []
    for planned in plan_wal(site):
        site.progress.stage("pruning WAL", len(planned.keys), unit="files")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            freed = list(pool.map(lambda key: _delete(site, key), planned.keys))
        sizes = [size for size in freed if size is not None]
        done.append(WalPruned(planned, len(sizes), sum(sizes), len(freed) - len(sizes)))
    return done


def _delete(site: Site, key: str) -> int | None:
    """The bytes that are gone; None if it is locked."""
    freed = 0
    try:
        for version in list(versions(site.bucket, key)):
            if version.key == key:
                delete_version(site.bucket, version)
                freed += version.size
    except Locked:
        return None
    site.progress.advance(1)
    return freed
