"""Uploads that survive, locks, keys and downloads: on the embedded S3 server, or on moto's where that one has none."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import IntegrityError, StoreRefused, StoreUnreachable
from desbuquei_backups.core.tiers import LockMode, StorageClass
from desbuquei_backups.storage import ranges
from desbuquei_backups.storage.abandoned import abort_abandoned
from desbuquei_backups.storage.s3 import Bucket, Lock, StoredObject
from desbuquei_backups.storage.s3_errors import Locked
from desbuquei_backups.storage.stream import checksums_of
from desbuquei_backups.storage.throttle import Throttle
from desbuquei_backups.storage.versions import delete_version, versions
from desbuquei_backups_tests.faults import FaultyStore, completions, parts
from desbuquei_backups_tests.moto_server import moto_server
from desbuquei_backups_tests.operations.losses import flip, unfinished

MIB = 1024 * 1024


@pytest.fixture
def store(endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as faulty:
        yield faulty


@pytest.fixture
def faulty(bucket_url: str, endpoints, store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    return Bucket(bucket_url, {**endpoints.aws, "AWS_ENDPOINT_URL_S3": store.url})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of five parts, each other than the others."""
    monkeypatch.setattr("desbuquei_backups.storage.parts._PART", 5 * MIB)
    path = tmp_path / "x.sql.gz"
    path.write_bytes(os.urandom(20 * MIB + 7))
    return path


def put(bucket: Bucket, path: Path, **changed: object) -> StoredObject:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    options = {"sha256": digest, "storage_class": StorageClass.STANDARD, "tags": {"tier": "daily"}, **changed}
    return bucket.put_file("daily/x", path, **options)  # type: ignore[arg-type]


def records(path: Path) -> list[Path]:
    return list(path.parent.glob(".*.upload.json"))


def cut_off(faulty: Bucket, store: FaultyStore, file: Path) -> None:
    """An upload whose last parts the store did not take, and which could not be aborted."""
    store.busy(lambda method, path: parts(method, path) and "partNumber=5" in path)
    store.busy(lambda method, path: method == "DELETE")
    with pytest.raises(StoreUnreachable):
        put(faulty, file)
    store.heal()
    store.requests.clear()
    assert len(records(file)) == 1


def sent(store: FaultyStore) -> int:
    return len([path for method, path in store.requests if parts(method, path)])


def test_an_upload_that_was_cut_off_sends_only_what_is_missing(bucket, faulty, store, file) -> None:
    cut_off(faulty, store, file)
    stored = put(faulty, file)
    assert sent(store) == 1
    assert stored == bucket.head("daily/x")
    assert b"".join(bucket.read("daily/x")) == file.read_bytes()
    assert (unfinished(bucket), records(file)) == ([], [])


def test_a_file_whose_parts_are_known_is_not_stored_altered(bucket, file) -> None:
    known = checksums_of(file, plain_size=0)
    sums = {"sha256": known.sha256, "parts_sha256": known.parts_sha256}
    content = file.read_bytes()
    for altered in (flip(content), content[:-1], content + b"x"):
        file.write_bytes(altered)
        with pytest.raises(IntegrityError, match="not what its manifest says"):
            put(bucket, file, **sums)
        assert (bucket.head("daily/x"), unfinished(bucket)) == (None, [])
    file.write_bytes(content)
    assert put(bucket, file, **sums).checksum == known.parts_sha256
    assert b"".join(bucket.read("daily/x")) == content


def test_a_part_that_is_not_the_files_any_more_is_sent_again(bucket, faulty, store, file) -> None:
    cut_off(faulty, store, file)
    (upload,) = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix)["Uploads"]
    bucket.client.upload_part(
        Bucket=bucket.name,
        Key=upload["Key"],
        UploadId=upload["UploadId"],
        PartNumber=2,
        Body=bytes(5 * MIB),
        ChecksumAlgorithm="SHA256",
    )
    put(faulty, file)
    assert b"".join(bucket.read("daily/x")) == file.read_bytes()
    assert sent(store) in (1, 2)  # this store keeps both of that number, and may list either
    assert b"".join(bucket.read("daily/x")) == file.read_bytes()


@pytest.mark.parametrize("changed", [{"storage_class": StorageClass.GLACIER_IR}, {"tags": {"tier": "other"}}])
def test_an_upload_begun_otherwise_is_begun_anew(bucket, faulty, store, file, changed) -> None:
    cut_off(faulty, store, file)
    put(faulty, file, **changed)
    assert sent(store) == 5
    assert unfinished(bucket) == []


def test_another_file_of_that_name_is_no_upload_to_go_on_with(bucket, faulty, store, file) -> None:
    cut_off(faulty, store, file)
    file.write_bytes(os.urandom(20 * MIB))
    put(faulty, file)
    assert sent(store) == 4
    assert b"".join(bucket.read("daily/x")) == file.read_bytes()
    assert unfinished(bucket) == []


def test_an_upload_that_is_gone_or_a_record_that_is_torn_is_begun_anew(bucket, faulty, store, file) -> None:
    cut_off(faulty, store, file)
    (upload,) = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix)["Uploads"]
    bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=upload["Key"], UploadId=upload["UploadId"])
    store.busy(completions)
    store.busy(lambda method, path: method == "DELETE")
    with pytest.raises(StoreUnreachable):
        put(faulty, file)
    store.heal()
    (record,) = records(file)
    record.write_bytes(record.read_bytes()[:20])
    store.requests.clear()
    put(faulty, file)
    assert sent(store) == 5
    assert (unfinished(bucket), records(file)) == ([], [])


def test_a_slow_upload_of_another_host_is_not_abandoned(bucket) -> None:
    begun = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=f"{bucket.prefix}/daily/slow")
    bucket.client.upload_part(Bucket=bucket.name, Key=begun["Key"], UploadId=begun["UploadId"], PartNumber=1, Body=b"x")
    (part,) = bucket.client.list_parts(Bucket=bucket.name, Key=begun["Key"], UploadId=begun["UploadId"])["Parts"]
    uploads = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix)["Uploads"]
    assert part["LastModified"] >= uploads[0]["Initiated"]
    after_beginning = uploads[0]["Initiated"] + timedelta(hours=24)
    key = f"{bucket.prefix}/daily/x"
    assert abort_abandoned(bucket.client, bucket.name, key, now=after_beginning) == 0
    late = datetime.now(UTC) + timedelta(hours=25)
    assert abort_abandoned(bucket.client, bucket.name, key, now=late) == 1


def test_no_more_bytes_are_sent_than_may_be() -> None:
    now, slept = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    throttle = Throttle(1_000_000, clock=lambda: now[0], sleep=sleep)
    for _ in range(10):
        throttle.take(500_000)
    assert now[0] - 100 == pytest.approx(4.5)
    now[0] += 60  # an idle minute is not saved up
    throttle.take(500_000)
    throttle.take(500_000)
    assert sum(slept) == pytest.approx(5.0)


def test_a_throttled_bucket_pays_for_every_part_once(bucket_url, endpoints, file, monkeypatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(Throttle, "take", lambda self, count: taken.append(count))
    put(Bucket(bucket_url, endpoints.aws, max_bandwidth=1_000_000_000), file)
    assert sum(taken) == file.stat().st_size


@pytest.fixture
def vault(endpoints) -> Iterator[Bucket]:
    """A bucket of the test's own with Object Lock."""
    name = f"vault-{uuid.uuid4().hex[:12]}"
    bucket = Bucket(f"s3://{name}/p", endpoints.aws)
    bucket.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield bucket
    for version in list(versions(bucket, "")):
        bucket.client.delete_object(
            Bucket=name, Key=f"p/{version.key}", VersionId=version.version_id, BypassGovernanceRetention=True
        )
    bucket.client.delete_bucket(Bucket=name)


def test_what_is_stored_locked_cannot_be_deleted_before_its_time(vault, file) -> None:
    assert vault.has_lock
    lock = Lock(LockMode.GOVERNANCE, datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1))
    stored = put(vault, file, lock=lock)
    assert (stored.lock_mode, stored.locked_until) == (lock.mode, lock.until)
    assert vault.put_bytes("daily/m", b"{}", tags={}, lock=lock).locked_until == lock.until
    copied = vault.copy_file(
        "weekly/x",
        "daily/x",
        stored,
        sha256=str(stored.sha256),
        parts_sha256=None,
        storage_class=StorageClass.STANDARD,
        tags={},
        lock=lock,
    )
    assert copied.locked_until == lock.until
    for version in versions(vault, ""):
        with pytest.raises(Locked, match="locked until"):
            delete_version(vault, version)


def test_a_bucket_without_object_lock_says_so(bucket) -> None:
    assert not bucket.has_lock


def test_what_is_to_be_locked_is_not_stored_unlocked_where_nobody_may_ask(faulty, store) -> None:
    store.refuse(lambda method, path: "object-lock" in path)
    with pytest.raises(StoreRefused, match="AccessDenied") as caught:
        _ = faulty.has_lock
    assert "s3:GetBucketObjectLockConfiguration" in caught.value.remedy


def test_with_a_key_of_its_own_the_store_is_told_to_encrypt_with_it(tmp_path, monkeypatch) -> None:
    """On moto's server: the embedded one forgets its keys."""
    monkeypatch.setenv("MOTO_S3_CUSTOM_ENDPOINTS", "")
    with moto_server() as url:
        aws = {
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_REGION": "us-east-1",
        }
        bucket = Bucket("s3://kms/p", aws, kms_key="alias/backups")
        bucket.client.create_bucket(Bucket="kms")
        bucket.put_if_absent("daily/m", b"{}")
        head = bucket.client.head_object(Bucket="kms", Key="p/daily/m")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/backups")
        assert bucket.head("daily/m").encryption == "aws:kms"


@pytest.fixture
def ranged(bucket, monkeypatch) -> bytes:
    """The content of an object of many ranges at `daily/r`."""
    monkeypatch.setattr(ranges, "RANGE", 64 * 1024)
    content = os.urandom(1_000_003)
    bucket.put_bytes("daily/r", content, tags={})
    return content


def reads(method: str, path: str) -> bool:
    return method == "GET" and path.endswith("daily/r")


def test_an_object_is_read_in_order_whatever_its_size(bucket, monkeypatch) -> None:
    monkeypatch.setattr(ranges, "RANGE", 1000)
    for size in (0, 1, 999, 1000, 1001, 4000, 10_500):
        content = os.urandom(size)
        bucket.put_bytes(f"daily/{size}", content, tags={})
        assert b"".join(bucket.read(f"daily/{size}")) == content


@pytest.mark.parametrize("times", [1, 3])
def test_a_body_that_breaks_off_is_asked_for_again(faulty, store, ranged, times) -> None:
    store.break_off(reads, times=times)
    assert b"".join(faulty.read("daily/r")) == ranged


def test_a_body_that_always_breaks_off_is_no_object(faulty, store, ranged) -> None:
    store.break_off(reads)
    with pytest.raises(StoreUnreachable):
        b"".join(faulty.read("daily/r"))


def test_an_object_that_is_replaced_while_it_is_read_is_found_out(bucket, faulty, ranged) -> None:
    chunks = faulty.read("daily/r")
    first = next(chunks)
    bucket.delete("daily/r")
    bucket.put_bytes("daily/r", os.urandom(1_000_003), tags={})
    with pytest.raises(IntegrityError, match="was replaced or deleted while it was read"):
        b"".join([first, *chunks])


def test_who_stops_reading_leaves_nothing_running(faulty, store, ranged) -> None:
    chunks = faulty.read("daily/r")
    next(chunks)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert len([path for method, path in store.requests if reads(method, path)]) <= 2 + ranges.AHEAD
