"""Read an object in ranges, some ahead, in order; a range that breaks off is asked for again."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from desbuquei_backups.core.errors import IntegrityError, StoreUnreachable
from desbuquei_backups.storage.s3_errors import NoSuchRange, Taken, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RANGE = 8 * 1024 * 1024
AHEAD = 3
_TRIES = 4


def read_ranges(client: "S3Client", bucket: str, key: str) -> Iterator[bytes]:
    """The bytes of an object, a range at a time; at most AHEAD + 1 of them are held.

    NotFound if there is none; IntegrityError if it is replaced while it is read; StoreUnreachable if a range breaks off
    again and again.
    """
    uri = f"s3://{bucket}/{key}"
    try:
        first, size, etag = _range(client, bucket, key, 0, None)
    except NoSuchRange:  # of nothing, nothing
        return
    except Taken:
        raise _replaced(uri) from None
    yield first
    starts = range(RANGE, size, RANGE)
    if not starts:
        return
    with ThreadPoolExecutor(AHEAD) as pool:
        waiting: deque[Future[bytes]] = deque()

        def ask(start: int) -> Callable[[], bytes]:
            return lambda: _range(client, bucket, key, start, etag)[0]

        try:
            for start in starts:
                waiting.append(pool.submit(ask(start)))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except Taken:
            raise _replaced(uri) from None
        finally:
            for each in waiting:
                each.cancel()


def _replaced(uri: str) -> IntegrityError:
    return IntegrityError(
        f"{uri} was replaced while it was read", remedy="find out what else writes to the bucket; read it again"
    )


def _range(client: "S3Client", bucket: str, key: str, start: int, etag: str | None) -> tuple[bytes, int, str]:
    """One range, the size of the whole, and its ETag."""
    doing = f"reading s3://{bucket}/{key}"
    asked: dict[str, Any] = {"Range": f"bytes={start}-{start + RANGE - 1}"}
    for attempt in range(1, _TRIES + 1):
        given: dict[str, Any] = asked | ({"IfMatch": etag} if etag is not None else {})
        with store_errors(doing):
            answer = client.get_object(Bucket=bucket, Key=key, **given)
        try:
            with answer["Body"] as body, store_errors(doing):
                content = body.read()
        except StoreUnreachable:
            if attempt == _TRIES:
                raise
            etag = answer["ETag"]
            continue
        size = int(str(answer.get("ContentRange", f"/{answer['ContentLength']}")).rpartition("/")[2])
        if len(content) == min(RANGE, size - start):
            return content, size, answer["ETag"]
        etag = answer["ETag"]
    raise StoreUnreachable(f"{doing}: it broke off {_TRIES} times", remedy="see that the store answers; run again")
