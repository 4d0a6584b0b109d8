"""What was said must be in the chain once, in order, whatever ended the run that said it."""

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.errors import BackupError, StoreUnreachable
from desbuquei_backups.core.evidence import FOLDER, NOTHING, Head, Kind, link_key, sequence_of, sha256_of
from desbuquei_backups.operations import evidence, holds, said
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.chain_audit import audit
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.evidence import owe, owed, send, try_to_send
from desbuquei_backups.operations.evidence_copies import copy_to_second
from desbuquei_backups.operations.evidence_head import WRITTEN, Newer, find
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import S3_URL, SECOND_S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.s3_errors import Locked
from desbuquei_backups.storage.versions import delete_version, versions
from desbuquei_backups_tests.conftest import Endpoints, MakeSite
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.chains import content_of, links, manifest_of, overwrite, told
from desbuquei_backups_tests.operations.elsewhere import SAYS, elsewhere
from desbuquei_backups_tests.operations.elsewhere import said as said_there
from desbuquei_backups_tests.operations.tiers import back_up


@pytest.fixture
def host(make_site: MakeSite) -> Site:
    """A site that needs no database."""
    return make_site(None)


@pytest.fixture
def store(endpoints: Endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as faulty:
        yield faulty


def say(site: Site, *words: str) -> None:
    for word in words:
        owe(site, Kind.CHECKS, None, {"word": word})


def heard(bucket: Bucket) -> list[object]:
    return [link.body["word"] for link in links(bucket)]


def test_what_is_said_is_a_link_in_standard_that_nobody_deletes_for_seven_years(make_site, vault_url, clock) -> None:
    site = make_site(None, urls={S3_URL: vault_url})
    say(site, "um", "dois")
    assert send(site) == 2
    assert (heard(site.bucket), owed(site), audit(site).whole) == (["um", "dois"], [], True)
    stored = site.bucket.head(link_key(2))
    assert stored is not None
    assert stored.storage_class.value == "STANDARD"
    assert stored.locked_until == site.policy.evidence.kept_in_s3.after(clock.now)
    (version,) = versions(site.bucket, link_key(2))
    with pytest.raises(Locked, match="locked until 2033-02-02"):
        delete_version(site.bucket, version)


def test_a_backup_tells_its_manifest_before_the_bucket_has_it_and_then_that_it_is_archived(site, shop, slot) -> None:
    taken = back_up(site, slot)[0].manifest
    sealed, archived = links(site.bucket)
    assert (sealed.kind, archived.kind) == (Kind.MANIFEST, Kind.ARCHIVED)
    stored = content_of(site.bucket, f"daily/{slot.backup_id}.manifest.json")
    assert sealed.body == {"manifest": stored.decode(), "sha256": sha256_of(stored)}
    assert (archived.backup_id, archived.body["sha256"]) == (taken.backup_id, sha256_of(stored))
    archive(site, slot)
    assert len(links(site.bucket)) == 2
    assert audit(site).whole


def test_an_outage_of_s3_keeps_nothing_from_being_sealed_and_loses_nothing(make_site, source_url, shop, slot, site):
    down = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    take_dump(site, slot)
    seal(down, slot)
    said.checks(down, slot.backup_id, "dump", [{"check": "dump_is_complete", "verdict": "matches"}])
    assert len(owed(down)) == 2
    with pytest.raises(StoreUnreachable):
        archive(down, slot)
    archive(site, slot)
    assert [link.kind for link in links(site.bucket)] == [Kind.MANIFEST, Kind.CHECKS, Kind.ARCHIVED]
    assert audit(site).whole


def test_of_sixteen_hosts_that_write_at_once_none_loses_a_link(make_site, tmp_path, bucket) -> None:
    hosts = [make_site(None, folder=tmp_path / str(number)) for number in range(16)]
    for host in hosts:
        host.__dict__["bucket"] = bucket  # a client for each would take longer than the race

    def both(number: int) -> None:
        say(hosts[number], f"{number}a", f"{number}b")
        send(hosts[number])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(both, range(16)))
    words = [str(word) for word in heard(bucket)]
    assert Counter(words) == Counter(f"{number}{word}" for number in range(16) for word in "ab")
    assert all(words.index(f"{number}a") < words.index(f"{number}b") for number in range(16))
    assert audit(hosts[0]).whole


@pytest.mark.parametrize("link", [0, 1, 2])
def test_a_host_that_is_killed_while_it_sends_neither_loses_nor_doubles_a_link(
    host, make_site, store, slot, bucket, link
) -> None:
    """Before the first link, and each time between the store's having one and its being forgotten here."""
    there = make_site(None, aws={"AWS_ENDPOINT_URL_S3": store.url})
    with elsewhere(there, slot, "say") as process:

        def kill() -> None:
            process.kill()
            process.wait()

        at = "object-lock" if link == 0 else link_key(link)
        store.before(lambda method, path: at in path, kill)
        assert said_there(process) == "ready"
        process.wait()
    # The request that was on its way arrives.
    assert [str(path) for path in owed(host)]
    send(host)
    assert heard(bucket) == list(SAYS)
    assert (owed(host), audit(host).whole) == ([], True)


def test_what_was_forgotten_before_the_head_was_remembered_is_not_said_again(host, bucket, monkeypatch) -> None:
    say(host, "um")
    send(host)
    say(host, "dois", "três")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evidence, "remember", killed)
        with pytest.raises(KeyboardInterrupt):
            send(host)
    say(host, "quatro")
    send(host)
    assert heard(bucket) == ["um", "dois", "três", "quatro"]


def test_a_link_whose_answer_was_lost_is_recognized(host, bucket, monkeypatch) -> None:
    say(host, "um", "dois")
    put = Bucket.put_if_absent

    def lost(*given: object, **named: object) -> None:
        put(*given, **named)
        raise StoreUnreachable("the answer was lost", remedy="run again")

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "put_if_absent", lost)
        with pytest.raises(StoreUnreachable):
            send(host)
    send(host)
    assert heard(bucket) == ["um", "dois"]


def test_a_number_that_is_always_taken_is_given_up_and_nothing_is_lost(host, bucket, monkeypatch) -> None:
    say(host, "um")
    bucket.put_bytes(link_key(1), b"{}", tags={})
    monkeypatch.setattr(evidence, "find", lambda bucket: NOTHING)
    monkeypatch.setattr(evidence, "newer", lambda bucket, head: Newer(head))
    with pytest.raises(StoreUnreachable, match="was taken 50 times"):
        send(host)
    assert len(owed(host)) == 1


def test_a_host_that_wrote_the_end_shows_that_it_is_gone(host, bucket) -> None:
    say(host, "um", "dois", "três")
    send(host)
    bucket.delete(link_key(3))
    bucket.delete(link_key(2))
    assert audit(host).whole  # by the bucket alone, nothing tells
    say(host, "quatro")
    send(host)
    assert [(each.fault.value, each.sequence) for each in audit(host).breaks] == [("missing", 2), ("missing", 3)]


def test_a_new_machine_goes_on_where_the_chain_ends(host, make_site, bucket, tmp_path) -> None:
    say(host, *"abcdefg")
    send(host)
    new = make_site(None, folder=tmp_path / "new")
    say(new, "h")
    send(new)
    say(host, "i")
    send(host)
    assert heard(bucket) == list("abcdefghi")
    assert audit(new).whole


@pytest.mark.parametrize("content", ["", "{", "[]", '{"place": "s3://elsewhere/", "sequence": 99, "sha256": "x"}'])
def test_a_reminder_that_is_damaged_or_of_another_bucket_is_no_harm(host, bucket, content) -> None:
    say(host, "um")
    send(host)
    (host.settings.folder / WRITTEN).write_text(content.replace("s3://elsewhere/", bucket.uri("")))
    say(host, "dois")
    send(host)
    assert heard(bucket) == ["um", "dois"]
    assert audit(host).whole


class _ManyLinks:
    """A stand-in for a bucket with more links than a test could write; counts how often it is asked."""

    def __init__(self, numbers: set[int]) -> None:
        self._numbers, self.asked = sorted(numbers), 0

    def keys(self, folder: str, *, after: str = "", at_once: int = 1000) -> Iterator[str]:
        self.asked += 1
        return (key for number in self._numbers if (key := link_key(number)) > folder + after)

    def read(self, key: str) -> Iterator[bytes]:
        yield key.encode()


@given(st.sets(st.integers(1, 500), max_size=60), st.integers(0, 10**9))
def test_the_head_is_found_by_a_few_dozen_questions_whatever_is_missing(numbers: set[int], shift: int) -> None:
    bucket = _ManyLinks({number + shift for number in numbers})
    found = find(bucket)  # type: ignore[arg-type]
    last = max(numbers, default=0) + shift
    assert found == (Head(last, sha256_of(link_key(last).encode())) if numbers else NOTHING)
    assert bucket.asked <= 75


def test_what_is_owed_and_cannot_be_read_keeps_nothing_else(host, bucket, caplog) -> None:
    say(host, "um", "dois")
    owed(host)[0].write_bytes(b"{")
    with caplog.at_level(logging.WARNING):
        send(host)
    assert heard(bucket) == ["dois"]
    assert "put aside" in caplog.text
    assert len(list((host.settings.folder / "evidence-owed" / "rejected").iterdir())) == 1


def test_a_clock_that_goes_back_does_not_change_the_order(host, bucket, monkeypatch) -> None:
    say(host, "um")
    monkeypatch.setattr(evidence.time, "time_ns", lambda: 5)
    say(host, "dois", "três")
    send(host)
    assert heard(bucket) == ["um", "dois", "três"]


def test_who_holds_a_backup_and_what_was_verified_is_said(site, shop, slot, bucket) -> None:
    back_up(site, slot)
    holds.hold(site, slot.backup_id, Asked("ana", "processo 123"))
    holds.release(site, slot.backup_id)
    bucket.delete(f"daily/{slot.backup_id}.globals.sql.gz")
    said.verified(site, [verify_backup(site, slot.backup_id, remote=each) for each in (False, True)])
    held, released, verified = links(bucket)[2:]
    assert (held.kind, held.backup_id, held.body) == (
        Kind.HELD,
        slot.backup_id,
        {"operator": "ana", "reason": "processo 123"},
    )
    assert (released.kind, released.body) == (Kind.RELEASED, {"was": "held by ana: processo 123"})
    on_disk, in_s3 = verified.body["backups"]  # type: ignore[misc]
    assert on_disk == {"backup_id": slot.backup_id, "where": "disk", "whole": True}
    assert (in_s3["whole"], len(in_s3["faults"])) == (False, 1)
    assert site.now() == verified.at == datetime(2026, 2, 2, 2, 10, tzinfo=UTC)


def test_the_second_place_has_the_same_links_and_never_loses_one_to_another(make_site, bucket_url, clock) -> None:
    site = make_site(None, urls={SECOND_S3_URL: f"{bucket_url}-second"})
    told(site, 1, 2)
    second = site.at_second_place.bucket
    assert list(second.keys(FOLDER)) == list(site.bucket.keys(FOLDER))
    assert audit(site, second=True).whole
    overwrite(second, link_key(5), b"something else")
    said.sealed(site, manifest_of("daily-2026-01-03-020000"))
    try_to_send(site)
    assert content_of(second, link_key(5)) == b"something else"
    (found,) = audit(site, second=True).breaks
    assert (found.fault.value, found.sequence) == ("rewritten", 5)


def test_a_second_place_that_has_other_links_is_named_when_it_is_filled(make_site, bucket_url, host) -> None:
    told(host, 1)
    site = make_site(None, urls={SECOND_S3_URL: f"{bucket_url}-second"})
    said.sealed(site.at_second_place, manifest_of("daily-2026-01-03-020000"))
    overwrite(site.at_second_place.bucket, link_key(3), b"x")
    overwrite(site.at_second_place.bucket, link_key(1), b"x")
    site.at_second_place.bucket.delete(link_key(3))
    assert sequence_of(next(iter(site.at_second_place.bucket.keys(FOLDER)))) == 1
    send(site)
    assert copy_to_second(site) == 0
    assert [each.sequence for each in audit(site, second=True).breaks] == [1]


def test_a_second_place_that_does_not_answer_keeps_nothing_from_being_said(make_site, bucket_url, bucket) -> None:
    nobody = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    site = make_site(None, urls={SECOND_S3_URL: f"{bucket_url}-second"}, second_aws=nobody)
    say(site, "um")
    assert send(site) == 1
    assert heard(bucket) == ["um"]
    with pytest.raises(BackupError):
        copy_to_second(site)
