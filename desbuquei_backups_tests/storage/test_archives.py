"""The bucket's listing is what everything is found by: nothing of it may be left out, or taken for another's."""

from datetime import timedelta

import pytest

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.storage import archives as module
from desbuquei_backups.storage import listing
from desbuquei_backups.storage.archives import archives
from desbuquei_backups.storage.s3 import Bucket

FIRST = Slot.of_id("hourly-2026-01-01-000000")


def hours(count: int) -> list[Slot]:
    return [Slot("hourly", FIRST.due + timedelta(hours=number)) for number in range(count)]


def store(bucket: Bucket, *names: str) -> None:
    for name in names:
        bucket.put_if_absent(f"{name.partition('-')[0]}/{name}", b"x")


def test_objects_are_told_apart_by_backup_and_others_are_left_out(bucket) -> None:
    store(
        bucket,
        "daily-2026-01-01-020000.globals.sql.gz",
        "daily-2026-01-01-020000.manifest.json",
        "daily-2026-01-01-020000.proof-20260101T030000Z-aa.json",
        "daily-2026-01-01-020000.proof-20260102T030000Z-bb.json",
        "daily-2026-01-01-020000.hold.json",
        "daily-2026-01-01-020000.sql.gz",
        "daily-2026-01-02-020000.pruned.json",
        "daily-2026-01-02-020000.sql.gz.age",
        "daily-odd.manifest.json",
        "daily-2026-99-02-020000.sql.gz",
    )
    # Another database's, and segments: below the same prefix, and not ours.
    bucket.put_if_absent("other/daily/daily-2026-01-03-020000.manifest.json", b"x")
    bucket.put_if_absent("daily/deeper/daily-2026-01-04-020000.manifest.json", b"x")
    bucket.put_if_absent("weekly/daily-2026-01-05-020000.manifest.json", b"x")
    first, second, *odd = archives(bucket)
    assert first.slot is not None
    assert (first.slot.backup_id, first.sealed, first.held, first.marked) == (
        "daily-2026-01-01-020000",
        True,
        True,
        False,
    )
    assert [key[-7:] for key in first.proofs] == ["aa.json", "bb.json"]
    assert first.dump is not None
    assert (first.dump.size, first.dump.storage_class) == (1, "STANDARD")
    assert (second.sealed, second.marked, second.dump is not None) == (False, True, True)
    assert [(each.slot, each.key) for each in odd if each.sealed] == [
        (None, "daily/daily-odd.manifest.json"),
        (None, "weekly/daily-2026-01-05-020000.manifest.json"),
    ]


@pytest.mark.parametrize("page", [1, 2, 3, 7, 1000])
def test_a_large_tier_is_listed_in_parts_and_none_is_lost_or_doubled(bucket, monkeypatch, page: int) -> None:
    slots = hours(40)[:5] + hours(40)[20:]
    for slot in slots:
        store(bucket, f"{slot.backup_id}.manifest.json", f"{slot.backup_id}.sql.gz")
    monkeypatch.setattr(module, "_PAGE", page)
    monkeypatch.setattr(module, "_PAGES", 2)
    found = list(archives(bucket))
    assert [each.slot for each in found] == slots
    assert all(each.sealed and each.dump is not None for each in found)
    assert [each.slot for each in archives(bucket, ["hourly"], start=slots[6].due)] == slots[6:]


def test_keys_that_xml_and_urls_write_otherwise_are_read_as_they_are(bucket) -> None:
    odd = ["a b+c", "a%20b", "<ã>&'\"", "á/b"]
    for name in odd:
        bucket.put_if_absent(f"daily/{name}", b"12")
    assert sorted(bucket.keys("daily/")) == sorted(f"daily/{name}" for name in odd)
    assert {entry.size for entry in bucket.entries("daily/")} == {2}


def test_an_error_with_the_status_of_a_success_is_no_empty_bucket() -> None:
    body = b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"
    for content in (body, b"<ListBucketRes"):
        answer = {"status_code": 200, "body": content}
        taken: dict[str, object] = {}
        token = listing._QUICKLY.set(True)
        listing._read(answer, taken)
        listing._QUICKLY.reset(token)
        assert (answer["body"], taken) == (content, {})


def test_who_lists_with_boto3_itself_gets_what_boto3_gives(bucket) -> None:
    store(bucket, "daily-2026-01-01-020000.sql.gz")
    assert list(bucket.keys("daily/")) == ["daily/daily-2026-01-01-020000.sql.gz"]
    name, prefix = bucket.where("daily/")
    found = bucket.client.list_objects_v2(Bucket=name, Prefix=prefix)
    assert [each["Size"] for each in found["Contents"]] == [1]
