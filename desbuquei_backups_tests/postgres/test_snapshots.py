"""Whether anything changed between two snapshots: a change that is not seen is an hour of rows that is lost."""

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.manifest import Mark
from desbuquei_backups.postgres.snapshots import Snapshot, mark, nothing_ended

STARTED = datetime(2026, 2, 1, tzinfo=UTC)


def at(snapshot: str, *, oid: int = 5, started: datetime = STARTED) -> Mark:
    return Mark(database_oid=oid, snapshot=snapshot, started_at=started, statistics_since=STARTED)


@pytest.mark.parametrize(
    ("before", "after", "own", "same"),
    [
        ("10:10:", "10:10:", (), True),
        ("10:10:", "11:11:", (), False),
        ("10:10:", "11:11:", (10,), True),
        ("10:10:", "12:12:", (10,), False),
        ("10:10:", "12:12:", (10, 11), True),
        ("10:12:10", "10:12:10", (), True),  # still running
        ("10:12:10", "12:12:", (), False),  # it ended
        ("10:12:10", "12:12:", (10,), True),
        ("10:10:", "10:11:10", (), True),  # one began and has not ended
        ("10:10:", "10:12:10", (), False),  # 11 ended
        ("10:10:", "10:12:10", (11,), True),
        ("10:10:", "9:9:", (9,), False),  # set back
        ("10:12:10", "9:12:9,10", (), False),
        ("950:1000:", "1000:1000:", (), False),  # a standby, which does not list what holds xmin back
    ],
)
def test_only_what_we_ended_ourselves_does_not_count(before: str, after: str, own: tuple[int, ...], same: bool) -> None:
    assert nothing_ended(at(before), at(after), own) is same


def test_another_database_or_a_server_that_was_restarted_is_no_such_state() -> None:
    assert not nothing_ended(at("10:10:"), at("10:10:", oid=6), ())
    assert not nothing_ended(at("10:10:"), at("10:10:", started=datetime(2026, 2, 2, tzinfo=UTC)), ())


@given(st.sets(st.integers(3, 40)), st.sets(st.integers(3, 40)), st.sets(st.integers(3, 40)), st.integers(3, 42))
def test_it_agrees_with_counting_every_transaction(
    running: set[int], ended_since: set[int], own: set[int], following: int
) -> None:
    before = _snapshot({xid for xid in running if xid < following}, following)
    began = {xid for xid in ended_since if xid >= following}
    last = max(began, default=following - 1) + 1
    still = ({xid for xid in running if xid < following} | set(range(following, last))) - ended_since
    after = _snapshot(still, max(last, following))
    ended = _ended(after, 45) - _ended(before, 45)
    assert nothing_ended(at(before), at(after), own) is (ended <= own)


def _snapshot(running: set[int], following: int) -> str:
    return f"{min(running, default=following)}:{following}:{','.join(map(str, sorted(running)))}"


def _ended(text: str, most: int) -> set[int]:
    snapshot = Snapshot.parse(text)
    return {xid for xid in range(most) if xid < snapshot.xmax and xid not in snapshot.running}


CHANGES = [
    "insert into clientes (nome) values ('nova')",
    "update clientes set nome = nome",
    "delete from vazia; insert into vazia values (1)",
    "truncate vazia",
    "create table outra (a int)",
    "comment on table vazia is 'nada'",
    "grant select on vazia to pg_read_all_data",
    "create unlogged table solta (a int)",
    "select lo_create(0)",
    "select setval('clientes_id_seq', 1000)",
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_seen(source: psycopg.Connection, change: str) -> None:
    source.execute("create table clientes (id bigserial primary key, nome text); create table vazia (a int)")
    source.execute("insert into clientes (nome) values ('velha')")
    before = _mark(source)
    assert nothing_ended(before, _mark(source), ())
    source.execute(change)
    assert not nothing_ended(before, _mark(source), ())


@pytest.mark.parametrize(
    "reading",
    [
        "select count(*) from clientes",
        "lock table clientes in access share mode",
        "set work_mem = '8MB'",
        "select pg_sleep(0)",
        "checkpoint",
    ],
)
def test_reading_changes_nothing(source: psycopg.Connection, reading: str) -> None:
    source.execute("create table clientes (id bigserial primary key, nome text)")
    before = _mark(source)
    source.execute(f"begin; {reading}; commit" if reading.startswith("lock") else reading)
    assert nothing_ended(before, _mark(source), ())


def test_a_server_whose_statistics_began_anew_may_have_crashed_and_emptied_unlogged_tables(
    source: psycopg.Connection,
) -> None:
    before = _mark(source)
    source.execute("select pg_stat_reset_shared('bgwriter')")  # as a crash does
    assert not nothing_ended(before, _mark(source), ())


def test_a_transaction_that_was_under_way_counts_when_it_ends(source: psycopg.Connection, source_url: str) -> None:
    source.execute("create table clientes (id bigserial primary key, nome text)")
    with psycopg.connect(source_url) as other:
        other.execute("insert into clientes (nome) values ('cedo')")
        source.execute("insert into clientes (nome) values ('depois')")
        before = _mark(source)
        assert nothing_ended(before, _mark(source), ())
        other.commit()
        assert not nothing_ended(before, _mark(source), ())


def test_our_own_transaction_is_known_by_its_number(source: psycopg.Connection) -> None:
    source.execute("create table clientes (id bigserial primary key, nome text)")
    before = _mark(source)
    own = _written(source, lambda: source.execute("insert into clientes (nome) values ('nossa')"))
    assert nothing_ended(before, _mark(source), (own,))
    _written(source, lambda: source.execute("insert into clientes (nome) values ('deles')"))
    assert not nothing_ended(before, _mark(source), (own,))


def _written(connection: psycopg.Connection, write: Callable[[], object]) -> int:
    with connection.transaction():
        write()
        row = connection.execute("select pg_current_xact_id()::text").fetchone()
    assert row is not None
    return int(row[0])


def _mark(connection: psycopg.Connection) -> Mark:
    found = mark(connection)
    assert found is not None
    return found
