"""What an upload that was cut off had sent: written down beside the file, so that the next run sends the rest alone."""

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.errors import DiskError
from desbuquei_backups.storage.disk import disk_errors, write_file
from desbuquei_backups.storage.s3_errors import UploadGone, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Begun(BaseModel):
    """An upload, by everything that it was begun with: it is gone on with only if all of that is the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    bucket: str
    key: str
    sha256: str
    options: Mapping[str, str]
    upload_id: str


class Record:
    """Where an upload is written down. The file is removed when the upload is over, well or not."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, begun: Begun) -> None:
        write_file(self._path, begun.model_dump_json().encode())

    def forget(self) -> None:
        with disk_errors(self._path):
            self._path.unlink(missing_ok=True)

    def upload_id(self, bucket: str, key: str, sha256: str, options: Mapping[str, str]) -> str | None:
        """The id of an upload begun with just these; None if there is none, or it cannot be read."""
        with suppress(ValidationError, DiskError, OSError):
            begun = Begun.model_validate_json(self._path.read_bytes())
            same = (begun.bucket, begun.key, begun.sha256, begun.options) == (bucket, key, sha256, options)
            return begun.upload_id if same else None
        return None


def record_of(path: Path, bucket: str) -> Record:
    """The record of the upload of that file to that bucket."""
    return Record(path.with_name(f".{path.name}.{bucket}.upload.json"))


def parts_there(client: "S3Client", where: Mapping[str, Any]) -> dict[int, dict[str, Any]] | None:
    """The parts that the store has, by number; None if the upload is gone."""
    found = {}
    try:
        with store_errors(f"listing the parts of s3://{where['Bucket']}/{where['Key']}"):
            for page in client.get_paginator("list_parts").paginate(**where):
                for part in page.get("Parts", ()):
                    found[part["PartNumber"]] = dict(part)
    except UploadGone:
        return None
    return found


def is_part(there: Mapping[str, Any] | None, data: bytearray, digest: bytes) -> bool:
    """Whether what the store has is `data`, whose SHA-256 is `digest`: by its SHA-256, else by its MD5.

    Not every store lists the SHA-256; where the ETag is no MD5 either, as with SSE-KMS, the part is sent again.
    """
    if there is None or there.get("Size") != len(data):
        return False
    if (told := there.get("ChecksumSHA256")) is not None:
        return bool(told == base64.b64encode(digest).decode())
    return bool(there["ETag"].strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest())
