"""WAL in the second place: whatever is lost of the first one, any second can be recovered to from the other."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import StoreUnreachable
from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.tiers import LockMode
from desbuquei_backups.core.wal import DEFAULT_SEGMENT_SIZE, parse_lsn
from desbuquei_backups.core.wal_points import RecoveryPoint
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.drill import drill
from desbuquei_backups.operations.recovered_copy import Wanted
from desbuquei_backups.operations.second_place import archive_in_second_place
from desbuquei_backups.operations.second_wal import make_up
from desbuquei_backups.operations.second_wal_copy import copy_wal
from desbuquei_backups.operations.second_wal_status import SecondWal, second_continuity, second_wal
from desbuquei_backups.operations.settings import S3_URL, SECOND_S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_archive import archive_spool
from desbuquei_backups.operations.wal_bucket import clusters, fetch_segment, listed
from desbuquei_backups.operations.wal_points import point_is_archived
from desbuquei_backups.operations.wal_pruning import plan_wal, prune_wal
from desbuquei_backups.operations.wal_push import system_identifier
from desbuquei_backups.operations.wal_spool import spool_of
from desbuquei_backups.operations.wal_stream import Streamer
from desbuquei_backups.postgres.wal import Position
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.conftest import Endpoints, MakeSite
from desbuquei_backups_tests.embedded.processes import eventually
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.faults import FaultyStore, completions, parts
from desbuquei_backups_tests.keys import new_key
from desbuquei_backups_tests.operations.story import Story
from desbuquei_backups_tests.operations.test_encryption import with_keys
from desbuquei_backups_tests.operations.test_wal_state import forget, segments, state_of, with_base
from desbuquei_backups_tests.operations.test_wal_stream import archived_before, position, streaming
from desbuquei_backups_tests.operations.wal import drained, missing, there, write

HOUR = timedelta(hours=1)


@pytest.fixture
def store(endpoints: Endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as faulty:
        yield faulty


@pytest.fixture
def site(make_site: MakeSite, own_server: Cluster, elsewhere_url: str, endpoints: Endpoints, store) -> Site:
    """A site over a server of its own, whose second place is another store: `store` is before that one alone."""
    return make_site(
        own_server.url,
        urls={SECOND_S3_URL: elsewhere_url},
        second_aws={**endpoints.aws, "AWS_ENDPOINT_URL_S3": store.url},
    )


@pytest.fixture(params=["one store", "two stores"])
def archived(request, make_site: MakeSite, elsewhere_url: str, endpoints: Endpoints, store, real_wal: Path) -> Site:
    """A site with WAL in the first place; the store can copy it to the second, or cannot."""
    reached = {**endpoints.aws, "AWS_ENDPOINT_URL_S3": store.url}
    account = {"aws": reached} if request.param == "one store" else {"second_aws": reached}
    site = make_site(None, urls={SECOND_S3_URL: elsewhere_url}, **account)
    lay(site, real_wal)
    return site


def lay(site: Site, real_wal: Path) -> None:
    """Archive four real segments, a history and a point."""
    spool, names = spool_of(site), [f"00000001000000000000000{number + 1}" for number in range(4)]
    identifier = system_identifier(real_wal / names[0])
    spool.prepare()
    spool.belongs_to(identifier)
    spool.remember(Position(1, parse_lsn("0/2000000"), site.now(), "1:1:"))
    for name in names:
        shutil.copy(real_wal / name, spool.folder / name)
    (spool.folder / "00000002.history").write_text("1\t0/3000148\tno recovery target specified\n")
    assert archive_spool(site).faults == []
    point = RecoveryPoint(
        name="antes",
        system_identifier=identifier,
        timeline=1,
        lsn="0/2000028",
        end="0/3000000",
        segment_size=DEFAULT_SEGMENT_SIZE,
        at=site.now(),
        transaction=7,
        heartbeat=True,
    )
    assert point_is_archived(site, point)


def with_second_base(site: Site, start: int, *, days: int = 0) -> None:
    """A base backup that begins there, so many days ago, in both places."""
    with_base(site, site.now() - timedelta(days=days), start)
    with_base(site.at_second_place, site.now() - timedelta(days=days), start, of=clusters(site.bucket)[0])


def wal_keys(site: Site) -> list[str]:
    return list(site.bucket.keys("wal/"))


def first_segment(site: Site) -> str:
    return next(key for key in wal_keys(site) if key.endswith(f"{segments(site)[0].name}.zst"))


def looked(site: Site) -> SecondWal:
    found = second_wal(site, state_of(site))
    assert found is not None
    return found


def untrue(found: SecondWal, objective: timedelta = HOUR) -> list[str]:
    return [each.subject for each in second_continuity(found, objective) if each.verdict is Verdict.DIFFERS]


def test_all_wal_since_the_base_there_comes_once_with_all_that_is_known_of_it(archived: Site, store) -> None:
    have, second = segments(archived), archived.at_second_place
    with_second_base(archived, have[2].start)
    done = make_up(archived)
    assert (done.trouble, done.faults) == (None, [])
    # The older segments make no base reachable that is there.
    due = [key for key in wal_keys(archived) if not any(each.name in key for each in have[:2])]
    assert wal_keys(second) == sorted(done.copied) == due
    assert len(due) == 4
    for key in due:
        ours, theirs = archived.bucket.head(key), second.bucket.head(key)
        assert ours is not None
        assert theirs is not None
        assert (ours.metadata, ours.size) == (theirs.metadata, theirs.size)
        assert b"".join(archived.bucket.read(key)) == b"".join(second.bucket.read(key))
        name, whole = second.bucket.where(key)
        tags = second.bucket.client.get_object_tagging(Bucket=name, Key=whole)["TagSet"]
        assert {each["Key"]: each["Value"] for each in tags} == {"tier": "wal", "database": "desbuquei"}
    store.requests.clear()
    assert make_up(archived).copied == []
    assert {method for method, _ in store.requests} <= {"GET", "HEAD"}


@pytest.mark.parametrize("archived", ["one store"], indirect=True)
def test_where_both_places_are_one_store_no_segment_passes_this_machine(archived: Site, store) -> None:
    with_second_base(archived, 0)
    store.requests.clear()
    assert make_up(archived).copied
    assert not [path for method, path in store.requests if method == "GET" and path.partition("?")[0].endswith(".zst")]


def test_what_is_encrypted_comes_as_it_is_and_is_read_with_the_identity(
    make_site: MakeSite, elsewhere_url: str, endpoints: Endpoints, real_wal: Path, tmp_path: Path
) -> None:
    ours = new_key(tmp_path)
    second = {"urls": {SECOND_S3_URL: elsewhere_url}, "second_aws": dict(endpoints.aws)}
    site = with_keys(make_site(None, **second), ours, identity=ours)
    lay(site, real_wal)
    with_second_base(site, 0)
    make_up(site)
    (identifier,), bucket = clusters(site.bucket), site.at_second_place.bucket
    there, name = listed(bucket, identifier), segments(site)[0].name
    assert there.key(name).endswith(f"{name}.zst.age")
    content = b"".join(fetch_segment(bucket, there, name, site.identity))
    assert content == (real_wal / name).read_bytes()
    # Whoever archives it anew without a key makes no second one of it.
    lay(with_keys(site), real_wal)
    assert make_up(with_keys(site)).copied == []


@pytest.mark.parametrize("archived", ["one store"], indirect=True)
def test_what_the_store_will_not_copy_is_sent(archived: Site, store) -> None:
    with_second_base(archived, 0)
    store.refuse(parts)
    assert make_up(archived).trouble is None
    assert wal_keys(archived.at_second_place) == wal_keys(archived)


def test_an_outage_of_the_second_place_holds_up_nothing_is_said_and_made_up(site, own_server, store, caplog) -> None:
    drained(site)
    with_second_base(site, 0)
    store.busy()
    streamer = Streamer(site, tick_seconds=0.05, second_seconds=0.05)
    thread = threading.Thread(target=streamer.run)
    thread.start()
    try:
        assert eventually(lambda: streaming(own_server))
        write(own_server, 3)
        assert eventually(archived_before(site, position(own_server)))
        assert eventually(lambda: spool_of(site).files() == [])
        assert eventually(lambda: "WAL in the second place: " in caplog.text)
        found = looked(site)
        assert "could not be asked" in found.said()
        assert untrue(found) == ["second place"]
        store.heal()
        assert eventually(lambda: wal_keys(site.at_second_place) == wal_keys(site))
    finally:
        streamer.stop.set()
        thread.join()
    assert missing(there(site.at_second_place)) == []
    # However often it was tried.
    assert caplog.text.count("it is made up later") == 1


def test_how_far_it_is_behind_is_said_and_after_the_objective_it_is_not_true(site, own_server) -> None:
    drained(site)
    assert make_up(site).copied == []
    found = looked(site)
    assert found.said() == "no base backup of this cluster is there yet; its WAL follows it"
    assert untrue(found) == []
    with_second_base(site, 0)
    assert sorted(make_up(site).copied) == wal_keys(site)
    found = looked(site)
    assert (found.lacking, found.reached, found.behind) == (0, segments(site)[-1], timedelta(0))
    assert untrue(found, timedelta(0)) == []
    write(own_server, 1)
    drained(site, "hourly-2026-02-02-040000")
    found = looked(site)
    assert found.behind is not None
    assert (found.lacking >= 2, timedelta(0) < found.behind < HOUR) == (True, True)
    assert untrue(found) == []
    assert untrue(found, timedelta(0)) == ["second place"]


def test_what_is_lost_in_both_places_is_a_gap_and_what_the_first_has_comes(site, own_server, store) -> None:
    write(own_server, 5)
    drained(site)
    have = segments(site)
    with_second_base(site, have[0].start)
    store.busy(lambda method, path: method == "PUT" and have[4].name in path)
    broken_off = make_up(site)
    assert isinstance(broken_off.trouble, StoreUnreachable)
    # Whatever came after the first one that is lacking: up to there it is whole.
    assert looked(site).reached == have[3]
    store.heal()
    forget(site.at_second_place, have[1], have[2])
    forget(site, have[1])
    found = looked(site)
    assert [(gap.first, gap.last) for gap in found.gaps] == [(have[1], have[1])]
    assert untrue(found)[0].startswith("WAL 0/")
    again = make_up(site)
    assert {*again.copied} & {*broken_off.copied} == {key for key in wal_keys(site) if have[2].name in key}
    assert wal_keys(site.at_second_place) == wal_keys(site)


def test_another_segment_of_that_name_is_never_overwritten_and_keeps_no_other_from_it(archived: Site) -> None:
    key, second = first_segment(archived), archived.at_second_place.bucket
    with_second_base(archived, 0)
    second.put_bytes(key, b"somebody else's", tags={})
    (fault,) = make_up(archived).faults
    assert "two different objects of one name" in fault.what
    assert b"".join(second.read(key)) == b"somebody else's"
    assert wal_keys(archived.at_second_place) == wal_keys(archived)


def test_one_that_another_run_stores_meanwhile_is_as_good(archived: Site, store) -> None:
    key, before = first_segment(archived), list[bool]()

    def makes_it(method: str, path: str) -> bool:
        return completions(method, path) or (method == "PUT" and "partNumber=" not in path)

    store.before(makes_it, lambda: before.append(copy_wal(archived, key, locked=True)))
    copy_wal(archived, key, locked=True)
    assert before == [True]
    assert b"".join(archived.at_second_place.bucket.read(key)) == b"".join(archived.bucket.read(key))


def test_an_object_that_was_altered_in_the_first_place_is_named_and_not_copied(archived: Site) -> None:
    with_second_base(archived, 0)
    key = first_segment(archived)
    found, (name, whole) = archived.bucket.head(key), archived.bucket.where(key)
    assert found is not None
    content = b"x" * found.size
    archived.bucket.client.put_object(Bucket=name, Key=whole, Body=content, Metadata=dict(found.metadata))
    (fault,) = make_up(archived).faults
    assert key in fault.what
    assert wal_keys(archived.at_second_place) == [each for each in wal_keys(archived) if each != key]


@pytest.mark.parametrize("archived", ["one store"], indirect=True)
def test_each_place_keeps_the_wal_of_its_own_base_backups(archived: Site) -> None:
    have, second = segments(archived), archived.at_second_place
    with_second_base(archived, have[1].start, days=9)
    make_up(archived)
    with_base(archived, archived.now() - timedelta(days=8), have[3].start)
    prune_wal(archived)
    assert (segments(archived), segments(second)) == (have[3:], have[1:])
    assert [len(planned.keys) for planned in plan_wal(second)] == [0]
    with_second_base(archived, have[2].start, days=7)
    prune_wal(second)
    assert segments(second) == have[2:]
    # Nothing that was pruned comes again.
    assert make_up(archived).copied == []


def test_it_is_locked_there_as_the_policy_says(archived: Site, vault_url: str) -> None:
    settings = archived.settings
    hourly = settings.policy.tier("hourly").model_copy(update={"object_lock": LockMode.GOVERNANCE})
    policy = settings.policy.model_copy(
        update={"tiers": {**settings.policy.tiers, "hourly": hourly}, "pitr_window": timedelta(days=3650)}
    )
    urls = {**settings.urls, SECOND_S3_URL: vault_url}
    site = replace(archived, settings=replace(settings, policy=policy, urls=urls))
    with_second_base(site, 0)
    make_up(site)
    found = site.at_second_place.bucket.head(first_segment(site))
    assert found is not None
    assert (found.lock_mode, found.locked_until) == (LockMode.GOVERNANCE, site.now() + policy.pitr_window)


def test_with_the_first_place_gone_the_second_one_recovers_what_is_in_wal_alone(
    story: Story, elsewhere_url: str, endpoints: Endpoints
) -> None:
    settings = story.site.settings
    urls = {**settings.urls, SECOND_S3_URL: elsewhere_url}
    site = replace(story.site, settings=replace(settings, urls=urls, second_aws=dict(endpoints.aws)))
    archive_in_second_place(site, story.slot)
    assert there(site.at_second_place).segments == {path.name for path in story.segments}
    data = story.free()
    options = ["--data-dir", str(data), "--json"]
    program = "import sys; from desbuquei_backups.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "recover", "--to", "latest", "--from", "second", *options],
        env={"PATH": os.environ["PATH"], "HOME": "/", SECOND_S3_URL: elsewhere_url, **endpoints.aws},
        cwd=story.ground,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["from"], told["segments"] > 0) == ("second", True)
    nowhere = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    alone = replace(site, settings=replace(site.settings, aws=nowhere, urls={**urls, S3_URL: "s3://gone/backups"}))
    record = drill(alone, Wanted(Target(), Place.SECOND))
    assert (record.faults, record.place) == ([], "second")
    (database,) = record.databases
    assert database.counted["public.ledger"] == len(story.before(story.end)) > record.dumped_rows["public.ledger"]
    assert len(list(alone.at_second_place.bucket.keys("drills/"))) == 1
