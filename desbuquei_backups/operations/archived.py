"""Read what is in a backup's file back from S3, and refuse it at its end if it is not what was archived."""

import hashlib
from collections.abc import Callable, Iterator

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.manifest import FileFacts
from desbuquei_backups.storage.age_keys import Identity
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.inside import read_inside
from desbuquei_backups.storage.s3 import Bucket


def read_archived(
    bucket: Bucket,
    file: FileFacts,
    identity: Identity | None,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """What is in one file of an archived backup; `identity` opens it if it is encrypted.

    IntegrityError if the object is damaged or another one, at the latest when all of it was read; IdentityError;
    NotFound; StoreError.
    """
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in bucket.read(key_of(file.name)):
            digest.update(chunk)
            progress(len(chunk))
            yield chunk

    yield from read_inside(hashed(), file, identity)
    if digest.hexdigest() != file.sha256:
        raise IntegrityError(
            f"{bucket.uri(key_of(file.name))} is not what was archived: its SHA-256 is {digest.hexdigest()}, "
            f"the manifest says {file.sha256}",
            remedy="find out who altered it; restore from the copy on disk, or from another backup",
        )
