"""Which transactions had ended when a snapshot was taken, and which have ended between two of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC

from desbuquei_backups.core.manifest import Mark
from desbuquei_backups.postgres.connection import Connection

_SINCE = 130000  # pg_current_snapshot() came with PostgreSQL 13
_MARK = """
select (select oid::bigint from pg_database where datname = current_database()),
       pg_current_snapshot()::text, pg_postmaster_start_time(), (select stats_reset from pg_stat_bgwriter),
       pg_is_in_recovery()
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """pg_snapshot: below `xmin` all have ended, from `xmax` on none, of those between all but `running`."""

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(int(xid) for xid in running.split(",") if xid))


def mark(connection: Connection) -> Mark | None:
    """The state that this transaction's snapshot sees; None where that cannot be told.

    A standby does not list what runs on its primary.
    """
    if connection.info.server_version < _SINCE:
        return None
    row = connection.execute(_MARK).fetchone()
    assert row is not None
    oid, snapshot, started_at, statistics_since, standby = row
    if standby:
        return None
    return Mark(
        database_oid=oid,
        snapshot=snapshot,
        started_at=started_at.astimezone(UTC),
        statistics_since=statistics_since.astimezone(UTC) if statistics_since else None,
    )


def nothing_ended(earlier: Mark, later: Mark, own: Collection[int]) -> bool:
    """Whether no transaction that could have changed anything ended between two marks, other than our `own`.

    Whatever changes a row, a definition or a role has a transaction id, committed or not, logged in WAL or not. What
    has none (reading, VACUUM, nextval() within its cache) is not seen: compare sequences beside it.
    """
    if _server(earlier) != _server(later):
        return False
    return nothing_ended_between(Snapshot.parse(earlier.snapshot), Snapshot.parse(later.snapshot), own)


def nothing_ended_between(before: Snapshot, after: Snapshot, own: Collection[int]) -> bool:
    """The same of two snapshots of one life of one server."""
    if before.xmin < before.xmax and not before.running:
        return False  # what holds xmin back is not listed: a standby's snapshot
    # A server that was set back counts again what it counted before.
    if after.xmax < before.xmax or after.xmin < before.xmin or after.xmax - before.xmax > len(own) + len(after.running):
        return False
    ended = {*before.running, *range(before.xmax, after.xmax)} - after.running
    return ended <= set(own)


def _server(mark: Mark) -> tuple[object, ...]:
    """The database, and the server's life: a crash, a killed backend's too, empties unlogged tables without a word."""
    return mark.database_oid, mark.started_at, mark.statistics_since
