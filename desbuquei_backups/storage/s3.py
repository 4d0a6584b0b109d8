"""The bucket: objects are written once, in checksummed and encrypted parts, and read back as a stream."""

import base64
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from desbuquei_backups.core.errors import (
    BackupError,
    ConfigurationError,
    IntegrityError,
    NotFound,
    StoreRefused,
    StoreUnreachable,
)
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage.disk import disk_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 3
_MOST_PARTS = 9_000  # S3 allows 10,000
_READ = 1024 * 1024
_ENCRYPTION: Literal["AES256"] = "AES256"

_REFUSALS = {
    "NoSuchBucket": "create the bucket, or correct DESBUQUEI_S3_URL",
    "AccessDenied": "grant s3:PutObject, s3:GetObject, s3:ListBucket and s3:AbortMultipartUpload on the bucket",
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID, or the profile",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "renew the credentials",
    "403": "correct the credentials, or grant the role access to the bucket",
}
_PASSING = {"RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "InternalError", "ServiceUnavailable", "Throttling"}


class _Taken(StoreRefused):
    """The key has an object already."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store describes it (HEAD). `checksum` is S3's SHA-256: of the parts' digests if it has parts."""

    uri: str
    size: int
    etag: str
    sha256: str | None
    checksum: str | None
    storage_class: StorageClass
    encryption: str | None
    version_id: str | None


class Bucket:
    """A bucket and prefix, `s3://bucket/prefix`, reached with the AWS_* settings, or those in `environment`."""

    def __init__(self, url: str, environment: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query:
            raise ConfigurationError(
                "DESBUQUEI_S3_URL is not an S3 URL",
                remedy="write it like s3://bucket or s3://bucket/prefix; credentials belong in AWS_* variables",
            )
        self.name, self.prefix = parts.netloc, parts.path.strip("/")
        self._environment = environment or {}
        self._reached = False

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{self._key(key)}"

    @cached_property
    def client(self) -> "S3Client":
        import boto3
        from botocore.config import Config

        attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", "6"))
        config = Config(
            connect_timeout=10,
            read_timeout=120,
            retries={"mode": "standard", "total_max_attempts": attempts},
            # Every part carries its own SHA-256; hashing it again for the signature would halve the rate.
            s3={"payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            max_pool_connections=_PARTS_AT_ONCE + 2,
        )
        with self._errors("reaching the bucket"):
            # A session of its own: the default one keeps the credentials that it was first asked with.
            return boto3.session.Session().client(
                "s3",
                config=config,
                aws_access_key_id=self._environment.get("AWS_ACCESS_KEY_ID"),
                aws_secret_access_key=self._environment.get("AWS_SECRET_ACCESS_KEY"),
                endpoint_url=self._environment.get("AWS_ENDPOINT_URL_S3"),
                region_name=self._environment.get("AWS_REGION"),
            )

    def check(self) -> None:
        """StoreError unless the bucket exists and may be read."""
        if self._reached:
            return
        try:
            with self._errors("reaching the bucket"):
                self.client.head_bucket(Bucket=self.name)
            self._reached = True
        except NotFound:
            raise StoreRefused(
                f"there is no bucket {self.name}", remedy=_REFUSALS["NoSuchBucket"]
            ) from None  # the backup may well be there, once the bucket is the right one

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        storage_class: StorageClass,
        tags: Mapping[str, str],
        progress: Callable[[int], None] = lambda _: None,
    ) -> StoredObject:
        """Store a file that must have that SHA-256, in encrypted and checksummed parts, unless the key is taken.

        An equal object already there is as good as a new one; another one is never overwritten (StoreRefused).
        IntegrityError if the file's bytes are not those of `sha256`: nothing is stored then.
        """
        with disk_errors(path):
            size = path.stat().st_size
        if (there := self.head(key)) is not None:
            return self._equal_or_refused(there, sha256, size)
        self.abort_uploads(key)
        part = max(_PART, math.ceil(size / _MOST_PARTS / _READ) * _READ)
        upload = _Upload(self, key, storage_class, sha256, tags)
        try:
            checksum = upload.run(path, part, progress)
        except BaseException:
            upload.abort()
            raise
        return self._as_sent(key, size, sha256, checksum)

    def put_bytes(self, key: str, content: bytes, *, tags: Mapping[str, str]) -> StoredObject:
        """Store something small, always in STANDARD, unless the key is taken; see `put_file`."""
        digest = hashlib.sha256(content)
        try:
            self.put_if_absent(key, content, tags=tags)
        except _Taken:
            there = self.head(key)
            if there is None:
                raise
            return self._equal_or_refused(there, digest.hexdigest(), len(content))
        return self._as_sent(key, len(content), digest.hexdigest(), base64.b64encode(digest.digest()).decode())

    def put_if_absent(self, key: str, content: bytes, *, tags: Mapping[str, str] | None = None) -> None:
        """Write without looking first: the store itself must refuse a key that is taken (StoreRefused)."""
        digest = hashlib.sha256(content)
        with self._errors(f"storing {self.uri(key)}"):
            self.client.put_object(
                Bucket=self.name,
                Key=self._key(key),
                Body=content,
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                ServerSideEncryption=_ENCRYPTION,
                StorageClass="STANDARD",
                Metadata={"sha256": digest.hexdigest(), **(tags or {})},
                IfNoneMatch="*",
            )

    def _as_sent(self, key: str, size: int, sha256: str, checksum: str) -> StoredObject:
        """What the store says of an object that was just sent; IntegrityError if it is not that."""
        stored = self.head(key)
        if stored is None or stored.size != size or stored.sha256 != sha256 or stored.checksum not in (None, checksum):
            raise IntegrityError(
                f"{self.uri(key)} is not what was sent", remedy="look at what else writes to the bucket; archive again"
            )
        return stored

    def delete(self, key: str) -> None:
        """Delete one object; a bucket with versioning keeps it under a delete marker."""
        with self._errors(f"deleting {self.uri(key)}"):
            self.client.delete_object(Bucket=self.name, Key=self._key(key))

    def time(self) -> datetime | None:
        """What the store's clock says (the Date of its answer), to the second."""
        with self._errors("asking for the time"):
            answer = self.client.head_bucket(Bucket=self.name)
        said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(said) if said else None

    def head(self, key: str) -> StoredObject | None:
        """What the store says of an object; None if there is none."""
        try:
            with self._errors(f"asking for {self.uri(key)}"):
                found = self.client.head_object(Bucket=self.name, Key=self._key(key), ChecksumMode="ENABLED")
        except NotFound:
            self.check()  # a HEAD cannot tell a missing bucket from a missing object
            return None
        return StoredObject(
            uri=self.uri(key),
            size=found["ContentLength"],
            etag=found["ETag"].strip('"'),
            sha256=found["Metadata"].get("sha256"),
            checksum=found.get("ChecksumSHA256"),
            storage_class=StorageClass(found.get("StorageClass", "STANDARD")),
            encryption=found.get("ServerSideEncryption"),
            version_id=found.get("VersionId"),
        )

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, by chunks; NotFound if there is none."""
        doing = f"reading {self.uri(key)}"
        with self._errors(doing):
            body = self.client.get_object(Bucket=self.name, Key=self._key(key))["Body"]
        with body:
            chunks = body.iter_chunks(_READ)
            while True:
                with self._errors(doing):
                    chunk = next(chunks, b"")
                if not chunk:
                    return
                yield chunk

    def keys(self, folder: str) -> Iterator[str]:
        """The keys below a folder, without this bucket's prefix."""
        start = self._key(folder)
        with self._errors(f"listing {self.uri(folder)}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=start):
                for found in page.get("Contents", ()):
                    yield found["Key"][len(self.prefix) + 1 if self.prefix else 0 :]

    def abort_uploads(self, key: str) -> int:
        """Abort what a killed run left unfinished under exactly this key; says how many. Call it under the lock."""
        with self._errors(f"looking for unfinished uploads of {self.uri(key)}"):
            found = self.client.list_multipart_uploads(Bucket=self.name, Prefix=self._key(key)).get("Uploads", [])
            ours = [upload for upload in found if upload["Key"] == self._key(key)]
            for upload in ours:
                self.client.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])
        return len(ours)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _equal_or_refused(self, there: StoredObject, sha256: str, size: int) -> StoredObject:
        if (there.sha256, there.size) != (sha256, size):
            raise StoreRefused(
                f"{there.uri} is already there with other content",
                remedy="it is not overwritten. If `desbuquei list --remote` does not show this backup, the object is "
                "left of an archive that was never finished: delete it, then run again; else find out who wrote it",
            )
        return there

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn what boto3 raises into a StoreError, NotFound or ConfigurationError that says what to do."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ClientError as error:
            raise _meaning(error, doing) from None
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise ConfigurationError(f"{doing}: {error}", remedy="set AWS_ACCESS_KEY_ID and its secret") from None
        except (BotoCoreError, HTTPError, OSError) as error:
            raise StoreUnreachable(
                f"{doing}: {error}", remedy="see that the store answers; what is missing is archived by running again"
            ) from None


class _Upload:
    """One multipart upload; a small file is a single part of it, so that every object is made the same way."""

    def __init__(
        self, bucket: Bucket, key: str, storage_class: StorageClass, sha256: str, tags: Mapping[str, str]
    ) -> None:
        self._bucket, self._sha256 = bucket, sha256
        self._doing = f"storing {bucket.uri(key)}"
        with bucket._errors(self._doing):
            begun = bucket.client.create_multipart_upload(
                Bucket=bucket.name,
                Key=bucket._key(key),
                ChecksumAlgorithm="SHA256",
                ServerSideEncryption=_ENCRYPTION,
                StorageClass=storage_class.value,
                Metadata={"sha256": sha256, **tags},
            )
        self._where: Any = {"Bucket": bucket.name, "Key": bucket._key(key), "UploadId": begun["UploadId"]}

    def run(self, path: Path, part_size: int, progress: Callable[[int], None]) -> str:
        """Send all parts, compare the whole with its SHA-256, and only then complete. Returns S3's checksum of it."""
        whole = hashlib.sha256()
        sent: list[Any] = []
        with disk_errors(path), path.open("rb", buffering=0) as file, ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            pending: set[Future[dict[str, Any]]] = set()
            number = 0
            while (data := _read_part(file, part_size)) or number == 0:
                number += 1
                whole.update(data)
                pending.add(pool.submit(self._part, number, data, progress))
                if len(pending) >= _PARTS_AT_ONCE:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    sent += [future.result() for future in done]
            sent += [future.result() for future in pending]
        if whole.hexdigest() != self._sha256:
            raise IntegrityError(
                f"{path.name} is not what its manifest says: it was altered after it was made",
                remedy="run the slot again: what is open is taken anew, and the altered file is set aside",
            )
        sent.sort(key=lambda part: part["PartNumber"])
        with self._bucket._errors(self._doing):
            self._bucket.client.complete_multipart_upload(
                **self._where, MultipartUpload={"Parts": sent}, IfNoneMatch="*"
            )
        digests = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in sent)
        return f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(sent)}"

    def abort(self) -> None:
        """Leave nothing behind; a store that does not answer is asked again by the next run."""
        with suppress(BackupError), self._bucket._errors(self._doing):
            self._bucket.client.abort_multipart_upload(**self._where)

    def _part(self, number: int, data: bytes, progress: Callable[[int], None]) -> dict[str, Any]:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        with self._bucket._errors(self._doing):
            answer = self._bucket.client.upload_part(**self._where, PartNumber=number, Body=data, ChecksumSHA256=digest)
        progress(len(data))
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest}


def _read_part(file: Any, size: int) -> bytes:
    pieces, wanted = [], size
    while wanted and (piece := file.read(wanted)):
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)


def _meaning(error: Any, doing: str) -> BackupError:
    details = error.response.get("Error", {})
    code, status = str(details.get("Code", "")), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{doing}: {code} {details.get('Message', '')}".strip()
    if code in ("404", "NoSuchKey", "NotFound"):
        return NotFound(text, remedy="`desbuquei list --remote` shows what is there")
    if code == "PreconditionFailed":
        return _Taken(text, remedy="another run stored it first; run again to compare")
    if status >= 500 or code in _PASSING:
        return StoreUnreachable(text, remedy="the store is in trouble; what is missing is archived by running again")
    return StoreRefused(text, remedy=_REFUSALS.get(code, "look the code up in the store's documentation"))
