"""One multipart upload: a file in encrypted and checksummed parts, completed only if it is what it should be."""

import base64
import hashlib
import math
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from desbuquei_backups.core.errors import BackupError, IntegrityError
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.s3_errors import store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ENCRYPTION: Literal["AES256"] = "AES256"
PARTS_AT_ONCE = 3
_PART = 8 * 1024 * 1024
_MOST_PARTS = 9_000  # S3 allows 10,000
_MIB = 1024 * 1024


class Upload:
    """One multipart upload; a small file is a single part of it, so that every object is made the same way."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        key: str,
        *,
        sha256: str,
        storage_class: StorageClass,
        tags: Mapping[str, str],
    ) -> None:
        self._client, self._sha256 = client, sha256
        self._doing = f"storing s3://{bucket}/{key}"
        self._sent: list[Any] = []
        with store_errors(self._doing):
            begun = client.create_multipart_upload(
                Bucket=bucket,
                Key=key,
                ChecksumAlgorithm="SHA256",
                ServerSideEncryption=ENCRYPTION,
                StorageClass=storage_class.value,
                Metadata={"sha256": sha256, **tags},
            )
        self._where: Any = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}

    def send(self, path: Path, size: int, progress: Callable[[int], None]) -> None:
        """Send all parts, and compare the whole with its SHA-256: IntegrityError if it is not that."""
        part_size = max(_PART, math.ceil(size / _MOST_PARTS / _MIB) * _MIB)
        whole = hashlib.sha256()
        with disk_errors(path), path.open("rb", buffering=0) as file, ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            pending: set[Future[dict[str, Any]]] = set()
            number = 0
            while (data := _read_part(file, part_size)) or number == 0:
                number += 1
                whole.update(data)
                pending.add(pool.submit(self._part, number, data, progress))
                if len(pending) >= PARTS_AT_ONCE:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    self._sent += [future.result() for future in done]
            self._sent += [future.result() for future in pending]
        if whole.hexdigest() != self._sha256:
            raise IntegrityError(
                f"{path.name} is not what its manifest says: it was altered after it was made",
                remedy="run the slot again: what is open is taken anew, and the altered file is set aside",
            )
        self._sent.sort(key=lambda part: part["PartNumber"])

    @property
    def checksum(self) -> str:
        """What S3's own SHA-256 of the object will be: that of its parts' digests, and how many they are."""
        digests = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in self._sent)
        return f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(self._sent)}"

    def complete(self) -> None:
        """Make the object of its parts, unless the key is taken.

        Taken or UploadGone may be said of ourselves: where the answer to the first request was lost, boto3 asks again.
        """
        with store_errors(self._doing):
            self._client.complete_multipart_upload(
                **self._where, MultipartUpload={"Parts": self._sent}, IfNoneMatch="*"
            )

    def abort(self) -> None:
        """Leave nothing behind; a store that does not answer is asked again by the next run."""
        with suppress(BackupError), store_errors(self._doing):
            self._client.abort_multipart_upload(**self._where)

    def _part(self, number: int, data: bytes, progress: Callable[[int], None]) -> dict[str, Any]:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        with store_errors(self._doing):
            answer = self._client.upload_part(**self._where, PartNumber=number, Body=data, ChecksumSHA256=digest)
        progress(len(data))
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest}


def _read_part(file: Any, size: int) -> bytes:
    pieces, wanted = [], size
    while wanted and (piece := file.read(wanted)):
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)
