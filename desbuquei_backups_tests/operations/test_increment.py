"""The hourly where the server gives its WAL: any second up to its point, by an increment if that is the cheaper way."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from desbuquei_backups.core.errors import IdentityError, IntegrityError, NoDump, StoreUnreachable
from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.core.retention import Place as RetentionPlace
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.targets import parse_target
from desbuquei_backups.operations import increment
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.base_backup import BaseTaken, take_base_backup
from desbuquei_backups.operations.catalog_rebuild import rebuild
from desbuquei_backups.operations.copies import Place, find_copy
from desbuquei_backups.operations.doctor_source import recovery_point
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.filled import Taken
from desbuquei_backups.operations.pruning import plan
from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import status
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups.operations.wal_bases import bases_there
from desbuquei_backups.operations.wal_spool import spool_of
from desbuquei_backups.operations.wal_state import WalState, wal_state
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.disk import remove_abandoned
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.conftest import SLOT, Clock, Endpoints
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.keys import new_key
from desbuquei_backups_tests.operations.losses import flip, line_of
from desbuquei_backups_tests.operations.story import connected
from desbuquei_backups_tests.operations.wal import SLOT as SLOT_NAME
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
def store(endpoints: Endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        yield store


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


def test_without_a_base_backup_that_leads_there_a_full_one_is_taken(wal_site, own_server, clock) -> None:
    first = taken(wal_site, clock, hour(1))
    assert first.base is not None
    assert first.parent is None
    assert first.file(Role.BASE).name == f"{hour(1).backup_id}.base.tar.zst"
    second = taken(wal_site, clock, hour(2))
    assert second.parent == first.backup_id
    # One from before the window of any second would keep ever more WAL.
    assert taken(wal_site, clock, hour(2 + 8 * 24)).parent is None
    wal_site.bucket.delete(f"hourly/{hour(2 + 8 * 24).backup_id}.manifest.json")
    assert [base.backup_id for base in bases_there(wal_site, str(first.server.system_identifier))] == [first.backup_id]


def test_after_wal_was_lost_a_new_base_backup_is_taken_by_itself(wal_site, own_server, clock, day) -> None:
    taken(wal_site, clock, hour(1))
    with own_server.connect() as connection:
        connection.execute(f"select pg_drop_replication_slot('{SLOT_NAME}')")
        write(own_server, 3)
        connection.execute("checkpoint")
        write(own_server, 1)
        connection.execute("checkpoint")
    found = taken(wal_site, clock, hour(2))
    assert found.parent is None
    assert found.file(Role.BASE).name == f"{hour(2).backup_id}.base.tar.zst"
    assert sorted(path.name for path in wal_site.settings.folder.glob(f"{hour(2).backup_id}.incr*")) == []
    # From there on it goes on as before.
    assert taken(wal_site, clock, hour(3)).parent == found.backup_id
    state = wal_state(wal_site)
    assert isinstance(state, WalState)
    assert len(state.declared) == 1


def summarizing(server: Cluster, value: str) -> None:
    with server.connect() as connection:
        connection.execute(f"alter system set summarize_wal = {value}")
    server.restart()


def test_where_no_increment_can_be_made_the_wal_alone_leads_there(wal_site, own_server, clock, day) -> None:
    summarizing(own_server, "off")
    write(own_server, 2)
    off = taken(wal_site, clock, hour(1))
    assert off.point is not None
    assert (off.parent, off.base, off.warnings) == (None, None, [])
    assert [file.role for file in off.files] == [Role.POINT]
    with own_server.connect() as connection:
        connection.execute("checkpoint")  # what was not summarized is gone now, being archived
    summarizing(own_server, "on")
    expired = taken(wal_site, clock, hour(2))
    assert (expired.parent, expired.base) == (None, None)
    assert len(expired.warnings) == 1
    assert "summaries" in expired.warnings[0]
    assert missing(there(wal_site)) == []


@pytest.mark.parametrize("role", [Role.BASE_MANIFEST, Role.BASE])
def test_a_base_backup_that_is_gone_or_cannot_be_read_has_no_increments(wal_site, clock, day, role) -> None:
    name = day.file(role).name
    (wal_site.settings.folder / name).write_bytes(b"damaged")
    wal_site.bucket.delete(key_of(name))
    found = taken(wal_site, clock, hour(1))
    assert found.parent is None
    if role is Role.BASE:  # a full one takes its place
        assert found.base is not None
    else:
        assert found.base is None
        assert [f"manifest of {day.backup_id} cannot be read" in warning for warning in found.warnings] == [True]


def test_while_s3_is_down_the_wal_waits_here_and_the_archive_is_made_up_for(
    make_site, own_server, clock, store: FaultyStore
) -> None:
    site = make_site(own_server.url, aws={"AWS_ENDPOINT_URL_S3": store.url})
    taken(site, clock, hour(1))
    write(own_server, 2)
    clock.now = hour(2).due + timedelta(minutes=1)
    store.fail()
    found = take_dump(site, hour(2))
    assert isinstance(found, Taken)
    assert found.manifest.point is not None
    assert found.manifest.point.last.name in spool_of(site).names()
    seal(site, hour(2))
    with pytest.raises(StoreUnreachable):
        archive(site, hour(2))
    store.heal()
    archived = archive(site, hour(2))
    assert [file.whole for file in archived.files] == [True] * len(archived.files)
    assert spool_of(site).names() == set()
    assert found.manifest.point.name in [point.name for point in there(site).points]


def test_an_encrypted_increment_needs_the_identity_to_recover_and_not_to_be_taken(
    make_site, own_server, clock, tmp_path, open_ground
) -> None:
    ours = new_key(tmp_path, "ours")
    plain = make_site(own_server.url)
    host = replace(plain, settings=replace(plain.settings, age_recipients=(ours.recipient,)))
    with own_server.connect() as connection:
        connection.execute("create table livro (n int)")
    first = taken(host, clock, hour(1))
    write(own_server, 8)
    noted(own_server, 7)
    second = taken(host, clock, hour(2))
    assert second.parent == first.backup_id
    assert {file.name.endswith(".age") for file in second.files} == {True}
    assert len(second.warnings) == 1
    assert "no identity is named" in second.warnings[0]
    taken(host, clock, hour(3))
    wanted = Wanted(parse_target(hour(2).backup_id))
    with pytest.raises(IdentityError), recovered_copy(host, wanted, open_ground / "closed"):
        pass
    elsewhere = replace(host, settings=replace(host.settings, age_identity=ours.file))
    with recovered_copy(elsewhere, wanted, open_ground / "opened") as copy, connected(copy) as connection:
        assert copy.plan.increment is not None
        assert connection.execute("select n from livro").fetchall() == [(7,)]


def test_it_has_no_dump_and_says_what_there_is_instead(wal_site, clock, day, restore_url) -> None:
    backup_id = taken(wal_site, clock, hour(1)).backup_id
    with pytest.raises(NoDump, match="it holds WAL and no dump") as raised:
        prove(wal_site, hour(1))
    assert f"desbuquei recover --to {backup_id}" in raised.value.remedy
    for place in (Place.S3, Place.DISK):
        with pytest.raises(NoDump):
            find_copy(wal_site, backup_id, place)
    assert line_of(wal_site, hour(1))["status"] == "success"
    found = status(wal_site)
    assert found.recovery_point is not None
    assert found.recovery_point.startswith("any second up to ")
    assert backup_id in found.recovery_point
    (hourly,) = (tier for tier in found.tiers if tier.tier == "hourly")
    assert (hourly.last_good, hourly.wal, hourly.trouble, hourly.unproven) == (backup_id, True, None, None)
    assert [each.said for each in recovery_point(wal_site)] == ["takes WAL: any second can be recovered to"]
    assert verify_backup(wal_site, backup_id, remote=True).whole
    assert verify_backup(wal_site, backup_id, remote=False).whole


def test_the_base_backup_of_a_kept_increment_is_kept(wal_site, clock, day) -> None:
    taken(wal_site, clock, hour(1))
    tiers = {
        name: tier.model_copy(update={"never_fewer_than": int(name == "hourly")})
        for name, tier in wal_site.policy.tiers.items()
    }
    small = replace(
        wal_site,
        settings=replace(wal_site.settings, policy=wal_site.policy.model_copy(update={"tiers": tiers})),
    )
    clock.pass_by(days=60)
    reasons = {(each.backup_id, each.place): each.verdict.reason for each in plan(small) if each.keep}
    for place in (RetentionPlace.S3, RetentionPlace.DISK):
        assert reasons[day.backup_id, place] == f"{hour(1).backup_id} needs its files"


def test_an_hour_that_is_run_again_is_verified_and_not_taken_again(wal_site, clock, day) -> None:
    first = taken(wal_site, clock, hour(1))
    again = take_dump(wal_site, hour(1))
    assert isinstance(again, Taken)
    assert (again.reused, again.manifest) == (True, first)
    rebuilt = replace(wal_site, settings=replace(wal_site.settings, backup_dir=wal_site.settings.home / "new"))
    rebuild(rebuilt)
    old, new = line_of(wal_site, hour(1)), line_of(rebuilt, hour(1))
    # What only the host that did it knows.
    seen = {"egress_bytes": 0, "archive_seconds": None}
    assert {**new, **seen} == {**old, **seen}


def test_the_day_s_dump_is_never_taken_over_from_an_hour_of_wal(wal_site, own_server, clock) -> None:
    clock.now = SLOT.due + timedelta(minutes=1)
    taken(wal_site, clock, hour(0))
    daily = take_dump(wal_site, SLOT)
    assert isinstance(daily, Taken)
    assert (daily.manifest.copy_of, daily.manifest.point) == (None, None)
    assert daily.manifest.dump.role is Role.DUMP


def test_an_increment_of_a_cluster_with_a_tablespace_is_recovered(
    make_site, own_server, clock, open_ground, tmp_path
) -> None:
    site = make_site(own_server.url)
    with own_server.connect() as connection:
        connection.execute("set allow_in_place_tablespaces = on")
        connection.execute("create tablespace frio location ''")
        connection.execute("create table livro (n int) tablespace frio")
    taken(site, clock, hour(1))
    write(own_server, 8)
    noted(own_server, 7)
    second = taken(site, clock, hour(2))
    assert [file.role for file in second.files].count(Role.TABLESPACE) == 1
    noted(own_server, 8)
    taken(site, clock, hour(3))
    with recovered_copy(site, Wanted(parse_target(hour(2).backup_id)), open_ground / "space") as copy:
        assert copy.plan.increment is not None
        with connected(copy) as connection:
            assert connection.execute("select n from livro").fetchall() == [(7,)]


def test_a_damaged_increment_is_named_and_the_wal_leads_there_without_it(
    wal_site, own_server, clock, day, open_ground
) -> None:
    write(own_server, 12)
    noted(own_server, 2000)
    found = taken(wal_site, clock, hour(1))
    name = found.file(Role.BASE).name
    bucket = wal_site.bucket
    damaged = flip(bucket.fetch(key_of(name))[0])
    bucket.client.put_object(Bucket=bucket.name, Key=f"{bucket.prefix}/{key_of(name)}", Body=damaged)
    wanted = Wanted(parse_target(hour(1).backup_id))
    with (
        pytest.raises(IntegrityError, match=re.escape(name)) as raised,
        recovered_copy(wal_site, wanted, open_ground / "damaged"),
    ):
        pass
    assert f"--no-increments does without {found.backup_id}" in raised.value.remedy
    # The same folder, begun anew.
    with recovered_copy(wal_site, replace(wanted, increments=False), open_ground / "damaged") as copy:
        assert copy.plan.increment is None
        with connected(copy) as connection:
            assert connection.execute("select n from livro where n > 1000").fetchall() == [(2000,)]


@pytest.fixture
def standby(own_server: Cluster) -> Iterator[Cluster]:
    other = own_server.standby(f"{own_server.name}-standby")
    yield other
    other.remove()


def test_after_a_failover_the_next_hour_leads_on_from_the_same_base(
    standby, day, wal_site, make_site, own_server, clock, open_ground
) -> None:
    taken(wal_site, clock, hour(1))
    noted(own_server, 2000)
    own_server.stop()  # which waits for the standby
    standby.promote()
    noted(standby, 3000)
    after = make_site(standby.url)
    second = taken(after, clock, hour(2))
    assert second.point is not None
    assert (second.point.timeline, second.parent, second.warnings) == (2, day.backup_id, [])
    with (
        recovered_copy(after, Wanted(parse_target(hour(2).backup_id)), open_ground / "after") as copy,
        connected(copy) as connection,
    ):
        found = connection.execute("select array_agg(n order by n) from livro where n > 1000").fetchone()
    assert found == ([2000, 3000],)


def test_after_a_failover_that_lost_wal_a_new_base_backup_is_taken_by_itself(
    day, wal_site, make_site, own_server, clock
) -> None:
    taken(wal_site, clock, hour(1))
    write(own_server, 2)
    standby = own_server.standby(f"{own_server.name}-standby")  # it never had what was written before
    try:
        own_server.stop()
        standby.promote()
        after = make_site(standby.url)
        second = taken(after, clock, hour(2))
        assert second.base is not None
        assert (second.base.timeline, second.parent) == (2, None)
        noted(standby, 3000)
        assert taken(after, clock, hour(3)).parent == second.backup_id
    finally:
        standby.remove()


def test_what_changed_in_a_tablespace_never_lies_on_disk_in_the_clear(make_site, own_server, clock, tmp_path) -> None:
    plain = make_site(own_server.url)
    host = replace(plain, settings=replace(plain.settings, age_recipients=(new_key(tmp_path).recipient,)))
    with own_server.connect() as connection:
        connection.execute("set allow_in_place_tablespaces = on")
        connection.execute("create tablespace frio location ''")
    first = taken(host, clock, hour(1))
    assert [file.role for file in first.files].count(Role.TABLESPACE) == 1
    second = taken(host, clock, hour(2))
    assert second.base is None
    assert [warning for warning in second.warnings if warning.startswith("no increment: the cluster has tablespaces")]


def test_what_a_killed_increment_went_by_is_removed_by_the_next_run(tmp_path) -> None:
    with increment._as_file(tmp_path, "hourly-2026-02-02-030000", b"a manifest") as path:
        left = path.with_name(path.name.replace("against-", "against-killed-"))
        left.write_bytes(path.read_bytes())
    assert remove_abandoned(tmp_path) == [left.name]
    assert list(tmp_path.iterdir()) == []
