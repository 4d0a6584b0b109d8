"""A store that fails, stalls, hangs up or truncates: nothing is lost by it, and nothing wrong is stored."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from desbuquei_backups.core.errors import BackupError, StoreUnreachable
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage import ranges
from desbuquei_backups.storage.s3 import Bucket, StoredObject
from desbuquei_backups_tests.faults import FaultyStore, Matches, completions, creations, parts
from desbuquei_backups_tests.operations.losses import unfinished


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.setattr("desbuquei_backups.storage.s3_client._READ_TIMEOUT", 0.3)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def store(endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        yield store


@pytest.fixture
def faulty(bucket_url: str, endpoints, store: FaultyStore) -> Bucket:
    """The same bucket as `bucket`, through `store`."""
    return Bucket(bucket_url, {**endpoints.aws, "AWS_ENDPOINT_URL_S3": store.url})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of a single part: what is small is uploaded like all else."""
    path = tmp_path / "x.sql.gz"
    path.write_bytes(os.urandom(100_000))
    return path


def put(bucket: Bucket, path: Path) -> StoredObject:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return bucket.put_file("daily/x", path, sha256=digest, storage_class=StorageClass.STANDARD, tags={})


@pytest.mark.parametrize("how", ["fail", "busy", "cut", "stall"])
def test_an_upload_outlives_one_bad_answer_and_leaves_nothing_after_many(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path, how: str
) -> None:
    for stage in (creations, parts, completions):
        getattr(store, how)(stage, times=2)
        with pytest.raises(StoreUnreachable):
            put(faulty, file)
        assert bucket.head("daily/x") is None, stage
        getattr(store, how)(stage, times=1)
        put(faulty, file)
        assert b"".join(bucket.read("daily/x")) == file.read_bytes(), stage
        assert unfinished(bucket) == [], stage
        assert list(file.parent.iterdir()) == [file], stage
        bucket.delete("daily/x")


def test_an_object_whose_making_is_never_told_is_found_to_be_ours(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path
) -> None:
    store.break_off(completions)
    assert put(faulty, file) == bucket.head("daily/x")
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("stage", [parts, completions])
def test_a_body_that_arrives_truncated_is_not_stored(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path, stage: Matches
) -> None:
    store.truncate(stage)
    with pytest.raises(BackupError):
        put(faulty, file)
    assert bucket.head("daily/x") is None
    assert unfinished(bucket) == []
    store.heal()
    put(faulty, file)
    assert b"".join(bucket.read("daily/x")) == file.read_bytes()


def reads(method: str, path: str) -> bool:
    return method == "GET" and path.endswith("daily/r")


@pytest.fixture
def content(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """That of an object of three ranges at `daily/r`."""
    monkeypatch.setattr(ranges, "RANGE", 64 * 1024)
    content = os.urandom(150_000)
    bucket.put_bytes("daily/r", content, tags={})
    return content


@pytest.mark.parametrize("how", ["fail", "busy", "cut", "break_off", "stall", "stall half-way"])
def test_a_read_outlives_one_bad_answer_and_is_no_object_after_many(
    faulty: Bucket, store: FaultyStore, content: bytes, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    options = {"half": True} if how == "stall half-way" else {}
    getattr(store, how.partition(" ")[0])(reads, times=1, **options)
    assert b"".join(faulty.read("daily/r")) == content
    monkeypatch.setattr(ranges, "_TRIES", 2)
    getattr(store, how.partition(" ")[0])(reads, **options)
    with pytest.raises(StoreUnreachable):
        b"".join(faulty.read("daily/r"))
