"""Recovery points: made on the server, kept in the spool until their WAL is in S3, and then written down beside it."""

import logging
from pathlib import Path
from urllib.parse import quote

import psycopg

from desbuquei_backups.core.errors import ConfigurationError, NotFound, StoreUnreachable
from desbuquei_backups.core.wal import Segment, show_lsn
from desbuquei_backups.core.wal_points import RecoveryPoint, parse
from desbuquei_backups.operations import metadata_file, own_transactions
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bucket import folder_of, point_key, read_point
from desbuquei_backups.operations.wal_slot import Cluster
from desbuquei_backups.operations.wal_spool import Spool
from desbuquei_backups.operations.wal_storing import SUFFIXES
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import wal
from desbuquei_backups.postgres.snapshots import Snapshot, nothing_ended_between
from desbuquei_backups.storage import disk

_PREFIX = ".point-"
_MOST = 200
_LOG = logging.getLogger(__name__)


def make_point(site: Site, spool: Spool, connection: pg.Connection, cluster: Cluster, name: str) -> RecoveryPoint:
    """A restore point, a commit, without which recovery to a moment before it would not end, and a switch.

    The commit is ours: it does not count as a change of the database.
    """
    with pg.explained("making a restore point"):
        before = look(spool, connection, cluster)
        lsn = wal.make_restore_point(connection, name)
        number, heartbeat = heartbeat_of(site, connection, name)
        end = wal.switch(connection, cluster.segment_size)
    return RecoveryPoint(
        name=name,
        system_identifier=cluster.system_identifier,
        timeline=before.timeline,
        lsn=show_lsn(lsn),
        end=show_lsn(end),
        segment_size=cluster.segment_size,
        at=before.at,
        transaction=number,
        heartbeat=heartbeat,
    )


def look(spool: Spool, connection: pg.Connection, cluster: Cluster) -> wal.Position:
    """Where the server is, which is remembered; ConfigurationError on a standby."""
    found = wal.position(connection, cluster.segment_size)
    if found is None:
        raise ConfigurationError(
            "this server is a standby: it makes no restore points", remedy=f"name its primary in {DATABASE_URL}"
        )
    spool.remember(found)
    return found


def nothing_but_own(site: Site, before: str, after: str) -> bool:
    """Whether no transaction but our own ended between two snapshots: then there is nothing to recover between them."""
    try:
        left, right = Snapshot.parse(before), Snapshot.parse(after)
    except ValueError:
        return False
    return nothing_ended_between(left, right, own_transactions.known(site.settings.folder))


def heartbeat_of(site: Site, connection: pg.Connection, name: str) -> tuple[int, bool]:
    """A commit of our own: its transaction's number, and whether it wrote a row. Without one it stands there, too."""
    with metadata_file.lock(site.settings.folder, "backup-logs"):
        try:
            return _committed(site, connection, name)
        except psycopg.OperationalError:
            raise  # the connection is lost, and nothing can be committed
        except psycopg.Error as error:
            _LOG.warning("no heartbeat can be written for %s: %s", name, error.diag.message_primary or error)
            return _committed(site, connection, None)


def _committed(site: Site, connection: pg.Connection, name: str | None) -> tuple[int, bool]:
    with connection.transaction():
        number = wal.transaction(connection)
        own_transactions.remember(site.settings.folder, number)  # before anybody can see it, however it ends
        return number, name is not None and wal.beat(connection, name)


def point_of(site: Site, spool: Spool, cluster: Cluster, name: str) -> RecoveryPoint | None:
    """The recovery point of that name that was made before: here, or, as far as S3 answers, on another host."""
    path = _path(spool, name)
    with disk.disk_errors(path):
        content = path.read_bytes() if path.exists() else None
    if content is not None:
        found = parse(RecoveryPoint, content, where=str(path))
        return found if found.system_identifier == cluster.system_identifier else None
    try:
        return read_point(site.bucket, cluster.system_identifier, name)
    except (NotFound, StoreUnreachable):
        return None


def keep_point(spool: Spool, point: RecoveryPoint) -> None:
    """Write it down here, so that it is made once, and known while S3 is down."""
    disk.write_file(_path(spool, point.name), point.to_bytes())
    for path in sorted(spool.folder.glob(f"{_PREFIX}*.json"), key=lambda path: path.stat().st_mtime)[:-_MOST]:
        path.unlink(missing_ok=True)


def point_is_archived(site: Site, point: RecoveryPoint) -> bool:
    """Whether its WAL is in S3; if so, it is written down there."""
    if not in_s3(site, point.system_identifier, point.last):
        return False
    key = point_key(point.system_identifier, point.name)
    site.bucket.put_bytes(key, point.to_bytes(), tags={"tier": "wal", "database": site.policy.database})
    return True


def in_s3(site: Site, system_identifier: str, segment: Segment) -> bool:
    """Whether the segment is there, as far as S3 answers."""
    key = f"{folder_of(system_identifier)}{segment.name}"
    try:
        return any(site.bucket.head(f"{key}{suffix}") is not None for suffix in SUFFIXES)
    except StoreUnreachable:
        return False


def _path(spool: Spool, name: str) -> Path:
    return spool.folder / f"{_PREFIX}{quote(name, safe='')}.json"
