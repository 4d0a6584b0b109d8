"""Which transactions had ended when a snapshot was taken, and which have ended between two of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC

from desbuquei_backups.core.manifest import Mark
from desbuquei_backups.postgres.connection import Connection

_SINCE = 130000  # pg_current_snapshot() came with PostgreSQL 13
_MARK = """
select (select oid::bigint from pg_database where datname = current_database()),
       pg_current_snapshot()::text, pg_postmaster_start_time(),
       pg_is_in_recovery() or exists (select from pg_class where relpersistence = 'u' and relkind in ('r', 'S', 'm'))
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

    A standby does not list what runs on its primary. A crash empties unlogged tables without a transaction, and a
    backend that is killed is one.
    """
    if connection.info.server_version < _SINCE:
        return None
    row = connection.execute(_MARK).fetchone()
    assert row is not None
    if row[3]:
        return None
    return Mark(database_oid=row[0], snapshot=row[1], started_at=row[2].astimezone(UTC))


def nothing_ended(earlier: Mark, later: Mark, own: Collection[int]) -> bool:
    """Whether no transaction that could have changed anything ended between two marks, other than our `own`.

    Whatever changes a row, a definition or a role has a transaction id, committed or not, logged in WAL or not. What
    has none (reading, VACUUM, nextval() within its cache) is not seen: compare sequences beside it.
    """
    if (earlier.database_oid, earlier.started_at) != (later.database_oid, later.started_at):
        return False
    before, after = Snapshot.parse(earlier.snapshot), Snapshot.parse(later.snapshot)
    if before.xmin < before.xmax and not before.running:
        return False  # what holds xmin back is not listed: a standby's snapshot
    # A server that was set back counts again what it counted before.
    if after.xmax < before.xmax or after.xmin < before.xmin or after.xmax - before.xmax > len(own) + len(after.running):
        return False
    ended = {*before.running, *range(before.xmax, after.xmax)} - after.running
    return ended <= set(own)
