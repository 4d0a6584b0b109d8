"""One multipart upload: parts of a file, or of another object, completed only if they make what they should."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from desbuquei_backups.core.errors import BackupError, IntegrityError
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.parts import checksum_of_parts, differ, encoded, part_size, ranges
from desbuquei_backups.storage.resuming import Begun, Record, is_part, parts_there
from desbuquei_backups.storage.s3_errors import Taken, UploadGone, store_errors
from desbuquei_backups.storage.stored import Lock, StoredObject
from desbuquei_backups.storage.throttle import Throttle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SSE_S3: Mapping[str, str] = {"ServerSideEncryption": "AES256"}
PARTS_AT_ONCE = 3
_Part = dict[str, Any]


def sse_kms(key: str) -> Mapping[str, str]:
    """How to say that the store is to encrypt with that key of its key service."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}


def locked(lock: Lock) -> dict[str, Any]:
    """How to say that an object is to be locked."""
    return {"ObjectLockMode": lock.mode.upper(), "ObjectLockRetainUntilDate": lock.until}


class Upload:
    """One multipart upload; what is small is a single part of it, so that every object is made the same way.

    With a `record`, one that was begun with just these options and was cut off is gone on with: of its parts those that
    the store has are not sent again.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        key: str,
        *,
        sha256: str,
        storage_class: StorageClass,
        tags: Mapping[str, str],
        metadata: Mapping[str, str] | None = None,
        lock: Lock | None = None,
        encryption: Mapping[str, str] = SSE_S3,
        throttle: Throttle | None = None,
        record: Record | None = None,
    ) -> None:
        self._client, self._bucket, self._sha256 = client, bucket, sha256
        self._throttle, self._record = throttle or Throttle(None), record
        self._doing = f"storing s3://{bucket}/{key}"
        self._sent: list[_Part] = []
        self._there: Mapping[int, Mapping[str, Any]] = {}
        options = {
            "StorageClass": storage_class.value,
            "Tagging": urlencode(tags),
            **encryption,
            **({"Lock": f"{lock.mode} {lock.until.isoformat()}"} if lock is not None else {}),
        }
        where = {"Bucket": bucket, "Key": key}
        if record is not None and (upload_id := record.upload_id(bucket, key, sha256, options)) is not None:
            self._where: Any = {**where, "UploadId": upload_id}
            if (there := parts_there(client, self._where)) is not None:
                self._there = there
                return
        given: Any = {**encryption, **(locked(lock) if lock is not None else {})}
        with store_errors(self._doing):
            begun = client.create_multipart_upload(
                Bucket=bucket,
                Key=key,
                ChecksumAlgorithm="SHA256",
                StorageClass=storage_class.value,
                Metadata={"sha256": sha256, **(metadata or {}), **tags},
                Tagging=urlencode(tags),
                **given,
            )
        self._where = {**where, "UploadId": begun["UploadId"]}
        if record is not None:
            record.write(
                Begun(bucket=bucket, key=key, sha256=sha256, options=options, upload_id=str(begun["UploadId"]))
            )

    @property
    def upload_id(self) -> str:
        return str(self._where["UploadId"])

    @property
    def resumed(self) -> int:
        """How many parts were there already."""
        return len(self._there)

    def send(self, path: Path, size: int, parts_sha256: str | None, progress: Callable[[int], None]) -> None:
        """Send all parts, and compare the whole: IntegrityError if it is not that file.

        By `parts_sha256`, the SHA-256 of its parts' SHA-256s, which are computed in any case; else by the whole's own
        SHA-256, which costs a second pass over every byte.
        """
        step = part_size(size)
        whole = hashlib.sha256() if parts_sha256 is None else None
        with disk_errors(path), path.open("rb", buffering=0) as file:
            # A part's buffer is free for another one when the part is there: `_make` draws none before.
            spare: list[bytearray] = []

            def send(number: int, data: bytearray) -> _Part:
                done = self._part(number, data, progress)
                spare.append(data)
                return done

            def parts() -> Iterable[Callable[[], _Part]]:
                number = 0
                while (data := _read_part(file, spare.pop() if spare else bytearray(min(step, size)))) or number == 0:
                    number += 1
                    if whole is not None:
                        whole.update(data)
                    yield partial(send, number, data)

            self._make(parts())
        if self.checksum != parts_sha256 if whole is None else whole.hexdigest() != self._sha256:
            raise IntegrityError(
                f"{path.name} is not what its manifest says: it was altered after it was made",
                remedy="run the slot again: what is open is taken anew, and the altered file is set aside",
            )

    def copy(
        self,
        where: tuple[str, str],
        source: StoredObject,
        parts_sha256: str | None,
        progress: Callable[[int], None],
    ) -> None:
        """Take all parts from the object `source` in that bucket, at that key, within the store: no byte comes here.

        IntegrityError if it is another object by now, or if the store computes another checksum of it than
        `parts_sha256`; NotFound; Frozen.
        """
        copied: Any = dict(zip(("Bucket", "Key"), where, strict=True))
        cut = list(ranges(source.size))

        def part(number: int, start: int, end: int) -> _Part:
            # A range of all is left out: of an empty object there is none.
            asked: Any = {"CopySourceRange": f"bytes={start}-{end - 1}"} if len(cut) > 1 else {}
            with store_errors(f"copying {source.uri}"):
                answer = self._client.upload_part_copy(
                    **self._where, PartNumber=number, CopySource=copied, CopySourceIfMatch=f'"{source.etag}"', **asked
                )["CopyPartResult"]
            progress(end - start)
            told = {"ChecksumSHA256": answer["ChecksumSHA256"]} if "ChecksumSHA256" in answer else {}
            return {"PartNumber": number, "ETag": answer["ETag"], **told}

        try:
            self._make(partial(part, number, *each) for number, each in enumerate(cut, 1))
        except Taken:
            raise IntegrityError(
                f"{source.uri} was replaced while it was copied",
                remedy="find out what else writes to the bucket; run again to compare",
            ) from None
        if differ(parts_sha256, self.checksum):
            raise IntegrityError(
                f"{source.uri} has another checksum than what was archived: it was altered",
                remedy="find out what else writes to the bucket; run again: another copy is taken",
            )

    def _make(self, parts: Iterable[Callable[[], _Part]]) -> None:
        """Make the parts, some at once; no more are begun than are under way."""
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            pending: set[Future[_Part]] = set()
            for make in parts:
                pending.add(pool.submit(make))
                if len(pending) >= PARTS_AT_ONCE:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    self._sent += [future.result() for future in done]
            self._sent += [future.result() for future in pending]
        self._sent.sort(key=lambda part: int(part["PartNumber"]))

    @property
    def checksum(self) -> str | None:
        """What S3's own SHA-256 of the object will be; None if the store did not tell those of its parts."""
        told = [part.get("ChecksumSHA256") for part in self._sent]
        return None if None in told else checksum_of_parts([base64.b64decode(str(each)) for each in told])

    def complete(self) -> None:
        """Make the object of its parts, unless the key is taken. Nothing is left to go on with then.

        Taken or UploadGone may be said of ourselves: where the answer to the first request was lost, boto3 asks again.
        """
        parts: Any = self._sent
        with store_errors(self._doing):
            self._client.complete_multipart_upload(**self._where, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        if self._record is not None:
            self._record.forget()

    def abort(self) -> None:
        """Leave nothing behind; where the store does not answer, the next run goes on with it, or asks again."""
        with suppress(BackupError):
            with suppress(UploadGone), store_errors(self._doing):
                self._client.abort_multipart_upload(**self._where)
            if self._record is not None:
                self._record.forget()

    def _part(self, number: int, data: bytearray, progress: Callable[[int], None]) -> _Part:
        raw = hashlib.sha256(data).digest()
        digest = encoded(raw)
        if (there := self._there.get(number)) is not None and is_part(there, data, raw):
            progress(len(data))
            return {"PartNumber": number, "ETag": there["ETag"], "ChecksumSHA256": digest}
        self._throttle.take(len(data))
        body: Any = data  # its stubs know no bytearray
        with store_errors(self._doing):
            answer = self._client.upload_part(**self._where, PartNumber=number, Body=body, ChecksumSHA256=digest)
        progress(len(data))
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest}


def _read_part(file: FileIO, buffer: bytearray) -> bytearray:
    """Fill the buffer from the file; shorter at its end."""
    view, filled = memoryview(buffer), 0
    while count := file.readinto(view[filled:]):
        filled += count
    view.release()
    del buffer[filled:]
    return buffer
