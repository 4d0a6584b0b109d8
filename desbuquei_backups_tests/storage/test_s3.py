"""What an operator finds in the bucket, or does not, when the machine that made the backup is gone."""

import base64
import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import (
    BackupError,
    ConfigurationError,
    DiskError,
    IntegrityError,
    NotFound,
    StoreRefused,
    StoreUnreachable,
)
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage import abandoned
from desbuquei_backups.storage.s3 import Bucket, StoredObject
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.faults import FaultyStore, Matches, _Fault, completions, parts

MIB = 1024 * 1024
TAGS = {"backup-id": "daily-2026-02-02-020000"}

UPLOADER = """
import json, sys
from pathlib import Path
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage.s3 import Bucket
given = json.load(sys.stdin)
def progress(_):
    print("a part is there", flush=True)
    sys.stdin.read()
    import time
    time.sleep(600)
Bucket(given["url"], given["aws"]).put_file(
    "daily/x", Path(given["path"]), sha256="0" * 64, storage_class=StorageClass.STANDARD, tags={}, progress=progress)
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")


@pytest.fixture
def store(endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        yield store


@pytest.fixture
def faulty(bucket_url: str, endpoints, store: FaultyStore) -> Bucket:
    """The same bucket as `bucket`, through `store`."""
    return Bucket(bucket_url, {**endpoints.aws, "AWS_ENDPOINT_URL_S3": store.url})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of three of the smallest parts that S3 takes."""
    monkeypatch.setattr("desbuquei_backups.storage.parts._PART", 5 * MIB)
    path = tmp_path / "x.sql.gz"
    path.write_bytes(bytes(range(256)) * (10 * MIB // 256) + b"end")
    return path


def put(bucket: Bucket, path: Path, **changed: object) -> StoredObject:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    options = {"sha256": digest, "storage_class": StorageClass.STANDARD_IA, "tags": TAGS, **changed}
    return bucket.put_file("daily/x", path, **options)


def unfinished(bucket: Bucket) -> list[str]:
    found = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix)
    return [upload["Key"] for upload in found.get("Uploads", [])]


def fault(store: FaultyStore, matches: Matches, instead: Callable[..., None], *, times: float = 1) -> None:
    store._faults.append(_Fault(matches, times, instead))


def lose_the_answer(store: FaultyStore, matches: Matches) -> None:
    """The store does the next such request, and its answer is lost."""

    def instead(handler) -> None:
        handler.answer = lambda *_, **__: handler.hang_up()
        handler.forward()

    fault(store, matches, instead)


def begin(bucket: Bucket, key: str) -> None:
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key=f"{bucket.prefix}/{key}")


def test_a_file_is_stored_in_checksummed_encrypted_parts_in_the_class_asked_for(bucket: Bucket, file: Path) -> None:
    sent: list[int] = []
    stored = put(bucket, file, progress=sent.append)
    content = file.read_bytes()
    assert sum(sent) == stored.size == len(content)
    assert len(sent) == 3
    assert stored.storage_class is StorageClass.STANDARD_IA
    assert stored.encryption == "AES256"
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    pieces = [content[at : at + 5 * MIB] for at in range(0, len(content), 5 * MIB)]
    digests = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    assert stored.checksum == f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-3"
    assert stored.uri == bucket.uri("daily/x")
    assert b"".join(bucket.read("daily/x")) == content
    head = bucket.client.head_object(Bucket=bucket.name, Key=f"{bucket.prefix}/daily/x")
    assert head["Metadata"]["backup-id"] == TAGS["backup-id"]
    assert unfinished(bucket) == []


def test_something_small_is_always_in_standard(bucket: Bucket) -> None:
    stored = bucket.put_bytes("daily/m.json", b"{}", tags=TAGS)
    assert (stored.storage_class, stored.encryption) == (StorageClass.STANDARD, "AES256")
    assert b"".join(bucket.read("daily/m.json")) == b"{}"


def test_an_empty_file_is_a_file(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert put(bucket, tmp_path / "empty").size == 0


def test_what_is_there_is_never_overwritten(bucket: Bucket, file: Path, tmp_path: Path) -> None:
    first = put(bucket, file)
    assert put(bucket, file) == first
    other = tmp_path / "other"
    other.write_bytes(b"other")
    with pytest.raises(StoreRefused, match="already there with other content"):
        put(bucket, other)
    bucket.put_bytes("daily/m.json", b"{}", tags=TAGS)
    with pytest.raises(StoreRefused, match="already there"):
        bucket.put_bytes("daily/m.json", b"[]", tags=TAGS)
    assert bucket.head("daily/x") == first
    assert b"".join(bucket.read("daily/m.json")) == b"{}"


def test_another_run_that_stores_it_meanwhile_wins(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path
) -> None:
    store.before(completions, lambda: bucket.put_bytes("daily/x", b"theirs", tags=TAGS))
    with pytest.raises(StoreRefused, match="already there with other content"):
        put(faulty, file)
    assert b"".join(bucket.read("daily/x")) == b"theirs"
    assert unfinished(bucket) == []


def test_a_file_that_is_not_its_manifests_is_not_stored(bucket: Bucket, file: Path) -> None:
    with pytest.raises(IntegrityError, match=r"x\.sql\.gz is not what its manifest says"):
        put(bucket, file, sha256="0" * 64)
    assert bucket.head("daily/x") is None
    assert unfinished(bucket) == []


def test_a_file_that_is_gone_is_not_stored(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="not there"):
        bucket.put_file("daily/x", tmp_path / "gone", sha256="", storage_class=StorageClass.STANDARD, tags={})
    assert unfinished(bucket) == []


def test_a_refused_part_leaves_no_orphan(bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path) -> None:
    store.busy(parts)
    with pytest.raises(StoreUnreachable, match="ServiceUnavailable"):
        put(faulty, file)
    assert bucket.head("daily/x") is None
    assert unfinished(bucket) == []


def test_an_answer_lost_at_the_end_is_no_success(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path
) -> None:
    store.cut(completions)
    with pytest.raises(StoreUnreachable):
        put(faulty, file)
    assert bucket.head("daily/x") is None
    assert unfinished(bucket) == []


@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (404, "NoSuchUpload")])
def test_a_completion_whose_answer_was_lost_is_our_own_object(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path, status: int, code: str
) -> None:
    lose_the_answer(store, completions)
    store.say(status, code, completions, times=1)
    stored = put(faulty, file)
    assert stored == bucket.head("daily/x")
    assert b"".join(bucket.read("daily/x")) == file.read_bytes()
    assert len([path for method, path in store.requests if completions(method, path)]) == 2
    assert unfinished(bucket) == []


def test_an_object_of_that_hash_made_of_other_parts_is_not_ours(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path
) -> None:
    content = file.read_bytes()
    liar = bytes(len(content))
    digest = hashlib.sha256(content).hexdigest()
    store.before(
        completions,
        lambda: bucket.client.put_object(
            Bucket=bucket.name,
            Key=f"{bucket.prefix}/daily/x",
            Body=liar,
            Metadata={"sha256": digest},
            ChecksumSHA256=base64.b64encode(hashlib.sha256(liar).digest()).decode(),
        ),
    )
    with pytest.raises(StoreRefused, match="other content"):
        put(faulty, file)
    assert unfinished(bucket) == []


def test_an_upload_that_was_aborted_from_elsewhere_is_no_success(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path
) -> None:
    store.say(404, "NoSuchUpload", completions, times=1)
    with pytest.raises(StoreRefused, match="NoSuchUpload") as caught:
        put(faulty, file)
    assert "run again" in caught.value.remedy
    assert bucket.head("daily/x") is None


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
def test_a_conflict_with_another_request_passes_by_itself(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path, code: str
) -> None:
    store.say(409, code, completions, times=1)
    with pytest.raises(StoreUnreachable, match=code):
        put(faulty, file)
    assert unfinished(bucket) == []
    assert put(faulty, file).size == file.stat().st_size


def test_503_for_a_while_is_waited_out(bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path) -> None:
    store.busy(parts, times=2)
    store.cut(completions, times=1)
    stored = put(faulty, file)
    assert stored.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len([path for method, path in store.requests if parts(method, path)]) == 5


def test_an_upload_whose_process_was_killed_is_aborted_by_the_next_run(
    bucket: Bucket, bucket_url: str, endpoints, file: Path
) -> None:
    import json

    # The same folder name in a longer key is somebody else's.
    neighbour = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=f"{bucket.prefix}/daily/x.globals")
    given = json.dumps({"url": bucket_url, "aws": dict(endpoints.aws), "path": str(file)})
    with subprocess.Popen(
        [sys.executable, "-c", UPLOADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as uploader:
        assert uploader.stdin is not None
        assert uploader.stdout is not None
        uploader.stdin.write(given)
        uploader.stdin.close()
        assert uploader.stdout.readline() == "a part is there\n"
        uploader.send_signal(signal.SIGKILL)
    assert f"{bucket.prefix}/daily/x" in unfinished(bucket)
    put(bucket, file)
    assert unfinished(bucket) == [f"{bucket.prefix}/daily/x.globals"]
    bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=neighbour["Key"], UploadId=neighbour["UploadId"])


def test_uploads_abandoned_in_the_tier_are_aborted_and_no_others(bucket: Bucket, monkeypatch) -> None:
    monkeypatch.setattr(abandoned, "_PAGE", 2)
    ours = ["daily/a", "daily/b", "daily/b", "daily/x", "daily/x", "daily/y"]
    others = ["dailies/x", "weekly/x"]
    for key in ours + others:
        begin(bucket, key)
    now = datetime.now(UTC)
    assert bucket.abort_uploads("daily/x", now=now + timedelta(hours=23)) == 2
    left = [f"{bucket.prefix}/{key}" for key in ours + others if key != "daily/x"]
    assert sorted(unfinished(bucket)) == sorted(left)
    assert bucket.abort_uploads("daily/x") == 0
    assert bucket.abort_uploads("daily/x", now=now + timedelta(hours=25)) == 4
    assert sorted(unfinished(bucket)) == [f"{bucket.prefix}/{key}" for key in others]
    assert bucket.abort_uploads("weekly/x") + bucket.abort_uploads("dailies/x") == 2


def test_an_abandoned_upload_that_is_gone_meanwhile_is_as_good(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path
) -> None:
    begin(bucket, "daily/x")
    store.say(404, "NoSuchUpload", lambda method, _: method == "DELETE", times=1)
    put(faulty, file)
    assert bucket.abort_uploads("daily/x") == 1


def test_an_object_that_was_altered_is_seen(bucket: Bucket, file: Path) -> None:
    stored = put(bucket, file)
    bucket.client.put_object(
        Bucket=bucket.name, Key=f"{bucket.prefix}/daily/x", Body=b"altered", Metadata={"sha256": stored.sha256 or ""}
    )
    assert bucket.head("daily/x") != stored
    with pytest.raises(StoreRefused, match="other content"):
        put(bucket, file)


def test_what_is_not_there_is_not_found(bucket: Bucket) -> None:
    assert bucket.head("daily/x") is None
    with pytest.raises(NotFound, match="daily/x"):
        b"".join(bucket.read("daily/x"))
    assert list(bucket.keys("daily/")) == []


def test_keys_are_listed_below_their_folder_only(bucket: Bucket) -> None:
    for key in ("daily/a", "daily/b", "dailies/c", "weekly/d"):
        bucket.put_bytes(key, b"", tags={})
    assert list(bucket.keys("daily/")) == ["daily/a", "daily/b"]


def attempts(bucket: Bucket, file: Path) -> Iterator[BackupError]:
    """What each way of using a bucket raises."""
    for attempt in (
        bucket.check,
        lambda: bucket.head("daily/x"),
        lambda: b"".join(bucket.read("daily/x")),
        lambda: list(bucket.keys("daily/")),
        lambda: put(bucket, file),
        lambda: bucket.put_bytes("daily/m.json", b"", tags={}),
        lambda: bucket.abort_uploads("daily/x"),
    ):
        with pytest.raises(BackupError) as caught:
            attempt()
        assert caught.value.remedy
        yield caught.value


def test_a_store_that_is_down_may_come_back(endpoints, bucket_url: str, file: Path, monkeypatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    down = Bucket(bucket_url, {**endpoints.aws, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    for error in attempts(down, file):
        assert isinstance(error, StoreUnreachable)
        assert not error.permanent


def test_a_store_that_answers_503_may_recover(faulty: Bucket, store: FaultyStore, file: Path, monkeypatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store.busy()
    for error in attempts(faulty, file):
        assert isinstance(error, StoreUnreachable)


def test_a_read_that_breaks_off_is_no_end(bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path) -> None:
    put(bucket, file)
    store.cut(lambda method, path: method == "GET")
    with pytest.raises(StoreUnreachable):
        b"".join(faulty.read("daily/x"))


def test_a_missing_bucket_is_never_an_empty_one(endpoints, file: Path) -> None:
    for error in attempts(Bucket("s3://no-such-bucket-here", endpoints.aws), file):
        assert isinstance(error, StoreRefused), error
        assert "create the bucket" in error.remedy, error


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_need_a_person_and_are_not_shown(endpoints, bucket_url: str, file: Path, name: str) -> None:
    wrong = Bucket(bucket_url, {**endpoints.aws, name: "wrong-key-material"})
    for error in attempts(wrong, file):
        assert isinstance(error, StoreRefused)
        assert "AWS_" in error.remedy or "credentials" in error.remedy
        assert "wrong-key-material" not in str(error) or name == "AWS_ACCESS_KEY_ID"


def test_no_credentials_at_all_is_a_setting_that_was_lost(endpoints, bucket_url: str, file: Path, monkeypatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent",
                        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    rest = {name: value for name, value in endpoints.aws.items() if "KEY" not in name}
    for error in attempts(Bucket(bucket_url, rest), file):
        assert isinstance(error, ConfigurationError)


@pytest.mark.parametrize("url", ["", "bucket", "http://b/p", "s3://", "s3://key:secret@b/p", "s3://b?x=secret"])
def test_what_is_no_s3_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not an S3 URL") as caught:
        Bucket(url)
    assert "secret" not in str(caught.value)


def test_a_bracket_in_the_url_is_no_traceback() -> None:
    with pytest.raises(ConfigurationError, match="not an S3 URL"):
        Bucket("s3://[bucket/prefix")


@pytest.mark.parametrize("name", ["INTELLIGENT_TIERING", "ONEZONE_IA", "A_CLASS_OF_THEIR_OWN"])
def test_a_class_that_a_lifecycle_rule_chose_is_told_and_no_traceback(
    bucket: Bucket, faulty: Bucket, store: FaultyStore, file: Path, name: str
) -> None:
    put(bucket, file)

    def moved(handler) -> None:
        answer = handler.answer

        def with_class(status, content, headers=None, length=None) -> None:
            kept = [(key, value) for key, value in headers or [] if key.lower() != "x-amz-storage-class"]
            answer(status, content, [*kept, ("x-amz-storage-class", name)], length)

        handler.answer = with_class
        handler.forward()

    fault(store, lambda method, _: method == "HEAD", moved, times=float("inf"))
    there = faulty.head("daily/x")
    assert there is not None
    assert there.storage_class.value == name
    assert put(faulty, file).sha256 == there.sha256


@pytest.mark.parametrize(
    ("code", "word"),
    [("AccessDenied", "grant s3:"), ("RequestTimeTooSkewed", "clock")],
)
def test_what_a_person_must_do_is_said(faulty: Bucket, store: FaultyStore, file: Path, code: str, word: str) -> None:
    store.say(403, code)
    for error in attempts(faulty, file):
        assert isinstance(error, StoreRefused)
        assert word in error.remedy


@pytest.mark.parametrize("endpoint", ["localhost:8333", "http://[x", "http://key:secret@host:port", "ftp://host"])
def test_a_malformed_endpoint_is_a_setting_and_is_not_repeated(
    endpoints, bucket_url: str, file: Path, endpoint: str
) -> None:
    for error in attempts(Bucket(bucket_url, {**endpoints.aws, "AWS_ENDPOINT_URL_S3": endpoint}), file):
        assert isinstance(error, ConfigurationError), error
        assert "AWS_ENDPOINT_URL_S3" in error.remedy
        assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("AWS_MAX_ATTEMPTS", "many", "AWS_MAX_ATTEMPTS"),
        ("AWS_MAX_ATTEMPTS", "0", "AWS_MAX_ATTEMPTS"),
        ("AWS_PROFILE", "no-such-profile", "AWS_PROFILE"),
    ],
)
def test_a_setting_of_the_process_that_cannot_be_used_is_named(
    bucket_url: str, endpoints, file: Path, monkeypatch, name: str, value: str, word: str
) -> None:
    monkeypatch.setenv(name, value)
    for error in attempts(Bucket(bucket_url, endpoints.aws), file):
        assert isinstance(error, ConfigurationError), error
        assert word in str(error)


def test_a_bucket_name_that_none_can_have_is_a_setting(endpoints, file: Path) -> None:
    for error in attempts(Bucket("s3://no bucket!/x", endpoints.aws), file):
        assert isinstance(error, ConfigurationError), error
        assert "DESBUQUEI_S3_URL" in error.remedy


def test_a_region_that_is_none_is_a_setting(endpoints, bucket_url: str, file: Path) -> None:
    for error in attempts(Bucket(bucket_url, {**endpoints.aws, "AWS_REGION": "bad region!"}), file):
        assert isinstance(error, ConfigurationError), error
        assert "AWS_REGION" in error.remedy
