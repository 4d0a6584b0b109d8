"""An object as the store describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from desbuquei_backups.core.tiers import StorageClass


@dataclass(frozen=True, slots=True)
class OtherClass:
    """A storage class that no policy offers: a lifecycle rule moved the object there, or the store has its own."""

    value: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store describes it (HEAD). `checksum` is S3's SHA-256: of the parts' digests if it has parts."""

    uri: str
    size: int
    etag: str
    sha256: str | None
    checksum: str | None
    storage_class: StorageClass | OtherClass
    encryption: str | None
    version_id: str | None


def described(uri: str, answer: Mapping[str, Any]) -> StoredObject:
    """The object at `uri`, by the store's answer to a HEAD."""
    return StoredObject(
        uri=uri,
        size=answer["ContentLength"],
        etag=answer["ETag"].strip('"'),
        sha256=answer["Metadata"].get("sha256"),
        checksum=answer.get("ChecksumSHA256"),
        storage_class=_class(answer.get("StorageClass", "STANDARD")),
        encryption=answer.get("ServerSideEncryption"),
        version_id=answer.get("VersionId"),
    )


def _class(name: str) -> StorageClass | OtherClass:
    try:
        return StorageClass(name)
    except ValueError:
        return OtherClass(name)
