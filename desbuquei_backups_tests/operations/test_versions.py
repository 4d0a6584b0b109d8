"""What holds of one version of PostgreSQL and not of another: each server's way from its slot to a recovered second."""

import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import ToolMissing
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.targets import Target
from desbuquei_backups.operations.base_backup import take_base_backup
from desbuquei_backups.operations.drill import drill
from desbuquei_backups.operations.recovered_copy import Copy, Wanted, recovered_copy
from desbuquei_backups.operations.settings import S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unpacking import unpacked_and_verified
from desbuquei_backups.operations.wal_stream import Streamer
from desbuquei_backups.postgres import programs
from desbuquei_backups.postgres.account import within_reach
from desbuquei_backups.postgres.programs import choose_server
from desbuquei_backups_tests.backup_role import backup_role
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.conftest import SLOT, Endpoints
from desbuquei_backups_tests.embedded.processes import eventually
from desbuquei_backups_tests.operations.altered_base import with_members
from desbuquei_backups_tests.operations.origin import account_here
from desbuquei_backups_tests.operations.story import connected, site_over, taken
from desbuquei_backups_tests.operations.wal import drained, missing, said, there, write

POINT, LATER = "hourly-2026-02-02-030000", "hourly-2026-02-02-040000"


def versions() -> list[int]:
    """The wheels have 17 and 18. 15 is Debian's, which .ci/run installs: on another machine it may not be there."""
    try:
        return [choose_server(15).major, 17, 18]
    except ToolMissing:
        return [17, 18]


@dataclass
class Told:
    """A running server of one version, its base backup in S3, and a ledger written to before, between and after points.

    The site's role may do no more than it must. `rows`: the moment at which each row was committed; the first
    `by_point` of them were before POINT.
    """

    cluster: Cluster
    site: Site
    ground: Path
    manifest: Manifest
    rows: dict[int, datetime]
    by_point: int

    def recovered(self, to: Target) -> AbstractContextManager[Copy]:
        """From a machine that has nothing but the bucket."""
        urls = {S3_URL: self.site.settings.s3_url}
        settings = replace(self.site.settings, backup_dir=self.ground / "nothing here", urls=urls)
        wanted = Wanted(to, throw_away=True)
        return recovered_copy(replace(self.site, settings=settings), wanted, self.ground / uuid.uuid4().hex[:8])


def fill(cluster: Cluster, rows: int) -> None:
    with cluster.connect() as connection:
        for _ in range(rows):
            connection.execute("insert into ledger default values")


def rows_of(copy: Copy) -> set[int]:
    with connected(copy) as connection:
        return {number for (number,) in connection.execute("select number from ledger").fetchall()}


@pytest.fixture(scope="module", params=versions(), ids="PostgreSQL {}".format)
def told(request: pytest.FixtureRequest, open_ground: Path, endpoints: Endpoints) -> Iterator[Told]:
    ground = open_ground / f"version{request.param}"
    ground.mkdir()
    if (account := account_here()) is not None:
        account.give(ground)
    own = choose_server(request.param)
    reached = within_reach(Path(own.path("postgres")), own.folder.parent, ground, account)
    cluster = Cluster(ground, reached / own.folder.name, "source", {"track_commit_timestamp": "on"}).make()
    try:
        site = site_over(backup_role(cluster.start()), ground, endpoints)
        with cluster.connect() as connection:
            connection.execute("create table ledger (number int generated always as identity)")
            fill(cluster, 20)
            manifest = taken(site, SLOT)
            fill(cluster, 20)
            drained(site, POINT)
            fill(cluster, 20)
            drained(site, LATER)
            rows = connection.execute("select number, pg_xact_commit_timestamp(xmin) from ledger").fetchall()
        yield Told(cluster, site, ground, manifest, {number: at.astimezone(UTC) for number, at in rows}, 40)
    finally:
        cluster.remove()


def test_its_own_programs_take_the_base_backup_and_pg_verifybackup_finds_it_whole(told: Told) -> None:
    base = told.manifest.base
    assert base is not None
    assert (told.manifest.server.major, int(base.tool.split(".")[0])) == (told.cluster.major,) * 2
    again = take_base_backup(told.site, SLOT)
    assert again.reused
    assert (again.verified.faults, again.verified.unread) == ([], "")


@pytest.mark.parametrize("told", versions()[:-1], indirect=True, ids="PostgreSQL {}".format)
def test_newer_programs_take_what_they_cannot_read_for_no_fault_and_miss_no_other(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tuple(each for each in programs.installed() if each.major > told.cluster.major)
    monkeypatch.setattr(programs, "installed", lambda: newer)
    found = unpacked_and_verified(told.site, told.manifest)
    assert not found.faults
    assert f"install postgresql-client-{told.cluster.major}" in found.unread
    altered = replace(told.site, settings=replace(told.site.settings, backup_dir=told.ground / "altered"))
    shutil.copytree(told.site.settings.folder, altered.settings.folder)
    with_members(
        altered.settings.folder, told.manifest, lambda name, content: content + b"\0" * (name == "global/1260")
    )
    assert "global/1260" in str(unpacked_and_verified(altered, told.manifest).faults)


def test_its_wal_is_in_s3_without_a_gap_from_the_base_backup_to_the_points(told: Told) -> None:
    wal = there(told.site)
    assert missing(wal) == []
    assert {POINT, LATER} <= {point.name for point in wal.points}
    assert said(told.site, untrue_only=True) == {}


def test_recovered_to_a_second_it_has_what_was_committed_by_then_and_nothing_later(told: Told) -> None:
    number = told.by_point + 7
    at = told.rows[number]
    with told.recovered(Target(at=at)) as copy:
        assert rows_of(copy) == {each for each, committed in told.rows.items() if committed <= at}
        assert copy.reached.committed_at == at


def test_recovered_to_a_named_point_it_has_what_was_committed_before_it(told: Told) -> None:
    with told.recovered(Target(name=POINT)) as copy:
        assert rows_of(copy) == set(range(1, told.by_point + 1))


def test_a_drill_finds_every_page_and_index_whole(told: Told) -> None:
    record = drill(told.site, Wanted(Target()))
    assert record.faults == []
    assert record.unchecked == []
    assert record.server_version.split(".")[0] == str(told.cluster.major)


def test_a_streamer_brings_what_is_written_meanwhile(told: Told) -> None:
    streamer = Streamer(told.site, tick_seconds=0.05, look_seconds=0.2)
    thread = threading.Thread(target=streamer.run)
    thread.start()
    try:
        before = len(there(told.site).segments)
        write(told.cluster, 2)
        assert eventually(lambda: len(there(told.site).segments) >= before + 2)
    finally:
        streamer.stop.set()
        thread.join()
    assert missing(there(told.site)) == []
