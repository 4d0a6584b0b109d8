"""Every version of an object: what a versioned bucket still has, and bills, after a plain delete."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from desbuquei_backups.core.errors import NotFound, StoreRefused
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.s3_errors import Locked, store_errors


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, or a delete marker, which hides those before it. `size` is bytes."""

    key: str
    version_id: str
    latest: bool
    delete_marker: bool
    size: int
    modified: datetime


def versions(bucket: Bucket, prefix: str) -> Iterator[Version]:
    """All versions and delete markers of the keys that begin so; in a bucket without versioning, one of each."""
    start = bucket.where(prefix)[1]
    cut = len(start) - len(prefix)
    pages = bucket.client.get_paginator("list_object_versions")
    with store_errors(f"listing the versions of {bucket.uri(prefix)}"):
        for page in pages.paginate(Bucket=bucket.name, Prefix=start):
            entries: list[tuple[Any, bool]] = [(each, False) for each in page.get("Versions", ())]
            entries += [(each, True) for each in page.get("DeleteMarkers", ())]
            for each, marker in entries:
                yield Version(
                    key=each["Key"][cut:],
                    version_id=each.get("VersionId") or "null",
                    latest=each.get("IsLatest", True),
                    delete_marker=marker,
                    size=each.get("Size", 0),
                    modified=each["LastModified"],
                )


def read_version(bucket: Bucket, version: Version) -> bytes:
    """The bytes of one version of a small object; NotFound if it is gone."""
    name, key = bucket.where(version.key)
    with store_errors(f"reading {bucket.uri(version.key)}"):
        return bucket.client.get_object(Bucket=name, Key=key, VersionId=version.version_id)["Body"].read()


def delete_version(bucket: Bucket, version: Version) -> None:
    """Delete one version for good; one that is gone already is as good.

    Locked if it is under Object Lock or a legal hold; StoreRefused without the permission.
    """
    name, key = bucket.where(version.key)
    uri = bucket.uri(version.key)
    try:
        with store_errors(f"deleting {uri}"):
            bucket.client.delete_object(Bucket=name, Key=key, VersionId=version.version_id)
    except NotFound:
        return
    except StoreRefused as error:
        if (until := _locked(bucket, version)) is not None:
            raise Locked(f"{uri} is {until}", remedy="nothing: it goes when its lock or its hold ends") from None
        raise error from None


def set_hold(bucket: Bucket, key: str, *, on: bool) -> None:
    """Put the object under a legal hold, or end it. StoreRefused if the bucket has no Object Lock."""
    name, whole = bucket.where(key)
    with store_errors(f"{'holding' if on else 'releasing'} {bucket.uri(key)}"):
        bucket.client.put_object_legal_hold(Bucket=name, Key=whole, LegalHold={"Status": "ON" if on else "OFF"})


def _locked(bucket: Bucket, version: Version) -> str | None:
    """`locked until …` or `under a legal hold`, by what the store says of that version; None if it says neither."""
    if version.delete_marker:
        return None
    name, key = bucket.where(version.key)
    try:
        with store_errors(f"asking for {bucket.uri(version.key)}"):
            found = bucket.client.head_object(Bucket=name, Key=key, VersionId=version.version_id)
    except (NotFound, StoreRefused):
        return None
    if found.get("ObjectLockLegalHoldStatus") == "ON":
        return "under a legal hold"
    until = found.get("ObjectLockRetainUntilDate")
    return f"locked until {until:%Y-%m-%d %H:%M} UTC" if until is not None else None
