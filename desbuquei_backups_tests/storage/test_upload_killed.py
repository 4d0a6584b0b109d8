"""Uploads whose process was killed, at every stage there is: the next run finishes, and sends only what is missing."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.faults import FaultyStore, Matches, completions, creations, parts
from desbuquei_backups_tests.operations.losses import unfinished

MIB = 1024 * 1024

UPLOADER = """
import json, sys
from pathlib import Path
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage import parts, upload
from desbuquei_backups.storage.s3 import Bucket
parts._PART, upload.PARTS_AT_ONCE = 5 * 1024 * 1024, 1
given = json.load(sys.stdin)
Bucket(given["url"], given["aws"]).put_file(
    "daily/x", Path(given["path"]), sha256=given["sha256"], storage_class=StorageClass.STANDARD, tags={})
"""


def part(number: int) -> Matches:
    return lambda method, path: parts(method, path) and f"partNumber={number}&" in f"{path}&"


@pytest.fixture
def store(endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        yield store


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of two parts, the first one of the smallest that S3 takes."""
    monkeypatch.setattr("desbuquei_backups.storage.parts._PART", 5 * MIB)
    path = tmp_path / "x.sql.gz"
    path.write_bytes(os.urandom(5 * MIB + 7))
    return path


@pytest.mark.parametrize(
    ("when", "matches", "sent"),
    [
        ("after", creations, 2),  # the upload is begun, and written down nowhere
        ("instead", part(1), 2),
        ("after", part(1), 1),
        ("after", part(2), 0),
        ("instead", completions, 0),
        ("after", completions, 0),  # the object is there, and so is the record of its upload
    ],
    ids=["begun", "written down", "part 1", "part 2", "before its end", "after its end"],
)
def test_a_killed_upload_is_finished_with_what_is_missing_and_leaves_nothing(
    bucket: Bucket, store: FaultyStore, endpoints, file: Path, when: str, matches: Matches, sent: int
) -> None:
    aws = {**endpoints.aws, "AWS_ENDPOINT_URL_S3": store.url}
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    given = {"url": f"s3://{bucket.name}/{bucket.prefix}", "aws": aws, "path": str(file), "sha256": sha256}
    with subprocess.Popen([sys.executable, "-c", UPLOADER], stdin=subprocess.PIPE, text=True) as uploader:
        getattr(store, when)(matches, uploader.kill)
        assert uploader.stdin is not None
        json.dump(given, uploader.stdin)
        uploader.stdin.close()
    assert uploader.returncode == -9
    store.requests.clear()
    Bucket(given["url"], aws).put_file("daily/x", file, sha256=sha256, storage_class=StorageClass.STANDARD, tags={})
    assert len([path for method, path in store.requests if parts(method, path)]) == sent
    assert b"".join(bucket.read("daily/x")) == file.read_bytes()
    assert list(bucket.keys("daily/")) == ["daily/x"]
    assert unfinished(bucket) == []
    assert list(file.parent.iterdir()) == [file]
