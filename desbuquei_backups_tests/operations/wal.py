"""What the tests of WAL share: servers of their own, writing, and looking at what came of it."""

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.recovery import Wal
from desbuquei_backups.core.wal import Gap, Histories, Segment, gaps, needed
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bucket import clusters, listed, read_wal
from desbuquei_backups.operations.wal_drain import Drained, drain
from desbuquei_backups.operations.wal_findings import continuity
from desbuquei_backups.operations.wal_state import WalState, wal_state
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.clusters import Cluster

SLOT = "desbuquei_desbuquei"


def write(cluster: Cluster, segments: int = 1) -> None:
    """Fill so many segments."""
    with cluster.connect() as connection:
        for _ in range(segments):
            connection.execute(
                "select pg_logical_emit_message(false, 'fill', repeat('x', 1000)); select pg_switch_wal()"
            )


def give_up_slot(cluster: Cluster) -> None:
    """Write until the server gives up the slot, since it keeps more than it may; afterwards it may keep more."""
    cluster.settings = {"max_slot_wal_keep_size": "16MB", "min_wal_size": "32MB"}
    cluster.restart()
    with cluster.connect() as connection:
        for _ in range(20):
            write(cluster, 3)
            connection.execute("checkpoint")
            if connection.execute("select wal_status from pg_replication_slots").fetchone() == ("lost",):
                break
    cluster.settings = {"max_slot_wal_keep_size": "1GB"}
    cluster.restart()


def drained(site: Site, name: str = "hourly-2026-02-02-030000", **options: float) -> Drained:
    found = drain(site, name, **options)
    assert isinstance(found, Drained), found
    return found


def wal_there(bucket: Bucket, system_identifier: str) -> Wal:
    """The WAL of a cluster in the bucket."""
    return read_wal(bucket, listed(bucket, system_identifier))


def there(site: Site) -> Wal:
    """The WAL of the one cluster in S3; nothing, if there is none yet."""
    found = clusters(site.bucket)
    assert len(found) <= 1
    return wal_there(site.bucket, found[0]) if found else Wal(frozenset(), Histories({}))


def missing(wal: Wal) -> list[Gap]:
    """The gaps between the oldest segment in S3 and the newest one."""
    segments = sorted(Segment.of_name(name, wal.segment_size) for name in wal.segments)
    newest = segments[-1]
    first = min(segment.start for segment in segments)
    return gaps(needed(newest.timeline, first, newest.end, wal.histories, wal.segment_size), wal.segments)


def said(site: Site, *, untrue_only: bool = False) -> dict[str, str]:
    """What the check of continuity has to say, by subject."""
    state = wal_state(site)
    assert isinstance(state, WalState), state
    return {each.subject: each.why for each in continuity(state) if each.verdict is Verdict.DIFFERS or not untrue_only}
