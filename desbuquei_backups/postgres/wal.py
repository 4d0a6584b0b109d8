"""The physical slot that keeps WAL for us, where the server is, and what a recovery point needs made on it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from desbuquei_backups.core.wal import Segment, parse_lsn, show_lsn
from desbuquei_backups.postgres.connection import Connection

_LONGEST_NAME = 63
_LEAVING_SECONDS = 10.0
_SLOT = """
select active, restart_lsn::text, wal_status, safe_wal_size,
       pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end,
                       restart_lsn)::bigint,
       (select setting::bigint * 1024 * 1024 from pg_settings where name = 'max_slot_wal_keep_size'), slot_type
  from pg_replication_slots where slot_name = %s
"""


def slot_name(database: str) -> str:
    """The slot of the database that the policy calls so."""
    return f"desbuquei_{database}"[:_LONGEST_NAME]


@dataclass(frozen=True, slots=True)
class Slot:
    """A physical replication slot, as the server tells it; sizes are bytes.

    `restart`: the first position that it keeps, None if it keeps nothing. `status`: reserved, extended, unreserved or
    lost. `held`: how much WAL it keeps from being removed. `left`: how much more may be written before it is lost, and
    `most`: how much it may hold; None: as much as the disk has.
    """

    name: str
    active: bool
    restart: int | None
    status: str | None
    held: int
    left: int | None
    most: int | None
    physical: bool = True

    @property
    def lost(self) -> bool:
        """Whether it can never be streamed from again."""
        return self.status == "lost" or self.restart is None


def find_slot(connection: Connection, name: str) -> Slot | None:
    """The slot of that name; None if there is none."""
    row = connection.execute(_SLOT, (name,)).fetchone()
    if row is None:
        return None
    active, restart, status, left, held, most, kind = row
    return Slot(
        name=name,
        active=active,
        restart=None if restart is None else parse_lsn(restart),
        status=status,
        held=max(held or 0, 0),
        left=left,
        most=None if most is None or most < 0 else most,
        physical=kind == "physical",
    )


def make_slot(connection: Connection, name: str) -> int:
    """Make a physical slot that keeps WAL from now on; the first position that it keeps.

    Without `immediately_reserve` it would keep nothing until somebody streams from it.
    """
    row = connection.execute(
        "select lsn::text from pg_create_physical_replication_slot(%s, immediately_reserve => true)", (name,)
    ).fetchone()
    assert row is not None
    return parse_lsn(row[0])


def drop_slot(connection: Connection, name: str) -> None:
    """Drop the slot; one that is gone already is as good. What streamed from it a moment ago is waited for."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    while True:
        try:
            connection.execute("select pg_drop_replication_slot(%s)", (name,))
            return
        except psycopg.errors.UndefinedObject:
            return
        except psycopg.errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def advance_slot(connection: Connection, name: str, to: int) -> None:
    """Let the server remove what it keeps from before `to`; a slot is never set back."""
    try:
        connection.execute("select pg_replication_slot_advance(%s, %s::pg_lsn)", (name, show_lsn(to)))
    except (psycopg.errors.ObjectInUse, psycopg.errors.InvalidParameterValue):
        return  # somebody streams from it, or it is beyond already: by then it has moved of itself


@dataclass(frozen=True, slots=True)
class Position:
    """Where the server was: at the moment `at` (its own clock, aware UTC) nothing was written beyond `position`.

    `snapshot`: which transactions had ended by then, as text.
    """

    timeline: int
    position: int
    at: datetime
    snapshot: str = ""


def position(connection: Connection, segment_size: int) -> Position | None:
    """Where the server is; None on a standby, which does not tell. The moment is read first, so that it is true."""
    row = connection.execute("select pg_is_in_recovery()").fetchone()
    if row is None or row[0]:
        return None
    row = connection.execute(
        "select now.at, lsn.at::text, pg_walfile_name(lsn.at), txid_current_snapshot()::text "
        "from (select clock_timestamp() as at offset 0) now, "
        "lateral (select pg_current_wal_insert_lsn() as at where now.at is not null offset 0) lsn"
    ).fetchone()
    assert row is not None
    at, lsn, name, snapshot = row
    timeline = Segment.of_name(name, segment_size).timeline
    return Position(timeline, parse_lsn(lsn), at.astimezone(UTC), snapshot)


def segment_size(connection: Connection) -> int:
    """The bytes of a WAL segment, as the cluster was made."""
    row = connection.execute("select setting::bigint from pg_settings where name = 'wal_segment_size'").fetchone()
    assert row is not None
    return int(row[0])


_NEEDED = ("pg_create_restore_point(text)", "pg_switch_wal()")


def lacking_rights(connection: Connection) -> list[str]:
    """The functions that a recovery point needs and this role may not call."""
    rows = connection.execute(
        "select name from unnest(%s::text[]) name where not has_function_privilege(name::regprocedure, 'EXECUTE')",
        (list(_NEEDED),),
    ).fetchall()
    return [name for (name,) in rows]


def no_restore_points(connection: Connection) -> str | None:
    """Why this role can make none on this server, or the server makes none; None if it can."""
    if lacking := lacking_rights(connection):
        role, functions = connection.info.user, ", ".join(lacking)
        return f"the role {role} may not call {' and '.join(lacking)}: GRANT EXECUTE ON FUNCTION {functions} TO {role}"
    row = connection.execute("select pg_is_in_recovery()").fetchone()
    return "this server is a standby, which makes no restore points" if row == (True,) else None


def make_restore_point(connection: Connection, name: str) -> int:
    """Write a named restore point into the WAL; its position."""
    row = connection.execute("select pg_create_restore_point(%s)::text", (name,)).fetchone()
    assert row is not None
    return parse_lsn(row[0])


def switch(connection: Connection, size: int) -> int:
    """End the segment that is written to; the position after its last byte."""
    row = connection.execute("select pg_switch_wal()::text").fetchone()
    assert row is not None
    return -(-parse_lsn(row[0]) // size) * size


# A row for each recovery point, for as long as it can be recovered to.
_TABLE = """
create table public.recovery_heartbeats (name text primary key, at timestamptz not null);
alter table public.recovery_heartbeats enable row level security;
revoke all on public.recovery_heartbeats from public
"""


_MAY = """
select to_regclass('public.recovery_heartbeats') is not null,
       case when to_regclass('public.recovery_heartbeats') is null then has_schema_privilege('public', 'CREATE')
            else has_table_privilege('public.recovery_heartbeats', 'INSERT')
                 and has_table_privilege('public.recovery_heartbeats', 'UPDATE')
                 and has_table_privilege('public.recovery_heartbeats', 'DELETE')
                 and not row_security_active('public.recovery_heartbeats') end
"""


_FORGET = "delete from public.recovery_heartbeats where at < clock_timestamp() - interval '30 days'"
_BEAT = """
insert into public.recovery_heartbeats values (%s, clock_timestamp()) on conflict (name) do update set at = excluded.at
"""


def beat(connection: Connection, name: str) -> bool:
    """Within a transaction: write a row into a table of our own, so that its commit stands after a restore point.

    False where the role may neither make nor write the table: the commit then stands there without a row. psycopg.Error
    if it cannot for another reason. No savepoint is used: it would be a transaction more.
    """
    row = connection.execute(_MAY).fetchone()
    assert row is not None
    there, may = row
    if not may:
        return False
    if not there:
        connection.execute(_TABLE)
    connection.execute(_FORGET)
    connection.execute(_BEAT, (name,))
    return True


def transaction(connection: Connection) -> int:
    """The number of the transaction that this connection is in."""
    row = connection.execute("select txid_current()").fetchone()
    assert row is not None
    return int(row[0])


def timeline_history(replica: Connection, timeline: int) -> bytes | None:
    """The history file of a timeline, over a replication connection; None of the first one, which has none."""
    if timeline == 1:
        return None
    answer = replica.pgconn.exec_(f"TIMELINE_HISTORY {timeline}".encode())
    if answer.status != psycopg.pq.ExecStatus.TUPLES_OK:
        return None
    return bytes(answer.get_value(0, 1) or b"")
