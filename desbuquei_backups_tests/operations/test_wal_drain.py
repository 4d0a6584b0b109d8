"""Hourly WAL: a recovery point whose WAL is in S3, whatever happened to slot, server and store meanwhile."""

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.errors import DiskError, SourceRefused, SourceUnreachable, StoreUnreachable, ToolMissing
from desbuquei_backups.core.wal import Segment, parse_lsn
from desbuquei_backups.operations.own_transactions import known
from desbuquei_backups.operations.wal_bucket import clusters
from desbuquei_backups.operations.wal_drain import drain
from desbuquei_backups.operations.wal_points import nothing_but_own
from desbuquei_backups.operations.wal_slot import Refused
from desbuquei_backups.operations.wal_spool import spool_of
from desbuquei_backups.operations.wal_state import wal_state
from desbuquei_backups.postgres import programs
from desbuquei_backups.postgres.programs import Programs, choose
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.origin import commits
from desbuquei_backups_tests.operations.wal import SLOT, drained, give_up_slot, missing, said, there, wal_there, write
from desbuquei_backups_tests.urls import with_credentials

LATER = "hourly-2026-02-02-040000"


def test_an_hour_s_wal_comes_into_s3_up_to_a_point_that_can_be_recovered_to(wal_site, own_server) -> None:
    write(own_server, 3)
    done = drained(wal_site)
    wal = there(wal_site)
    assert done.point.last.name in wal.segments
    assert missing(wal) == []
    assert [point.name for point in wal.points if point.name] == [done.point.name]
    assert spool_of(wal_site).files() == []
    with own_server.connect() as connection:
        # What is there of it: a row, and no WAL that is kept for nothing.
        assert connection.execute("select name from recovery_heartbeats").fetchall() == [(done.point.name,)]
        restart = connection.execute("select restart_lsn::text from pg_replication_slots").fetchone()
    assert restart == (done.point.end,)
    write(own_server, 2)
    own_server.restart()
    again = drained(wal_site, LATER)
    assert again.point.last.number == done.point.last.number + 3
    assert again.archived.equal == []
    assert missing(there(wal_site)) == []


def test_our_own_commit_is_no_change_of_the_database(wal_site, own_server) -> None:
    with own_server.connect() as connection:
        before = connection.execute("select txid_current_snapshot()::text").fetchone()
        done = drained(wal_site)
        after = connection.execute("select txid_current_snapshot()::text").fetchone()
        assert done.point.transaction in known(wal_site.settings.folder)
        assert nothing_but_own(wal_site, before[0], after[0])
        connection.execute("create table t (a int)")
        changed = connection.execute("select txid_current_snapshot()::text").fetchone()
    assert not nothing_but_own(wal_site, before[0], changed[0])


def test_where_no_replication_is_allowed_nothing_is_made_and_it_is_said(make_site, project_url) -> None:
    found = drain(make_site(project_url), LATER)
    assert isinstance(found, Refused)
    assert "no pg_hba.conf entry" in found.why
    with psycopg.connect(project_url) as connection:
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
        assert connection.execute("select to_regclass('public.recovery_heartbeats')").fetchone() == (None,)
    assert isinstance(wal_state(make_site(project_url)), Refused)


def test_a_role_that_may_just_what_it_needs_makes_recovery_points_and_one_that_may_less_leaves_nothing(
    make_site, own_server
) -> None:
    with own_server.connect() as connection:
        connection.execute("create role narrow login replication")
        site = make_site(with_credentials(own_server.url, "narrow", "none"))
        with pytest.raises(SourceRefused, match="may not call pg_create_restore_point") as raised:
            drain(site, LATER)
        assert "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text)" in raised.value.remedy
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
        connection.execute("grant execute on function pg_create_restore_point(text), pg_switch_wal() to narrow")
    done = drained(site, LATER)
    # It may make no table: the commit stands after the point all the same.
    assert not done.point.heartbeat
    assert missing(there(site)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "create table recovery_heartbeats (name text primary key, at timestamptz)",
        "create table recovery_heartbeats (name text primary key, at timestamptz); grant all on recovery_heartbeats to "
        "narrow; alter table recovery_heartbeats enable row level security",
        "create table recovery_heartbeats (name text, of_whom text); grant all on recovery_heartbeats to narrow",
        "alter role narrow set default_transaction_read_only = on; grant create on schema public to narrow",
    ],
    ids=["no right", "row-level security", "another table of that name", "read only"],
)
def test_where_no_heartbeat_can_be_written_a_commit_stands_after_the_point_all_the_same(
    make_site, own_server, wrong: str
) -> None:
    with own_server.connect() as connection:
        connection.execute("create role narrow login replication")
        connection.execute("grant execute on function pg_create_restore_point(text), pg_switch_wal() to narrow")
        connection.execute(wrong)
        site = make_site(with_credentials(own_server.url, "narrow", "none"))
        before = connection.execute("select txid_current_snapshot()::text").fetchone()
        point = drained(site).point
        after = connection.execute("select txid_current_snapshot()::text").fetchone()
    assert not point.heartbeat
    assert [each.name for each in there(site).points if each.name] == [point.name]
    later = {each.xid for each in commits(own_server.data / "pg_wal") if each.position >= parse_lsn(point.lsn)}
    assert point.transaction in later
    assert nothing_but_own(site, before[0], after[0])


def test_a_slot_that_was_dropped_costs_nothing_while_the_server_has_the_wal(wal_site, own_server) -> None:
    drained(wal_site)
    with own_server.connect() as connection:
        connection.execute("select pg_drop_replication_slot(%s)", (SLOT,))
    write(own_server, 2)
    done = drained(wal_site, LATER)
    assert done.gap is None
    assert missing(there(wal_site)) == []


def test_a_slot_that_was_given_up_is_made_anew_the_gap_declared_and_a_base_asked_for(wal_site, own_server) -> None:
    first = drained(wal_site)
    give_up_slot(own_server)
    assert "the server gave it up" in said(wal_site)["slot"]
    done = drained(wal_site, LATER)
    assert done.gap is not None
    assert parse_lsn(done.gap.start) == parse_lsn(first.point.end)
    state = wal_state(wal_site)
    assert not isinstance(state, Refused)
    assert [gap.name for gap in state.declared] == [done.gap.name]
    assert [each.said() for each in missing(there(wal_site))] == [each.said() for each in state.gaps]
    (told,) = [why for subject, why in said(wal_site).items() if subject.startswith("WAL 0/")]
    assert "no base backup was taken after it" in told
    # What is known is declared once.
    assert drained(wal_site, "hourly-2026-02-02-050000").gap is None


def test_a_failover_is_followed_to_the_new_timeline(wal_site, make_site, own_server) -> None:
    standby = own_server.standby(f"{own_server.name}-standby")
    try:
        write(own_server, 1)
        drained(wal_site)
        wait_for(own_server, standby)
        own_server.stop()
        standby.promote()
        write(standby, 2)
        site = make_site(standby.url)
        done = drained(site, LATER)
        assert (done.point.timeline, done.gap) == (2, None)
        wal = there(site)
        assert wal.histories.knows(2)
        assert missing(wal) == []
        assert said(site, untrue_only=True).keys() == {"base backup"}
    finally:
        standby.remove()


def test_a_failover_that_lost_wal_declares_the_gap(wal_site, make_site, own_server) -> None:
    drained(wal_site)
    standby = own_server.standby(f"{own_server.name}-standby")
    try:
        write(own_server, 3)
        wait_for(own_server, standby)
        own_server.stop()
        standby.promote()
        remove_wal(standby)
        site = make_site(standby.url)
        done = drained(site, LATER)
        assert done.gap is not None
        assert done.gap.timeline == 2
        write(standby, 1)
        assert drained(site, "hourly-2026-02-02-050000").gap is None
    finally:
        standby.remove()


def wait_for(primary: Cluster, standby: Cluster) -> None:
    with primary.connect() as there, standby.connect() as here:
        (wanted,) = there.execute("select pg_current_wal_lsn()::text").fetchone()
        while here.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", (wanted,)).fetchone() != (True,):
            pass


def remove_wal(cluster: Cluster) -> None:
    """Let the server remove what no slot keeps."""
    write(cluster, 3)
    with cluster.connect() as connection:
        connection.execute("checkpoint")
        connection.execute("checkpoint")


@pytest.fixture
def store(endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as faulty:
        yield faulty


def test_an_hour_without_s3_waits_in_the_spool_and_the_point_is_made_once(
    wal_site, make_site, own_server, store
) -> None:
    broken = make_site(own_server.url, aws={"AWS_ENDPOINT_URL_S3": store.url})
    drained(broken)
    store.busy()
    write(own_server, 3)
    with pytest.raises(StoreUnreachable):
        drain(broken, LATER)
    waiting = spool_of(broken).names()
    assert len(waiting) >= 4
    store.heal()
    done = drained(broken, LATER)
    assert (done.reused, done.gap) == (True, None)
    assert waiting <= there(wal_site).segments
    assert missing(there(wal_site)) == []
    assert [point.name for point in there(wal_site).points if point.name == LATER] == [LATER]


def test_without_pg_receivewal_it_says_what_to_install_and_loses_nothing(
    wal_site, own_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = choose(17)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pg_dump").symlink_to(real.path("pg_dump"))
    monkeypatch.setattr(programs, "installed", lambda: (Programs(folder, real.version),))
    write(own_server, 1)
    with pytest.raises(ToolMissing, match="pg_receivewal is not in") as raised:
        drain(wal_site, LATER)
    assert "postgresql-client-17" in raised.value.remedy
    monkeypatch.undo()
    drained(wal_site, LATER)
    assert missing(there(wal_site)) == []


def test_a_full_disk_stops_the_receiving_and_loses_nothing(wal_site, own_server) -> None:
    drained(wal_site)
    write(own_server, 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(DiskError, match="the disk is full, WAL cannot be received"):
            drain(wal_site, LATER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    drained(wal_site, LATER)
    assert missing(there(wal_site)) == []


def test_a_server_that_is_down_is_no_server_that_refuses(wal_site, own_server) -> None:
    own_server.stop()
    with pytest.raises(SourceUnreachable):
        drain(wal_site, LATER)


def test_a_cluster_in_another_one_s_place_has_a_wal_of_its_own_and_the_old_one_s_is_kept(
    wal_site, own_server, make_site, source_url, endpoints
) -> None:
    first = drained(wal_site)
    write(own_server, 1)
    # The last segment of the old server came, and was not archived yet; the next one was begun.
    spool, last = spool_of(wal_site), Segment(1, first.point.last.number + 1)
    shutil.copy(own_server.data / "pg_wal" / last.name, spool.streamed)
    (spool.streamed / "0000000100000F0000000000.partial").write_bytes(bytes(last.size))
    site = make_site(source_url)
    try:
        done = drained(site, LATER)
        state = wal_state(site)
    finally:
        with psycopg.connect(endpoints.source, autocommit=True) as connection:
            connection.execute("select pg_drop_replication_slot(%s)", (SLOT,))
    assert done.point.system_identifier != first.point.system_identifier
    assert sorted(clusters(site.bucket)) == sorted([done.point.system_identifier, first.point.system_identifier])
    assert last.name in wal_there(site.bucket, first.point.system_identifier).segments
    assert not isinstance(state, Refused)
    assert state.others == [first.point.system_identifier]
    assert [name.partition(".")[0] for name in spool.rejected()] == ["0000000100000F0000000000"]
