"""A bucket as it is asked and read: what is there, what the store says of it, and the bytes."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from desbuquei_backups.core.errors import NotFound, StoreRefused
from desbuquei_backups.core.transport import Transport, transport
from desbuquei_backups.storage.abandoned import store_time
from desbuquei_backups.storage.listing import Entry, entries, folders
from desbuquei_backups.storage.ranges import AHEAD, read_ranges
from desbuquei_backups.storage.s3_client import bucket_and_prefix, make_client
from desbuquei_backups.storage.s3_errors import CREATE_BUCKET, Forbidden, store_errors
from desbuquei_backups.storage.side_by_side import AT_ONCE
from desbuquei_backups.storage.stored import StoredObject, described
from desbuquei_backups.storage.upload import PARTS_AT_ONCE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Readable:
    """A bucket and prefix, `s3://bucket/prefix`, reached with the AWS_* settings, or those in `environment`.

    Keys are without the prefix. What the store does not answer is a StoreError.
    """

    def __init__(self, url: str, environment: Mapping[str, str] | None = None) -> None:
        self.name, self.prefix = bucket_and_prefix(url, "DESBUQUEI_S3_URL")
        self._environment = environment or {}
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

    def where(self, key: str) -> tuple[str, str]:
        """The bucket's name and the whole key."""
        return self.name, self._key(key)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key
