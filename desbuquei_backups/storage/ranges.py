"""Read an object in ranges, some ahead, in order; a range that breaks off is asked for again."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from desbuquei_backups.core.errors import IntegrityError, NotFound, StoreUnreachable
from desbuquei_backups.storage.s3_errors import NoSuchRange, Taken, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RANGE = 16 * 1024 * 1024  # a request costs its sender 2 ms of a processor: half of it with half as many
AHEAD = 3
_TRIES = 4


def read_ranges(client: "S3Client", bucket: str, key: str) -> Iterator[bytes]:
    """The bytes of an object, a range at a time; AHEAD + 1 of them are held, besides the one that was given last.

    NotFound if there is none; IntegrityError if it is replaced or deleted meanwhile; StoreUnreachable if a range breaks
    off again and again.
    """
    uri = f"s3://{bucket}/{key}"
    try:
        answer = _asked(client, bucket, key, 0, None)
    except NoSuchRange:  # of nothing, nothing
        return
    size = int(str(answer.get("ContentRange", f"/{answer['ContentLength']}")).rpartition("/")[2])
    # Its body comes while others are asked for already.
    first = {0: answer}

    def read(start: int) -> bytes:
        length = min(RANGE, size - start)
        return _range(client, bucket, key, start, length, answer["ETag"], first.pop(start, None))

    with ThreadPoolExecutor(AHEAD) as pool:
        waiting: deque[Future[bytes]] = deque()
        try:
            for start in range(0, size, RANGE):
                waiting.append(pool.submit(read, start))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except (Taken, NotFound):
            raise IntegrityError(
                f"{uri} was replaced or deleted while it was read",
                remedy="find out what else writes to the bucket; read it again",
            ) from None
        finally:
            for each in waiting:
                each.cancel()


def _asked(client: "S3Client", bucket: str, key: str, start: int, etag: str | None) -> Any:
    """The store's answer, whose body is yet to come; Taken if the object has another ETag by now."""
    given: Any = {"IfMatch": etag} if etag is not None else {}
    with store_errors(f"reading s3://{bucket}/{key}"):
        return client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{start + RANGE - 1}", **given)


def _range(client: "S3Client", bucket: str, key: str, start: int, length: int, etag: str, answer: Any) -> bytes:
    """One range, from the body of `answer` if that is there already, and else, or if it breaks off, from new ones."""
    doing = f"reading s3://{bucket}/{key}"
    for _ in range(_TRIES):
        answer = answer or _asked(client, bucket, key, start, etag)
        with suppress(StoreUnreachable), store_errors(doing), answer["Body"] as body:
            content: bytes = body.read()
            if len(content) == length:
                return content
        answer = None
    raise StoreUnreachable(f"{doing}: it broke off {_TRIES} times", remedy="see that the store answers; run again")
