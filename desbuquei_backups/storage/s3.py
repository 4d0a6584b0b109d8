"""The bucket: objects are written once, in checksummed and encrypted parts, and read back as a stream."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from desbuquei_backups.core.errors import IntegrityError, NotFound, StoreRefused
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.core.transport import Transport, transport
from desbuquei_backups.storage.abandoned import abort_abandoned, store_time
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.listing import Entry, entries, folders
from desbuquei_backups.storage.parts import encoded
from desbuquei_backups.storage.ranges import AHEAD, read_ranges
from desbuquei_backups.storage.resuming import Record, record_of
from desbuquei_backups.storage.s3_client import bucket_and_prefix, make_client
from desbuquei_backups.storage.s3_errors import CREATE_BUCKET, Forbidden, Taken, UploadGone, store_errors
from desbuquei_backups.storage.side_by_side import AT_ONCE
from desbuquei_backups.storage.stored import Lock, StoredObject, described
from desbuquei_backups.storage.throttle import Throttle
from desbuquei_backups.storage.upload import PARTS_AT_ONCE, SSE_S3, Upload, locked, sse_kms

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Bucket", "Lock", "StoredObject"]

_LOG = logging.getLogger(__name__)


class Bucket:
    """A bucket and prefix, `s3://bucket/prefix`, reached with the AWS_* settings, or those in `environment`.

    `kms_key`: what the store is to encrypt with, None: keys of its own. `max_bandwidth`: bytes a second that are sent.
    """

    def __init__(
        self,
        url: str,
        environment: Mapping[str, str] | None = None,
        *,
        kms_key: str | None = None,
        max_bandwidth: int | None = None,
    ) -> None:
        self.name, self.prefix = bucket_and_prefix(url, "DESBUQUEI_S3_URL")
        self._environment = environment or {}
        self._encryption = sse_kms(kms_key) if kms_key is not None else SSE_S3
        self._throttle = Throttle(max_bandwidth)
        self._reached = False

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{self._key(key)}"

    @cached_property
    def client(self) -> "S3Client":
        return make_client(self._environment, connections=max(PARTS_AT_ONCE + AHEAD + 1, AT_ONCE))

    @property
    def transport(self) -> Transport:
        """How the store is reached."""
        return self._reached_by(encrypted=urlsplit(self.client.meta.endpoint_url).scheme == "https")

    @property
    def is_here(self) -> bool:
        """Whether the store is on this machine."""
        return self._reached_by(encrypted=False) is Transport.LOCAL

    def _reached_by(self, *, encrypted: bool) -> Transport:
        return transport(urlsplit(self.client.meta.endpoint_url).hostname, encrypted=encrypted)

    def check(self) -> None:
        """StoreError unless the bucket exists and may be read."""
        if self._reached:
            return
        try:
            with store_errors("reaching the bucket"):
                self.client.head_bucket(Bucket=self.name)
            self._reached = True
        except NotFound:
            raise StoreRefused(
                f"there is no bucket {self.name}", remedy=CREATE_BUCKET
            ) from None  # the backup may well be there, once the bucket is the right one

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        parts_sha256: str | None = None,
        storage_class: StorageClass,
        tags: Mapping[str, str],
        lock: Lock | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> StoredObject:
        """Store a file that must have that SHA-256, in encrypted and checksummed parts, unless the key is taken.

        An equal object already there is as good as a new one; another one is never overwritten (StoreRefused).
        An upload of the file that was cut off is gone on with. IntegrityError if the file's bytes are not those of
        `sha256`: nothing is stored then. `parts_sha256` of the same bytes, where it is known, says so too, and saves
        hashing them twice.
        """
        with disk_errors(path):
            size = path.stat().st_size
        return self._make(
            key,
            size,
            None,
            lambda upload: upload.send(path, size, parts_sha256, progress),
            sha256,
            storage_class,
            tags,
            lock,
            record_of(path, self.name),
        )

    def copy_file(
        self,
        key: str,
        source_key: str,
        source: StoredObject,
        *,
        of: "Bucket | None" = None,
        sha256: str,
        parts_sha256: str | None,
        storage_class: StorageClass,
        tags: Mapping[str, str],
        metadata: Mapping[str, str] | None = None,
        lock: Lock | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> StoredObject:
        """Store a copy of the object at `source_key`, as `source` describes it, under another key: see `put_file`.

        It is in the bucket `of`, this one if that is left out; another one must be reached with the same credentials.
        `metadata`: what the copy bears beside its own.

        The store copies, and computes the checksum of what it copied. IntegrityError if that is not `parts_sha256`, or
        if the source is another object by now: nothing is stored then; Frozen if it must be thawed first.
        """
        return self._make(
            key,
            source.size,
            parts_sha256,
            lambda upload: upload.copy((of or self).where(source_key), source, parts_sha256, progress),
            sha256,
            storage_class,
            tags,
            lock,
            metadata=metadata,
        )

    def _make(
        self,
        key: str,
        size: int,
        checksum: str | None,
        fill: Callable[[Upload], None],
        sha256: str,
        storage_class: StorageClass,
        tags: Mapping[str, str],
        lock: Lock | None,
        record: Record | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        if (there := self.head(key)) is not None:
            there = self._equal_or_refused(there, sha256, size, checksum)
            if record is not None:
                record.forget()  # of a run that was killed between making the object and forgetting how
            return there
        upload = Upload(
            self.client,
            self.name,
            self._key(key),
            sha256=sha256,
            storage_class=storage_class,
            tags=tags,
            metadata=metadata,
            lock=lock,
            encryption=self._encryption,
            throttle=self._throttle,
            record=record,
        )
        if upload.resumed:
            _LOG.info("%s: going on with an upload of which %d parts are there", self.uri(key), upload.resumed)
        self.abort_uploads(key, but=upload.upload_id)
        try:
            fill(upload)
            if (there := self._completed(key, upload)) is not None:
                return self._equal_or_refused(there, sha256, size, upload.checksum)
        except BaseException:
            upload.abort()
            raise
        return self._as_sent(key, size, sha256, upload.checksum)

    def _completed(self, key: str, upload: Upload) -> StoredObject | None:
        """Complete the upload; None if it was done, and what stands there if the store refuses.

        That may be our own object: where the answer of a completion is lost, boto3 asks again, and is told that the key
        is taken, or the upload gone.
        """
        try:
            upload.complete()
        except (Taken, UploadGone):
            upload.abort()
            if (there := self.head(key)) is None:
                raise
            return there
        return None

    def put_bytes(self, key: str, content: bytes, *, tags: Mapping[str, str], lock: Lock | None = None) -> StoredObject:
        """Store something small, always in STANDARD, unless the key is taken; see `put_file`."""
        digest = hashlib.sha256(content)
        try:
            self.put_if_absent(key, content, tags=tags, lock=lock)
        except Taken:
            there = self.head(key)
            if there is None:
                raise
            return self._equal_or_refused(there, digest.hexdigest(), len(content), None)
        return self._as_sent(key, len(content), digest.hexdigest(), encoded(digest.digest()))

    def put_if_absent(
        self, key: str, content: bytes, *, tags: Mapping[str, str] | None = None, lock: Lock | None = None
    ) -> None:
        """Write without looking first: the store itself must refuse a key that is taken (StoreRefused)."""
        self._put(key, content, hashlib.sha256(content).digest(), {}, tags or {}, lock)

    def put_stream(
        self,
        key: str,
        content: IO[bytes],
        *,
        size: int,
        sha256: bytes,
        metadata: Mapping[str, str],
        tags: Mapping[str, str],
        lock: Lock | None = None,
    ) -> None:
        """The same of what a seekable file gives, `size` bytes of it, in one request: for many that are small."""
        self._throttle.take(size)
        self._put(key, content, sha256, metadata, tags, lock)

    def _put(
        self,
        key: str,
        content: bytes | IO[bytes],
        sha256: bytes,
        metadata: Mapping[str, str],
        tags: Mapping[str, str],
        lock: Lock | None,
    ) -> None:
        given: Any = {**self._encryption, **(locked(lock) if lock is not None else {})}
        if tags:
            given["Tagging"] = urlencode(tags)
        with store_errors(f"storing {self.uri(key)}"):
            self.client.put_object(
                Bucket=self.name,
                Key=self._key(key),
                Body=content,
                ChecksumSHA256=encoded(sha256),
                StorageClass="STANDARD",
                Metadata={"sha256": sha256.hex(), **metadata, **tags},
                IfNoneMatch="*",
                **given,
            )

    def _as_sent(self, key: str, size: int, sha256: str, checksum: str | None) -> StoredObject:
        """What the store says of an object that was just sent; IntegrityError if it is not that."""
        stored = self.head(key)
        if stored is None or not stored.holds(size, sha256, checksum):
            raise IntegrityError(
                f"{self.uri(key)} is not what was sent", remedy="look at what else writes to the bucket; archive again"
            )
        return stored

    @property
    def has_lock(self) -> bool:
        """Whether the bucket has Object Lock; a store that does not know it has not.

        StoreRefused if these credentials may not ask: what is to be locked is never stored unlocked for that.
        """
        if isinstance(self._lock, Forbidden):
            raise self._lock
        return self._lock

    @property
    def may_have_lock(self) -> bool:
        """Whether it has, or does not tell, as to a role that may not ask."""
        return self._lock is not False

    @cached_property
    def _lock(self) -> bool | Forbidden:
        try:
            with store_errors("asking for Object Lock"):
                found = self.client.get_object_lock_configuration(Bucket=self.name)
        except Forbidden as error:
            return error
        except (NotFound, StoreRefused):
            return False
        return found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"

    def delete(self, key: str) -> None:
        """Delete one object; a bucket with versioning keeps it under a delete marker."""
        with store_errors(f"deleting {self.uri(key)}"):
            self.client.delete_object(Bucket=self.name, Key=self._key(key))

    def thaw(self, key: str, *, days: int, speed: str) -> None:
        """Ask for a readable copy of a frozen object, for so many days; `speed` is S3's name of a retrieval tier."""
        asked: Any = {"Days": days, "GlacierJobParameters": {"Tier": speed}}
        with store_errors(f"thawing {self.uri(key)}"):
            self.client.restore_object(Bucket=self.name, Key=self._key(key), RestoreRequest=asked)

    def time(self) -> datetime | None:
        """What the store's clock says, to the second."""
        with store_errors("asking for the time"):
            return store_time(self.client.head_bucket(Bucket=self.name))

    def head(self, key: str) -> StoredObject | None:
        """What the store says of an object; None if there is none."""
        try:
            with store_errors(f"asking for {self.uri(key)}"):
                found = self.client.head_object(Bucket=self.name, Key=self._key(key), ChecksumMode="ENABLED")
        except NotFound:
            self.check()  # a HEAD cannot tell a missing bucket from a missing object
            return None
        return described(self.uri(key), found)

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, by chunks, some being fetched ahead; NotFound if there is none.

        What breaks off is asked for again. IntegrityError if the object is replaced meanwhile.
        """
        yield from read_ranges(self.client, self.name, self._key(key))

    def fetch(self, key: str) -> tuple[bytes, Mapping[str, str]]:
        """A small object at once, with the metadata that it was stored with; NotFound if there is none."""
        with store_errors(f"reading {self.uri(key)}"):
            answer = self.client.get_object(Bucket=self.name, Key=self._key(key))
            with answer["Body"] as body:
                return body.read(), answer["Metadata"]

    def keys(self, folder: str, *, after: str = "", at_once: int = 1000) -> Iterator[str]:
        """The keys below a folder, in order, without this bucket's prefix; those after `folder` + `after` alone.

        `at_once`: how many the store is asked for at a time.
        """
        return (entry.key for entry in self.entries(folder, after=after, at_once=at_once))

    def dated_keys(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """The same, each with the moment (aware UTC) at which it was stored."""
        start = self._key(folder)
        with store_errors(f"listing {self.uri(folder)}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=start):
                for found in page.get("Contents", ()):
                    yield found["Key"][len(start) - len(folder) :], found["LastModified"]

    def etags(self, folder: str, *, after: str = "") -> Iterator[tuple[str, str]]:
        """The keys as `keys` has them, each with what the store calls its ETag.

        Of an object that was sent at once it is the MD5 of its bytes, unless it is encrypted by SSE-KMS or SSE-C.
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
        """
        start = self._key(folder)
        given: Any = {"StartAfter": f"{start}{after}"} if after else {}
        pages = self.client.get_paginator("list_objects_v2")
        with store_errors(f"listing {self.uri(folder)}"):
            for page in pages.paginate(Bucket=self.name, Prefix=start, **given):
                for found in page.get("Contents", ()):
                    yield found["Key"][len(start) - len(folder) :], found["ETag"].strip('"')

    def entries(self, folder: str, *, after: str = "", flat: bool = False, at_once: int = 1000) -> Iterator[Entry]:
        """The same, with each object's size and storage class. `flat`: folders below that one are left out."""
        start = self._key(folder)
        cut, delimiter = len(start) - len(folder), "/" if flat else ""
        after = f"{start}{after}" if after else ""
        with store_errors(f"listing {self.uri(folder)}"):
            for entry in entries(self.client, self.name, start, after=after, delimiter=delimiter, at_once=at_once):
                yield Entry(entry.key[cut:], entry.size, entry.storage_class)

    def folders(self) -> list[str]:
        """The names of the folders right below the prefix."""
        start = self._key("")
        with store_errors(f"listing {self.uri('')}"):
            return [found[len(start) :].rstrip("/") for found in folders(self.client, self.name, start)]

    def abort_uploads(self, key: str, *, but: str | None = None, now: datetime | None = None) -> int:
        """Abort what killed runs left: this key's uploads, and those of its tier that nothing came to for 24 hours.

        Says how many; `but` is left. Call it under the lock. `now` is the store's own clock if it is left out.
        """
        return abort_abandoned(self.client, self.name, self._key(key), but=but, now=now)

    def where(self, key: str) -> tuple[str, str]:
        """The bucket's name and the whole key."""
        return self.name, self._key(key)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _equal_or_refused(self, there: StoredObject, sha256: str, size: int, checksum: str | None) -> StoredObject:
        if not there.holds(size, sha256, checksum):
            raise StoreRefused(
                f"{there.uri} is already there with other content",
                remedy="it is not overwritten. If `desbuquei list --remote` does not show this backup, the object is "
                "left of an archive that was never finished: delete it, then run again; else find out who wrote it",
            )
        return there
