"""What an hourly run does with WAL: a recovery point is made, and all WAL up to it comes into S3."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from desbuquei_backups.core.errors import Busy, SourceRefused, StoreUnreachable
from desbuquei_backups.core.wal import Segment, parse_lsn
from desbuquei_backups.core.wal_points import DeclaredGap, RecoveryPoint
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_archive import Archived, archive_spool
from desbuquei_backups.operations.wal_points import in_s3, keep_point, make_point, point_is_archived, point_of
from desbuquei_backups.operations.wal_slot import (
    RECEIVE_SECONDS,
    Cluster,
    Refused,
    bring_skipped,
    cluster_of,
    declare_gap,
    ensure_slot,
    last_received,
    note_loss,
)
from desbuquei_backups.operations.wal_spool import Spool, spool_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import wal
from desbuquei_backups.postgres.receiving import WalGone, receive

_LOG = logging.getLogger(__name__)
RECEIVING = "wal-receiving"
_STREAMER_SECONDS = 300.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Drained:
    """A recovery point whose WAL is in S3. `reused`: the point was there already, from an earlier attempt.

    `gap`: what was found to be lost for good; a new base backup is needed then. `streamed`: another process received.
    `in_s3`: false where S3 did not answer, and need not: the WAL is in the spool.
    """

    point: RecoveryPoint
    archived: Archived
    reused: bool
    streamed: bool
    gap: DeclaredGap | None
    in_s3: bool
    seconds: float


def drain(
    site: Site, name: str, *, streamer_seconds: float = _STREAMER_SECONDS, into_s3: bool = True
) -> Drained | Refused:
    """Make the restore point `name`, a commit after it, end the segment, and bring all WAL up to there into S3.

    Run again, it goes on with the point that was made. While another process streams, that one is waited for, so many
    seconds. Not `into_s3`: while S3 does not answer, the spool is far enough. SourceUnreachable, SourceRefused,
    ToolError, DiskError, StoreError; Busy; what of the spool could not be stored is in the result's `archived.faults`.
    """
    begun = time.monotonic()
    url = site.settings.database_url
    with pg.connect(url, setting=DATABASE_URL) as connection, pg.explained("draining WAL"):
        pg.pin(connection)
        cluster = cluster_of(site, connection)
        if isinstance(cluster, Refused):
            return cluster
        _refuse_unless_allowed(connection)
        ensured = ensure_slot(site, connection, cluster)
        spool = spool_of(site)
        archived = Archived()
        _archive_what_is_there(site, archived)
        reused = point_of(site, spool, cluster, name)
        point = reused or make_point(site, spool, connection, cluster, name)
        keep_point(spool, point)
        enough = spool if not into_s3 else None
        streamed = _received(site, spool, connection, cluster, point.last, archived, streamer_seconds, enough)
        gap, stored = _stored(site, spool, cluster, point, archived, into_s3=into_s3)
        if stored and not streamed and not archived.faults:
            with pg.explained("letting go of the WAL that is in S3"):
                wal.advance_slot(connection, ensured.slot.name, parse_lsn(point.end))
    return Drained(point, archived, reused is not None, streamed, gap, stored, time.monotonic() - begun)


def bring(site: Site, point: RecoveryPoint) -> None:
    """Bring all WAL up to a point, which was received, into S3; nothing, if it is there. StoreUnreachable."""
    if not point_is_archived(site, point):
        archive_spool(site)
        _refuse_unless_archived(site, point)


def _stored(
    site: Site, spool: Spool, cluster: Cluster, point: RecoveryPoint, archived: Archived, *, into_s3: bool
) -> tuple[DeclaredGap | None, bool]:
    """Store what the spool has, declare what is lost, and see that the point is in S3: the gap, and whether it is."""
    try:
        archived.add(archive_spool(site))
        gap = declare_gap(site, cluster)
        _refuse_unless_archived(site, point)
    except StoreUnreachable as error:
        if into_s3 or point.last.name not in spool.names():
            raise
        _LOG.warning("S3 does not answer; WAL waits in the spool: %s", error.what)
        return None, False
    return gap, True


def _refuse_unless_archived(site: Site, point: RecoveryPoint) -> None:
    if not point_is_archived(site, point):
        raise StoreUnreachable(
            f"{point.last.name} is not in S3", remedy="`desbuquei wal status` says what is in the way; run again"
        )


def _refuse_unless_allowed(connection: pg.Connection) -> None:
    """SourceRefused, before anything is made on the server, if the role may not make recovery points."""
    if lacking := wal.lacking_rights(connection):
        role = connection.info.user
        raise SourceRefused(
            f"the role {role} may not call {' and '.join(lacking)}: it can make no recovery points",
            remedy=f"GRANT EXECUTE ON FUNCTION {', '.join(lacking)} TO {role}",
        )


def _archive_what_is_there(site: Site, done: Archived) -> None:
    """Free the disk for what comes. Where S3 is down, it comes all the same: the last pass says so."""
    try:
        done.add(archive_spool(site))
    except StoreUnreachable as error:
        _LOG.warning("S3 does not answer; WAL is received all the same: %s", error.what)


@contextmanager
def _archiving(site: Site, done: Archived) -> Iterator[None]:
    """Archive what comes, while the block receives it."""
    stop, wrong = threading.Event(), list[BaseException]()

    def archive() -> None:
        try:
            while not stop.wait(_LOOK_SECONDS):
                _archive_what_is_there(site, done)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that receives
            wrong.append(error)

    worker = threading.Thread(target=archive, name="archive", daemon=True)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()
    if wrong:
        raise wrong[0]


def _received(
    site: Site,
    spool: Spool,
    connection: pg.Connection,
    cluster: Cluster,
    until: Segment,
    archived: Archived,
    streamer_seconds: float,
    enough: Spool | None,
) -> bool:
    """Receive all WAL up to the end of a segment, or wait for whoever does: whether it was another one.

    Of another one it is to be in S3, or, if that is `enough`, in the spool.
    """
    deadline = time.monotonic() + streamer_seconds
    while True:
        slot = wal.find_slot(connection, wal.slot_name(site.policy.database))
        if slot is not None and not slot.active:
            with _alone(spool) as alone:
                if alone:
                    _receive(site, spool, connection, cluster, slot, until, archived)
                    return False
        if in_s3(site, cluster.system_identifier, until) or (enough is not None and until.name in enough.names()):
            return True
        if time.monotonic() > deadline:
            raise Busy(
                f"another process streams from the slot, and {until.name} is not in S3 after {streamer_seconds:.0f} s",
                remedy="look at what `desbuquei wal stream` says; if nothing streams, the server notices within "
                "wal_sender_timeout: run again",
            )
        time.sleep(_LOOK_SECONDS)


def _receive(
    site: Site,
    spool: Spool,
    connection: pg.Connection,
    cluster: Cluster,
    slot: wal.Slot,
    until: Segment,
    archived: Archived,
) -> None:
    last = last_received(site, spool, cluster)
    restart = (slot.restart or 0) // cluster.segment_size
    if restart > until.number or (restart == until.number and last is not None and last.number >= until.number):
        return
    parameters = pg.parse(site.settings.database_url, setting=DATABASE_URL)
    spool.mend_partial(cluster.segment_size)
    site.progress.stage("receiving WAL")

    def once() -> None:
        with _archiving(site, archived):
            receive(cluster.programs, parameters, spool.streamed, slot.name, until=until.end, seconds=RECEIVE_SECONDS)

    bring_skipped(site, spool, cluster, slot, last)
    try:
        once()
    except WalGone as error:
        note_loss(site, connection, cluster, last, error)
        once()


@contextmanager
def _alone(spool: Spool) -> Iterator[bool]:
    """Whether nobody else on this host receives; if so, nobody begins to until the block ends."""
    try:
        with spool.locked(RECEIVING, 0):
            yield True
    except Busy:
        yield False
