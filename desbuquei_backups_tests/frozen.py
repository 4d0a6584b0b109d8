"""A stand-in for what the S3 server here has not: classes that must be thawed. It refuses to read them, as AWS does."""

import urllib.parse

from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.faults import FaultyStore, _Handler

_REFUSED = (
    b'<?xml version="1.0"?><Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object\'s '
    b"storage class</Message></Error>"
)
_FROZEN = ("GLACIER", "DEEP_ARCHIVE")


class FrozenStore(FaultyStore):
    """Forwards to a store, but for GETs of frozen objects and copies of them: 403. `refused` are their paths."""

    def __init__(self, to: str, bucket: Bucket) -> None:
        super().__init__(to)
        self.refused: list[str] = []
        self._bucket = bucket

    def refusal(self, handler: _Handler) -> bytes | None:
        source = handler.headers.get("x-amz-copy-source")
        parts = urllib.parse.urlsplit(handler.path)
        if source:
            path = urllib.parse.unquote(source)
        elif handler.command == "GET" and not parts.query:
            path = urllib.parse.unquote(parts.path)
        else:
            return None
        bucket, _, key = path.lstrip("/").partition("/")
        if not key or self._class(bucket, key) not in _FROZEN:
            return None
        self.refused.append(path)
        return _REFUSED

    def _class(self, bucket: str, key: str) -> str | None:
        from botocore.exceptions import ClientError

        try:
            return self._bucket.client.head_object(Bucket=bucket, Key=key).get("StorageClass")
        except ClientError:
            return None
