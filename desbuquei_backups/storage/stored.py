"""An object as the store describes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from desbuquei_backups.core.manifest import FileFacts
from desbuquei_backups.core.tiers import LockMode, StorageClass
from desbuquei_backups.storage.parts import encoded


@dataclass(frozen=True, slots=True)
class OtherClass:
    """A storage class that no policy offers: a lifecycle rule moved the object there, or the store has its own."""

    value: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Object Lock of an object that is to be stored: until when (aware UTC), and who may delete it all the same."""

    mode: LockMode
    until: datetime


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store describes it (HEAD). `checksum` is S3's SHA-256: of the parts' digests if it has parts.

    `thawed`: a readable copy of a frozen object is there, until `thawed_until`; `thawing`: it was asked for, and is not
    there yet. `lock_mode`, `locked_until` and `legal_hold` are Object Lock's; instants are aware UTC. `metadata`: what
    it was stored with.
    """

    uri: str
    size: int
    etag: str
    sha256: str | None
    checksum: str | None
    storage_class: StorageClass | OtherClass
    encryption: str | None
    version_id: str | None
    thawed: bool = False
    thawing: bool = False
    thawed_until: datetime | None = None
    lock_mode: LockMode | None = None
    locked_until: datetime | None = None
    legal_hold: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def frozen(self) -> bool:
        """Whether it must be thawed before it can be read or copied."""
        return isinstance(self.storage_class, StorageClass) and self.storage_class.frozen and not self.thawed

    def holds(self, size: int, sha256: str, parts_sha256: str | None) -> bool:
        """Whether it is those bytes, as far as asking tells: by what it was stored with, and the store's own checksum.

        `parts_sha256` is the checksum of an object that was sent in our parts; None: not known.
        """
        if (self.size, self.sha256) != (size, sha256):
            return False
        wanted = self.due_checksum(sha256, parts_sha256)
        return None in (self.checksum, wanted) or self.checksum == wanted

    def due_checksum(self, sha256: str, parts_sha256: str | None) -> str | None:
        """What its own checksum is if it is those bytes, stored whole or in parts as it was; None: not known."""
        in_parts = self.checksum is not None and "-" in self.checksum
        return parts_sha256 if in_parts else encoded(bytes.fromhex(sha256))

    def is_whole(self, file: FileFacts) -> bool:
        """Whether it is that file of a backup, as far as asking tells."""
        return self.holds(file.size, file.sha256, file.parts_sha256)


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
        thawed='ongoing-request="false"' in (restore := answer.get("Restore", "")),
        thawing='ongoing-request="true"' in restore,
        thawed_until=_expiry(restore),
        lock_mode=LockMode(mode.lower()) if (mode := answer.get("ObjectLockMode")) else None,
        locked_until=answer.get("ObjectLockRetainUntilDate"),
        legal_hold=answer.get("ObjectLockLegalHoldStatus") == "ON",
        metadata=answer["Metadata"],
    )


def _expiry(restore: str) -> datetime | None:
    """Until when the readable copy of a thawed object is there, from the header x-amz-restore."""
    told = re.search(r'expiry-date="([^"]+)"', restore)
    return parsedate_to_datetime(told[1]) if told else None


def _class(name: str) -> StorageClass | OtherClass:
    try:
        return StorageClass(name)
    except ValueError:
        return OtherClass(name)
