"""One object of WAL from the first place to the second: byte for byte, with what it was stored with, and once."""

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from typing import IO, cast

from desbuquei_backups.core.errors import IntegrityError, NotFound, StoreRefused
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bucket import PLAIN_SHA256
from desbuquei_backups.operations.wal_storing import lock_of_wal
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.parts import checksum_of_parts, part_size
from desbuquei_backups.storage.s3 import Lock, StoredObject
from desbuquei_backups.storage.stream import OTHER_COPY

_LOG = logging.getLogger(__name__)
_IN_MEMORY = 32 * 1024 * 1024


def copy_wal(site: Site, key: str, *, locked: bool) -> bool:
    """Store the object in the second place, by the store itself where both are one; whether it was not there before.

    `locked`: it is locked as WAL is, if policy and bucket say so. IntegrityError if another one has its name there,
    which stays, or if it is not what was archived; NotFound if the first place has it no longer; StoreError, DiskError.
    """
    second = site.at_second_place
    found = site.bucket.head(key)
    if found is None:
        raise NotFound(f"{site.bucket.uri(key)} is not there", remedy="`desbuquei wal status` names the gaps")
    if (there := second.bucket.head(key)) is None:
        try:
            _store(site, key, found, locked=locked)
        except StoreRefused:
            # Perhaps another run was first; else it is refused, and nothing is there.
            if (there := second.bucket.head(key)) is None:
                raise
        else:
            return True
    _compare(found, there)
    return False


def _store(site: Site, key: str, found: StoredObject, *, locked: bool) -> None:
    lock = lock_of_wal(site.at_second_place) if locked else None
    tags = {"tier": "wal", "database": site.policy.database}
    if found.sha256 is not None and site.settings.second_is_same_account:
        try:
            _copy(site, key, found, found.sha256, tags, lock)
        except StoreRefused as error:  # as a store does that may not read the one bucket for the other
            if site.at_second_place.bucket.head(key) is not None:
                raise
            _LOG.info("%s is sent: %s", key, error.what)
        else:
            return
    _send(site, key, found, tags, lock)


def _copy(site: Site, key: str, found: StoredObject, sha256: str, tags: Mapping[str, str], lock: Lock | None) -> None:
    if not found.holds(found.size, sha256, None):
        raise IntegrityError(f"{found.uri} is not what was archived, by its checksum", remedy=OTHER_COPY)
    in_one_part = found.size <= part_size(found.size)
    site.at_second_place.bucket.copy_file(
        key,
        key,
        found,
        of=site.bucket,
        sha256=sha256,
        # It was stored whole: what its parts make is known only where it is a single one.
        parts_sha256=checksum_of_parts([bytes.fromhex(sha256)]) if in_one_part else None,
        storage_class=StorageClass.STANDARD,
        tags=tags,
        metadata=found.metadata,
        lock=lock,
    )


def _send(site: Site, key: str, found: StoredObject, tags: Mapping[str, str], lock: Lock | None) -> None:
    """By way of this machine; hashed on its way."""
    second, folder = site.at_second_place, site.settings.folder
    digest = hashlib.sha256()
    with (
        disk_errors(folder),
        cast("IO[bytes]", tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))) as content,
    ):
        for chunk in site.bucket.read(key):
            digest.update(chunk)
            content.write(chunk)
        if found.sha256 not in (None, digest.hexdigest()):
            raise IntegrityError(
                f"{found.uri} is not what was archived: its SHA-256 is {digest.hexdigest()}, not {found.sha256}",
                remedy=OTHER_COPY,
            )
        content.seek(0)
        second.bucket.put_stream(
            key,
            content,
            size=found.size,
            sha256=digest.digest(),
            metadata=found.metadata,
            tags=tags,
            lock=lock,
        )


def _compare(ours: StoredObject, theirs: StoredObject) -> None:
    """By what is in it: encrypted twice, the bytes are others."""
    plain = ours.metadata.get(PLAIN_SHA256)
    same = plain == theirs.metadata.get(PLAIN_SHA256) if plain is not None else ours.sha256 == theirs.sha256
    if not same:
        raise IntegrityError(
            f"there are two different objects of one name: {ours.uri} and {theirs.uri}",
            remedy="neither was touched: find out what else writes to the second place, and move its object away",
        )
