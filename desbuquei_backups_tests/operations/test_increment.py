"""The hourly where the server gives its WAL: any second up to its point, by an increment if that is the cheaper way."""

from datetime import timedelta

import pytest

from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.targets import parse_target
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.base_backup import BaseTaken, take_base_backup
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.filled import Taken
from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.conftest import SLOT, Clock
from desbuquei_backups_tests.operations.story import connected
from desbuquei_backups_tests.operations.wal import missing, there, write

HOUR = timedelta(hours=1)


def hour(number: int) -> Slot:
    """The slot so many hours after the day's."""
    return Slot("hourly", SLOT.due + number * HOUR)


def taken(site: Site, clock: Clock, slot: Slot) -> Manifest:
    """The whole chain of an hour, up to its archive."""
    clock.now = slot.due + timedelta(minutes=1)
    found = take_dump(site, slot)
    assert isinstance(found, Taken), found
    seal(site, slot)
    return archive(site, slot).manifest


@pytest.fixture
def day(wal_site: Site, own_server: Cluster) -> Manifest:
    """The day's backup, with its base."""
    with own_server.connect() as connection:
        connection.execute("create table livro (n int primary key); insert into livro select generate_series(1, 1000)")
    take_dump(wal_site, SLOT)
    assert isinstance(take_base_backup(wal_site, SLOT), BaseTaken)
    seal(wal_site, SLOT)
    return archive(wal_site, SLOT).manifest


def noted(server: Cluster, number: int) -> None:
    with server.connect() as connection:
        connection.execute("insert into livro values (%s)", (number,))


def test_an_hour_is_a_point_all_wal_up_to_it_and_what_has_changed(
    wal_site: Site, own_server: Cluster, clock: Clock, day: Manifest, open_ground
) -> None:
    noted(own_server, 2000)
    write(own_server, 12)
    first = taken(wal_site, clock, hour(1))
    assert first.point is not None
    assert first.base is not None
    assert first.parent == day.backup_id
    assert [file.role for file in first.files] == [Role.POINT, Role.BASE, Role.BASE_MANIFEST, Role.CONFIGURATION]
    assert first.file(Role.BASE).name == f"{hour(1).backup_id}.incr.tar.zst"
    assert first.file(Role.BASE_MANIFEST).name == f"{hour(1).backup_id}.incr_manifest"
    assert first.file(Role.BASE).size < day.file(Role.BASE).size / 3
    assert first.warnings == []
    noted(own_server, 3000)
    write(own_server, 1)
    taken(wal_site, clock, hour(2))
    noted(own_server, 4000)
    taken(wal_site, clock, hour(3))
    assert missing(there(wal_site)) == []
    wanted = Wanted(parse_target(hour(2).backup_id))
    with recovered_copy(wal_site, wanted, open_ground / "copy") as copy:
        assert copy.plan.increment is not None
        assert copy.plan.increment.backup_id in (hour(1).backup_id, hour(2).backup_id)
        with connected(copy) as connection:
            found = connection.execute("select array_agg(n order by n) from livro where n > 1000").fetchone()
    assert found == ([2000, 3000],)

