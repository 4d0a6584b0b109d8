"""Multipart uploads that killed runs left behind: paid for by the day, and shown by no listing of objects."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from desbuquei_backups.storage.s3_errors import UploadGone, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ABANDONED_AFTER = timedelta(hours=24)
_PAGE = 1000


def abort_abandoned(
    client: "S3Client", bucket: str, key: str, *, but: str | None = None, now: datetime | None = None
) -> int:
    """Abort every upload of exactly this key but one, and of its folder those that are abandoned; says how many.

    Abandoned is what was begun over 24 hours before `now`, and had no part since: a slow one is not. `now` is the
    store's own clock if it is left out: it is that clock which says when an upload was begun.
    """
    folder, slash, _ = key.rpartition("/")
    aborted = 0
    with store_errors(f"looking for unfinished uploads of s3://{bucket}/{key}"):
        # All of them first: a listing that is being emptied may skip some.
        found = list(_unfinished(client, bucket, f"{folder}/" if slash else key))
        for upload, told in found:
            if upload["UploadId"] == but:
                continue
            if upload["Key"] == key or _stale(client, bucket, upload, (now or told) - _ABANDONED_AFTER):
                with suppress(UploadGone), store_errors(f"aborting an upload of s3://{bucket}/{upload['Key']}"):
                    client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                    aborted += 1
    return aborted


def _stale(client: "S3Client", bucket: str, upload: Any, since: datetime) -> bool:
    """Whether it was begun before that, and nothing came to it since."""
    if upload["Initiated"] >= since:
        return False
    doing = f"looking at an upload of s3://{bucket}/{upload['Key']}"
    with suppress(UploadGone), store_errors(doing):
        pages = client.get_paginator("list_parts").paginate(
            Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
        return all(part["LastModified"] < since for page in pages for part in page.get("Parts", ()))
    return False


def store_time(answer: Any) -> datetime | None:
    """What the store's clock said as it answered (its Date), to the second."""
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(said) if said else None


def _unfinished(client: "S3Client", bucket: str, prefix: str) -> Iterator[tuple[Any, datetime]]:
    pages = client.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": _PAGE}
    )
    for page in pages:
        told = store_time(page) or datetime.now(UTC)
        yield from ((upload, told) for upload in page.get("Uploads", ()))
