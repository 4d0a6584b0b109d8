"""How the WAL is: the server's position, the slot, the spool, what S3 has without a gap, and since when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desbuquei_backups.core.recovery_windows import Base, Wal, own_end
from desbuquei_backups.core.wal import Gap, Histories, Segment, gaps, needed
from desbuquei_backups.core.wal_pages import HEADER_SIZE
from desbuquei_backups.core.wal_points import DeclaredGap
from desbuquei_backups.core.wal_retention import bases_of_window
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bases import bases_there
from desbuquei_backups.operations.wal_bucket import clusters, listed, read_gaps, read_wal
from desbuquei_backups.operations.wal_points import nothing_but_own
from desbuquei_backups.operations.wal_slot import Cluster, Refused, cluster_of
from desbuquei_backups.operations.wal_spool import Spool, spool_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import wal


@dataclass(frozen=True, slots=True)
class WalState:
    """What was found. `server` is where the server is, None on a standby; `base` the first base backup of the window;
    `newest` the last segment that S3 has on the way to the server's timeline, `newest_at` when its end was current.

    `gaps` are missing after `base`; `declared` those that are known. `others`: clusters whose WAL is there, too. `age`:
    how much of the latest is not in S3, 0 if nothing was written since; None: not known.
    """

    cluster: Cluster
    slot: wal.Slot | None
    server: wal.Position | None
    bases: Sequence[Base]
    base: Base | None
    newest: Segment | None
    newest_at: datetime | None
    age: timedelta | None
    gaps: Sequence[Gap]
    declared: Sequence[DeclaredGap]
    others: Sequence[str]
    segments: int
    waiting: int
    waiting_bytes: int
    rejected: Sequence[str]


def wal_state(site: Site, *, not_archived: Base | None = None) -> WalState | Refused:
    """Look at server, spool and S3. Where the server was is remembered; nothing else is changed.

    `not_archived`: a base backup that is on its way to S3.
    """
    spool = spool_of(site)
    url = site.settings.database_url
    with pg.connect(url, setting=DATABASE_URL) as connection, pg.explained("looking at the WAL"):
        pg.pin(connection)
        cluster = cluster_of(site, connection)
        if isinstance(cluster, Refused):
            return cluster
        slot = wal.find_slot(connection, wal.slot_name(site.policy.database))
        server = wal.position(connection, cluster.segment_size)
    if server is not None:
        spool.prepare()
        spool.remember(server)
    return _state(site, spool, cluster, slot, server, [not_archived] if not_archived is not None else [])


def _state(
    site: Site,
    spool: Spool,
    cluster: Cluster,
    slot: wal.Slot | None,
    server: wal.Position | None,
    not_archived: Sequence[Base],
) -> WalState:
    identifier = cluster.system_identifier
    there = listed(site.bucket, identifier)
    found = read_wal(site.bucket, there, since=site.now() - site.policy.recovery_point_objective * 3)
    histories = Histories({**found.histories.of, **cluster.histories.of})
    bases = [*bases_there(site, identifier), *not_archived]
    base = next(iter(bases_of_window(bases, site.now(), site.policy.pitr_window)), None)
    wanted = wanted_segments(found, histories, cluster, base)
    missing = gaps(wanted, found.segments)
    newest = next((each for each in reversed(wanted) if each.name in found.segments), None)
    at = _at(found, spool, newest)
    files = spool.files()
    return WalState(
        cluster=cluster,
        slot=slot,
        server=server,
        bases=bases,
        base=base,
        newest=newest,
        newest_at=at,
        age=_age(site, spool, newest, server, at),
        gaps=missing,
        declared=read_gaps(site.bucket, identifier),
        others=[each for each in clusters(site.bucket) if each != identifier],
        segments=len(found.segments),
        waiting=len(files),
        waiting_bytes=spool.size,
        rejected=spool.rejected(),
    )


def wanted_segments(found: Wal, histories: Histories, cluster: Cluster, base: Base | None) -> list[Segment]:
    """The segments from the first base of the window, or the oldest one there is, up to the newest."""
    size = cluster.segment_size
    on_way = {timeline: end for timeline, _, end in histories.path(cluster.timeline)}
    segments = [Segment.of_name(name, size) for name in found.segments]
    ours = [each for each in segments if each.timeline in on_way]
    if not ours:
        return []
    end = max(each.end for each in ours if (last := on_way[each.timeline]) is None or each.start < last)
    # What makes the base consistent is in itself, up to the end of a segment; of what is there one at least is wanted.
    start = min(each.start for each in ours)
    if base is not None:
        start = min(own_end(base, cluster.timeline, replace(found, histories=histories)), end - size)
    return needed(cluster.timeline, start, end, histories, size)


def _at(found: Wal, spool: Spool, newest: Segment | None) -> datetime | None:
    if newest is None:
        return None
    moments = [p.at for p in found.points if p.timeline == newest.timeline and p.position <= newest.end]
    moments += [p.at for p in spool.positions() if p.timeline == newest.timeline and p.position <= newest.end]
    return max(moments, default=None)


def _age(
    site: Site, spool: Spool, newest: Segment | None, server: wal.Position | None, at: datetime | None
) -> timedelta | None:
    if newest is None or server is None:
        return None
    # A page that was begun has its header already.
    if server.timeline == newest.timeline and server.position <= newest.end + HEADER_SIZE:
        return timedelta(0)
    seen = [p for p in spool.positions() if p.timeline == newest.timeline and p.position <= newest.end]
    if seen and nothing_but_own(site, max(seen, key=lambda p: p.at).snapshot, server.snapshot):
        return timedelta(0)
    return None if at is None else max(server.at - at, timedelta(0))
