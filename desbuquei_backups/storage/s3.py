"""The bucket, as it is written to: every object once, in checksummed and encrypted parts."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from desbuquei_backups.core.errors import IntegrityError, StoreRefused
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage.abandoned import abort_abandoned
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.parts import encoded
from desbuquei_backups.storage.resuming import Record, record_of
from desbuquei_backups.storage.s3_errors import Taken, UploadGone, store_errors
from desbuquei_backups.storage.s3_reading import Readable
from desbuquei_backups.storage.stored import Lock, StoredObject
from desbuquei_backups.storage.throttle import Throttle
from desbuquei_backups.storage.upload import SSE_S3, Upload, locked, sse_kms

__all__ = ["Bucket", "Lock", "StoredObject"]

_LOG = logging.getLogger(__name__)


class Bucket(Readable):
    """A bucket that is written to, too.

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
        super().__init__(url, environment)
        self._encryption = sse_kms(kms_key) if kms_key is not None else SSE_S3
        self._throttle = Throttle(max_bandwidth)

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

    def delete(self, key: str) -> None:
        """Delete one object; a bucket with versioning keeps it under a delete marker."""
        with store_errors(f"deleting {self.uri(key)}"):
            self.client.delete_object(Bucket=self.name, Key=self._key(key))

    def thaw(self, key: str, *, days: int, speed: str) -> None:
        """Ask for a readable copy of a frozen object, for so many days; `speed` is S3's name of a retrieval tier."""
        asked: Any = {"Days": days, "GlacierJobParameters": {"Tier": speed}}
        with store_errors(f"thawing {self.uri(key)}"):
            self.client.restore_object(Bucket=self.name, Key=self._key(key), RestoreRequest=asked)

    def abort_uploads(self, key: str, *, but: str | None = None, now: datetime | None = None) -> int:
        """Abort what killed runs left: this key's uploads, and those of its tier that nothing came to for 24 hours.

        Says how many; `but` is left. Call it under the lock. `now` is the store's own clock if it is left out.
        """
        return abort_abandoned(self.client, self.name, self._key(key), but=but, now=now)

    def _equal_or_refused(self, there: StoredObject, sha256: str, size: int, checksum: str | None) -> StoredObject:
        if not there.holds(size, sha256, checksum):
            raise StoreRefused(
                f"{there.uri} is already there with other content",
                remedy="it is not overwritten. If `desbuquei list --remote` does not show this backup, the object is "
                "left of an archive that was never finished: delete it, then run again; else find out who wrote it",
            )
        return there
