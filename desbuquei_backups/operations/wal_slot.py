"""The slot that keeps WAL for us: made before it is needed, made anew when it was lost, and what was lost declared."""

import logging
from contextlib import suppress
from dataclasses import dataclass

from desbuquei_backups.core.errors import BackupError, ConfigurationError, StoreUnreachable
from desbuquei_backups.core.wal import Histories, Segment, WalKind, history_name, next_number, parse_history, show_lsn
from desbuquei_backups.core.wal_points import DeclaredGap
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_archive import archive_spool
from desbuquei_backups.operations.wal_bucket import gap_key, listed
from desbuquei_backups.operations.wal_spool import Spool, spool_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import physical, wal
from desbuquei_backups.postgres.programs import Programs, choose
from desbuquei_backups.postgres.receiving import WalGone, receive
from desbuquei_backups.storage.s3_errors import Taken

RECEIVE_SECONDS = 3600.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """That the server gives no WAL, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server that gives its WAL. `histories` are those of the timeline that it is on."""

    system_identifier: str
    timeline: int
    segment_size: int
    histories: Histories
    programs: Programs


@dataclass(frozen=True, slots=True)
class Ensured:
    """The slot, as it is now. `made`: why it was made just now; None if it was there."""

    slot: wal.Slot
    made: str | None = None


def cluster_of(site: Site, connection: pg.Connection) -> Cluster | Refused:
    """What the server is, proven by asking; nothing is made on it."""
    url = site.settings.database_url
    may = physical.capability(url, connection, setting=DATABASE_URL)
    if may.refused is not None:
        return Refused(may.refused)
    histories = Histories({})
    if may.timeline > 1:
        with pg.connect(url, setting=DATABASE_URL, replication="true") as replica:
            content = wal.timeline_history(replica, may.timeline)
        if content is not None:
            histories = Histories({may.timeline: parse_history(content, name=history_name(may.timeline))})
    programs = choose(connection.info.server_version // 10000)
    return Cluster(may.system_identifier, may.timeline, wal.segment_size(connection), histories, programs)


def ensure_slot(site: Site, connection: pg.Connection, cluster: Cluster) -> Ensured:
    """The slot of this database; one that is missing or lost is made anew.

    SourceRefused if the role may not; ConfigurationError if something else has its name.
    """
    spool, name = spool_of(site), wal.slot_name(site.policy.database)
    spool.prepare()
    if spool.system_identifier not in (None, cluster.system_identifier):
        # Another cluster took its place, after an upgrade say: what is left of the one before goes where it belongs.
        archive_spool(site)
        spool.begin_anew()
    spool.belongs_to(cluster.system_identifier)
    with pg.explained(f"looking for the replication slot {name}"):
        found = wal.find_slot(connection, name)
        if found is not None and not found.physical:
            raise ConfigurationError(
                f"the replication slot {name} is a logical one: it is somebody else's",
                remedy="give the database another name in the policy, or drop that slot",
            )
        if found is not None and not found.lost:
            return Ensured(found)
        made = "there was none" if found is None else "the server had given it up: max_slot_wal_keep_size was exceeded"
        if found is not None:
            wal.drop_slot(connection, name)
        wal.make_slot(connection, name)
        slot = wal.find_slot(connection, name)
        assert slot is not None
    _LOG.info("the replication slot %s was made: %s", name, made)
    return Ensured(slot, made)


def last_received(site: Site, spool: Spool, cluster: Cluster) -> Segment | None:
    """The last segment that is in S3 or in the spool, on the way to the server's timeline; None if none is.

    While S3 does not answer it is what the spool has.
    """
    names = spool.names()
    try:
        names |= listed(site.bucket, cluster.system_identifier).files.keys()
    except StoreUnreachable as error:
        _LOG.warning("S3 does not answer; WAL is received all the same: %s", error.what)
    number = next_number(cluster.timeline, names, cluster.histories, cluster.segment_size)
    if number is None:
        return None
    of = next(
        (
            each
            for each in sorted({int(name[:8], 16) for name in names if len(name) == 24}, reverse=True)
            if Segment(each, number - 1, cluster.segment_size).name in names
        ),
        cluster.timeline,
    )
    return Segment(of, number - 1, cluster.segment_size)


def bring_skipped(site: Site, spool: Spool, cluster: Cluster, slot: wal.Slot, last: Segment | None) -> None:
    """What lies between the last segment that we have and a slot that was made anew, if the server has it all the same.

    It is asked for without the slot: one that is asked for WAL that is gone stands there from then on, and what it kept
    is lost as well. What the server has no longer is written down as lost.
    """
    begins = (slot.restart or 0) // cluster.segment_size
    if last is None or begins <= last.number + 1 or spool.lost_after is not None:
        return
    parameters = pg.parse(site.settings.database_url, setting=DATABASE_URL)
    until = begins * cluster.segment_size
    try:
        with spool.after(last):
            receive(cluster.programs, parameters, spool.streamed, None, until=until, seconds=RECEIVE_SECONDS)
    except WalGone as error:
        # The server may have removed it while it was sending.
        _note(spool, last_received(site, spool, cluster), error)


def _note(spool: Spool, last: Segment | None, error: BackupError) -> None:
    _LOG.error("the server has no longer the WAL that comes next: %s", error.what)
    spool.begin_anew()
    if last is not None:
        spool.note_loss(last, "the server had removed it, or was failed over without it")


def note_loss(
    site: Site, connection: pg.Connection, cluster: Cluster, last: Segment | None, error: BackupError
) -> None:
    """The server has no longer what comes next: that is written down, what was begun set aside, the slot made anew.

    A slot that was asked for WAL that is gone stands there from then on, however far it was before.
    """
    _note(spool_of(site), last, error)
    with pg.explained("making the replication slot anew"):
        wal.drop_slot(connection, wal.slot_name(site.policy.database))
    ensure_slot(site, connection, cluster)


def declare_gap(site: Site, cluster: Cluster) -> DeclaredGap | None:
    """Write into S3 what the spool says is lost, once WAL after it is there; None: nothing is, or nothing came yet."""
    spool, size = spool_of(site), cluster.segment_size
    if (noted := spool.lost_after) is None:
        return None
    last, why = Segment.of_name(noted[0], size), noted[1]
    there = listed(site.bucket, cluster.system_identifier)
    after = sorted(
        segment
        for name in there.of_kind(WalKind.SEGMENT)
        if (segment := Segment.of_name(name, size)).number > last.number and segment.timeline <= cluster.timeline
    )
    if not after:
        return None
    first = min(segment.number for segment in after)
    gap = None
    if first > last.number + 1:
        gap = DeclaredGap(
            system_identifier=cluster.system_identifier,
            timeline=cluster.timeline,
            start=show_lsn(last.end),
            end=show_lsn(first * size),
            why=why,
            declared_at=site.now(),
        )
        tags = {"tier": "wal", "database": site.policy.database}
        with suppress(Taken):
            site.bucket.put_if_absent(gap_key(gap), gap.to_bytes(), tags=tags)
        _LOG.error("WAL is lost for good: %s. A new base backup is needed: desbuquei backup daily", gap.said())
    spool.note_loss(None, "")
    return gap
