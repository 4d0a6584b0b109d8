"""What happened to the server or to its WAL meanwhile: what is left leads on, and what is lost is never promised."""

import os
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import OutOfReach
from desbuquei_backups.core.targets import Target, parse_target
from desbuquei_backups.core.wal import Segment, show_lsn
from desbuquei_backups.operations.recovered_copy import Wanted, planned, recovered_copy
from desbuquei_backups.operations.recovery_catalog import base_copies
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_archive import archive_spool
from desbuquei_backups.operations.wal_spool import spool_of
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.conftest import SLOT
from desbuquei_backups_tests.embedded.processes import eventually
from desbuquei_backups_tests.operations.story import connected, taken
from desbuquei_backups_tests.operations.test_wal_drain import LATER, remove_wal, wait_for
from desbuquei_backups_tests.operations.wal import SLOT as REPLICATION_SLOT
from desbuquei_backups_tests.operations.wal import drained, said, there, write


def note(cluster: Cluster, text: str) -> None:
    with cluster.connect() as connection:
        connection.execute("create table if not exists notes (note text)")
        connection.execute("insert into notes values (%s)", (text,))


def plan_to(site: Site, to: str) -> list[str]:
    """The segments that a recovery would replay; OutOfReach as a recovery says it."""
    wanted = Wanted(parse_target(to))
    copies = base_copies(site, wanted.place)
    return [each.name for each in planned(copies, copies.wal.look(copies.segment_size), wanted).segments]


def test_after_a_crash_and_a_failover_it_is_recovered_over_both_timelines_or_to_the_end_of_the_old_one(
    wal_site, make_site, own_server: Cluster, open_ground: Path
) -> None:
    drained(wal_site)
    taken(wal_site, SLOT)
    own_server.settings = {"wal_retrieve_retry_interval": "100ms"}
    standby = own_server.standby(f"{own_server.name}-standby")
    try:
        note(own_server, "before it crashed")
        own_server.stop("immediate")
        own_server.start()
        note(own_server, "on the old one")
        point = drained(wal_site, LATER).point
        note(own_server, "which the standby has, and S3 has not")
        wait_for(own_server, standby)
        own_server.stop()
        standby.promote()
        note(standby, "on the new one")
        site = make_site(standby.url)
        drained(site, "hourly-2026-02-02-050000")
    finally:
        standby.remove()

    def recovered(**wanted: object) -> list[str]:
        data = open_ground / "failed-over"
        with recovered_copy(site, Wanted(Target(), throw_away=True, **wanted), data) as copy, connected(copy) as found:
            # What summarizes WAL asks for a segment of the old timeline that never was, again and again.
            assert "ERROR" not in copy.folder.log.read_text()
            return [note for (note,) in found.execute("select note from notes").fetchall()]

    old = ["before it crashed", "on the old one"]
    assert recovered() == [*old, "which the standby has, and S3 has not", "on the new one"]
    assert recovered(timeline=1) == old
    assert {int(name[:8], 16) for name in plan_to(site, "latest")} == {1, 2}
    assert {int(name[:8], 16) for name in plan_to(site, point.name)} == {1}


def test_a_slot_that_was_made_after_the_base_backup_promises_nothing_after_it(wal_site, own_server: Cluster) -> None:
    manifest = taken(wal_site, SLOT)
    with own_server.connect() as connection:
        connection.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
    remove_wal(own_server)
    point = drained(wal_site).point
    first = min(Segment.of_name(name) for name in there(wal_site).segments)
    (why,) = said(wal_site, untrue_only=True).values()
    assert f"to {show_lsn(first.start)})" in why
    assert "no base backup was taken after it" in why
    with pytest.raises(OutOfReach, match=f"WAL is missing after {manifest.backup_id}") as caught:
        plan_to(wal_site, "latest")
    assert f"from {manifest.backup_id} alone" in caught.value.remedy
    with pytest.raises(OutOfReach, match="WAL is missing after"):
        plan_to(wal_site, point.name)
    assert plan_to(wal_site, manifest.backup_id) == []


@pytest.fixture
def archiving(make_site, own_server: Cluster, open_ground: Path) -> Site:
    """A site into whose folder the server archives with `cp`, as the guide has it."""
    site = make_site(own_server.url, folder=open_ground / own_server.name)
    spool = spool_of(site)
    spool.prepare()
    owner = own_server.folder.stat()
    if os.geteuid() == 0:
        for folder in (site.settings.folder, spool.folder):
            os.chown(folder, owner.st_uid, owner.st_gid)
    folder = spool.folder
    own_server.settings = {"archive_mode": "on", "archive_command": f"test ! -f {folder}/%f && cp %p {folder}/%f"}
    own_server.restart()
    return site


def archived(cluster: Cluster) -> None:
    """Wait until the server has archived all that it began before."""
    with cluster.connect() as connection:
        (name,) = connection.execute("select pg_walfile_name(pg_logical_emit_message(false, 'fill', 'x'))").fetchone()
        connection.execute("select pg_switch_wal()")
        asked = "select coalesce(last_archived_wal, '') >= %s from pg_stat_archiver"
        assert eventually(lambda: connection.execute(asked, (name,)).fetchone() == (True,))


def archive_with(cluster: Cluster, command: str | None) -> None:
    with cluster.connect() as connection:
        connection.execute(f"alter system set archive_command = '{command}'" if command else "alter system reset all")
        connection.execute("select pg_reload_conf()")
        assert eventually(
            lambda: command is None or connection.execute("show archive_command").fetchone() == (command,)
        )


def test_an_archive_command_that_does_nothing_loses_nothing_where_there_is_a_slot(archiving, own_server) -> None:
    drained(archiving)
    taken(archiving, SLOT)
    archive_with(own_server, "/bin/true")
    remove_wal(own_server)
    archived(own_server)
    assert drained(archiving, LATER).gap is None
    assert said(archiving, untrue_only=True) == {}
    assert plan_to(archiving, LATER)


def test_an_archive_command_that_did_nothing_for_a_while_is_said_and_nothing_beyond_is_promised(
    archiving, own_server
) -> None:
    drained(archiving)
    manifest = taken(archiving, SLOT)
    with own_server.connect() as connection:
        connection.execute("select pg_drop_replication_slot(%s)", (REPLICATION_SLOT,))
    write(own_server, 1)
    archived(own_server)
    assert archive_spool(archiving).faults == []
    assert said(archiving, untrue_only=True).keys() == {"slot"}
    have = there(archiving).segments
    archive_with(own_server, "/bin/true")
    remove_wal(own_server)
    archived(own_server)
    untrue = said(archiving, untrue_only=True)
    assert "nothing keeps what is between" in untrue["the newest segment against the server"]
    archive_with(own_server, None)
    write(own_server, 2)
    archived(own_server)
    assert archive_spool(archiving).faults == []
    lost = Segment(1, max(Segment.of_name(name).number for name in have) + 1)
    (gap,) = [why for subject, why in said(archiving, untrue_only=True).items() if subject.startswith("WAL ")]
    assert gap.startswith(lost.name)
    with pytest.raises(OutOfReach, match=f"WAL is missing after {manifest.backup_id}: {lost.name}") as caught:
        plan_to(archiving, "latest")
    assert f"to {show_lsn(lost.start)})" in caught.value.remedy
    assert plan_to(archiving, show_lsn(lost.start))
