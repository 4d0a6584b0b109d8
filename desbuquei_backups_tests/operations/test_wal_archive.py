"""From the spool to S3: nothing bad goes there, nothing is lost on the way, and each segment is there once."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import IdentityError, IntegrityError, NotFound, StoreUnreachable
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_archive import archive_spool
from desbuquei_backups.operations.wal_bucket import fetch_segment, listed
from desbuquei_backups.operations.wal_push import system_identifier
from desbuquei_backups.operations.wal_spool import Spool, spool_of
from desbuquei_backups.operations.wal_storing import store_wal
from desbuquei_backups.postgres.wal import Position
from desbuquei_backups.storage.age_keys import Identity
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.keys import new_key
from desbuquei_backups_tests.operations.wal import wal_there

NAMES = [f"00000001000000000000000{number}" for number in (1, 2, 3, 4)]
HISTORY = b"1\t0/3000148\tno recovery target specified\n"


@pytest.fixture
def identifier(real_wal: Path) -> str:
    return system_identifier(real_wal / NAMES[0])


@pytest.fixture
def spool(site: Site, identifier: str) -> Spool:
    """The spool of a cluster that is known."""
    spool = spool_of(site)
    spool.prepare()
    spool.belongs_to(identifier)
    return spool


@pytest.fixture
def came(spool: Spool, real_wal: Path) -> Callable[..., Path]:
    """A function that lays a real segment into the spool, under another name or changed if asked; an hour ago."""

    def lay(name: str, *, named: str | None = None, change: Callable[[bytearray], object] = lambda _: None) -> Path:
        content = bytearray((real_wal / name).read_bytes())
        change(content)
        path = spool.folder / (named or name)
        path.write_bytes(content)
        os.utime(path, (0, 0))
        return path

    return lay


def in_s3(site: Site, identifier: str) -> list[str]:
    return sorted(listed(site.bucket, identifier).files)


def fetched(site: Site, identifier: str, name: str, identity: Identity | None = None) -> bytes:
    return b"".join(fetch_segment(site.bucket, listed(site.bucket, identifier), name, identity))


def test_what_came_is_in_s3_byte_for_byte_and_only_then_gone_from_here(site, spool, came, identifier, real_wal) -> None:
    for name in NAMES:
        came(name)
    done = archive_spool(site)
    assert (sorted(done.stored), done.faults, spool.files()) == (NAMES, [], [])
    assert done.stored_bytes < done.plain_bytes == 4 * 16 * 1024 * 1024
    for name in NAMES:
        assert fetched(site, identifier, name) == (real_wal / name).read_bytes()


def test_what_came_twice_is_there_once(site, spool, came, identifier) -> None:
    came(NAMES[0])
    archive_spool(site)
    came(NAMES[0])
    # By both ways at once: an archive_command, and the streamer.
    shutil.copy(came(NAMES[1]), spool.streamed / NAMES[1])
    done = archive_spool(site)
    assert (done.stored, sorted(done.equal)) == ([NAMES[1]], NAMES[:2])
    assert (spool.files(), in_s3(site, identifier)) == ([], NAMES[:2])


def _zeros(content: bytearray) -> None:
    content[:8192] = bytes(8192)


BAD = {
    "truncated": (
        lambda content: content.__delitem__(slice(1_000_000, None)),
        "a segment of its cluster has 16,777,216",
    ),
    "too long": (lambda content: content.extend(b"x" * 8192), "the page at byte 16,777,216 is not of it"),
    "empty": (lambda content: content.clear(), "does not begin as a WAL segment does|it is empty"),
    "not begun": (_zeros, "does not begin as a WAL segment does"),
    "of another cluster": (lambda content: content.__setitem__(30, content[30] ^ 1), "it is of the cluster"),
    "a page of another place": (
        lambda content: content.__setitem__(slice(8192, 16384), content[16384:24576]),
        "the page at byte 8,192 is not of it",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_segment_is_set_aside_and_named_and_keeps_no_other_from_s3(
    site, spool, came, identifier, fault: str
) -> None:
    change, said = BAD[fault]
    came(NAMES[0], change=change)
    came(NAMES[1])
    done = archive_spool(site)
    (error,) = done.faults
    with pytest.raises(IntegrityError, match=f"{NAMES[0]} is not the WAL that it is called: .*({said})"):
        raise error
    assert in_s3(site, identifier) == NAMES[1:2]
    assert [name.startswith(NAMES[0]) for name in spool.rejected()] == [True]


def test_a_segment_under_another_one_s_name_is_set_aside(site, spool, came, identifier) -> None:
    came(NAMES[0], named=NAMES[2])
    (error,) = archive_spool(site).faults
    assert f"by its first page it is {NAMES[0]}" in error.what
    assert in_s3(site, identifier) == []
    assert len(spool.rejected()) == 1


def test_a_copy_that_is_still_being_written_is_waited_for(site, spool, came, identifier, clock) -> None:
    path = came(NAMES[0], change=lambda content: content.__delitem__(slice(1_000_000, None)))
    os.utime(path, (clock.now.timestamp(), clock.now.timestamp()))
    done = archive_spool(site)
    assert (done.waiting, done.faults, path.exists()) == ([NAMES[0]], [], True)
    clock.pass_by(minutes=10)
    assert len(archive_spool(site).faults) == 1


def test_two_different_segments_of_one_name_are_both_kept_and_both_named(
    site, spool, came, identifier, real_wal
) -> None:
    came(NAMES[0])
    archive_spool(site)
    path = came(NAMES[0], change=lambda content: content.__setitem__(5_000_000, content[5_000_000] ^ 1))
    (error,) = archive_spool(site).faults
    assert isinstance(error, IntegrityError)
    assert str(path) in error.what
    assert site.bucket.uri(f"wal/{identifier}/{NAMES[0]}.zst") in error.what
    assert path.exists()
    assert fetched(site, identifier, NAMES[0]) == (real_wal / NAMES[0]).read_bytes()


def test_histories_and_labels_go_along_and_a_senseless_history_does_not(site, spool, came, identifier) -> None:
    label = f"{NAMES[0]}.00000028.backup"
    (spool.folder / "00000002.history").write_bytes(HISTORY)
    (spool.folder / "00000003.history").write_bytes(b"nonsense")
    (spool.folder / label).write_bytes(b"START WAL LOCATION: 0/1000028 (file 000000010000000000000001)\n")
    done = archive_spool(site)
    assert in_s3(site, identifier) == [label, "00000002.history"]
    assert ["00000003.history" in error.what for error in done.faults] == [True]
    assert wal_there(site.bucket, identifier).histories.knows(2)


def test_what_is_being_received_and_foreign_files_are_left(site, spool, came, identifier) -> None:
    left = [spool.streamed / f"{NAMES[0]}.partial", spool.folder / "notes.txt", spool.folder / f".{NAMES[1]}.x"]
    for path in left:
        path.write_bytes(b"x")
    assert archive_spool(site).stored == []
    assert all(path.exists() for path in left)


def test_encrypted_segments_are_read_with_the_identity_alone_and_are_still_one_of_each_name(
    site, spool, came, identifier, real_wal, tmp_path
) -> None:
    key = new_key(tmp_path)
    secret = replace(site, settings=replace(site.settings, age_recipients=(key.recipient,)))
    came(NAMES[0])
    (spool.folder / "00000002.history").write_bytes(HISTORY)
    archive_spool(secret)
    # Age writes the same bytes differently each time; and the recipients may have been set in between.
    came(NAMES[0])
    assert archive_spool(secret).equal == [NAMES[0]]
    came(NAMES[0])
    assert archive_spool(site).equal == [NAMES[0]]
    with pytest.raises(IdentityError):
        fetched(site, identifier, NAMES[0])
    assert fetched(site, identifier, NAMES[0], Identity.read(key.file)) == (real_wal / NAMES[0]).read_bytes()
    # Who has no key can still tell which timelines there are.
    assert wal_there(site.bucket, identifier).histories.knows(2)


def test_an_object_that_was_altered_is_never_taken_for_the_segment(site, spool, came, identifier, real_wal) -> None:
    from zstandard import ZstdCompressor

    came(NAMES[0])
    archive_spool(site)
    key = f"wal/{identifier}/{NAMES[0]}.zst"
    found = site.bucket.head(key)
    other = ZstdCompressor().compress((real_wal / NAMES[1]).read_bytes())
    name, whole = site.bucket.where(key)
    site.bucket.client.put_object(Bucket=name, Key=whole, Body=other, Metadata=dict(found.metadata))
    with pytest.raises(IntegrityError, match="is not what was archived"):
        fetched(site, identifier, NAMES[0])


def test_s3_down_loses_nothing_and_what_is_stored_when_it_is_back(
    make_site, site, spool, came, identifier, endpoints, source_url
) -> None:
    for name in NAMES:
        came(name)
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        broken = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
        store.busy(lambda method, path: method == "PUT" and NAMES[2] in path)
        with pytest.raises(StoreUnreachable):
            archive_spool(broken)
        assert NAMES[2] in spool.names()
        assert {*in_s3(site, identifier), *spool.names()} == set(NAMES)
        store.heal()
        archive_spool(broken)
    assert (in_s3(site, identifier), spool.files()) == (NAMES, [])


def test_two_that_store_the_same_segment_at_once_store_one(
    make_site, site, spool, came, identifier, endpoints, source_url, real_wal
) -> None:
    came(NAMES[0])
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        slow = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})
        other = real_wal / NAMES[0]
        store.before(lambda method, path: method == "PUT", lambda: store_wal(site, identifier, other))
        done = archive_spool(slow)
    assert (done.equal, done.faults, in_s3(site, identifier)) == (NAMES[:1], [], NAMES[:1])


def test_wal_of_nobody_knows_which_cluster_stays_where_it_is(site, real_wal) -> None:
    spool = spool_of(site)
    spool.prepare()
    shutil.copy(real_wal / NAMES[0], spool.folder)
    with pytest.raises(NotFound, match="not known of which cluster"):
        archive_spool(site)
    assert spool.names() == {NAMES[0]}


def test_a_segment_s_moment_is_never_later_than_what_was_seen_of_the_server(
    site, spool, came, identifier, clock
) -> None:
    for position in ("0/1800000", "0/2000000", "0/2000001", "0/5000000"):
        spool.remember(Position(1, parse_lsn(position), clock.now))
        clock.pass_by(minutes=1)
    start = clock.now
    came(NAMES[0])
    came(NAMES[1])
    archive_spool(site)
    moments = {
        point.position: (start - point.at).total_seconds() / 60 for point in wal_there(site.bucket, identifier).points
    }
    assert moments == {parse_lsn("0/2000000"): 3, parse_lsn("0/3000000"): 2}
