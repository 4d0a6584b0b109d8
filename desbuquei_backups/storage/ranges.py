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
_PIECE = 1024 * 1024
_TRIES = 4


def read_ranges(client: "S3Client", bucket: str, key: str) -> Iterator[bytes]:
    """The bytes of an object, by pieces; AHEAD + 1 ranges of it are held, in buffers that are used again and again.

    NotFound if there is none; IntegrityError if it is replaced or deleted meanwhile; StoreUnreachable if a range breaks
    off again and again.
    """
    uri = f"s3://{bucket}/{key}"
    try:
        answer = _asked(client, bucket, key, 0, None)
    except NoSuchRange:  # of nothing, nothing
        return
    size = int(str(answer.get("ContentRange", f"/{answer['ContentLength']}")).rpartition("/")[2])
    first = {0: answer}  # its body comes while others are asked for already

    def read(start: int, buffer: bytearray) -> memoryview:
        into = memoryview(buffer)[: min(RANGE, size - start)]
        _read(client, bucket, key, start, into, answer["ETag"], first.pop(start, None))
        return into

    with ThreadPoolExecutor(AHEAD) as pool:
        waiting: deque[Future[memoryview]] = deque()
        spare: list[bytearray] = []
        try:
            for start in range(0, size, RANGE):
                buffer = spare.pop() if spare else bytearray(min(RANGE, size))
                waiting.append(pool.submit(read, start, buffer))
                if len(waiting) > AHEAD:
                    yield from _pieces(waiting.popleft().result(), spare)
            while waiting:
                yield from _pieces(waiting.popleft().result(), spare)
        except (Taken, NotFound):
            raise IntegrityError(
                f"{uri} was replaced or deleted while it was read",
                remedy="find out what else writes to the bucket; read it again",
            ) from None
        finally:
            for each in waiting:
                each.cancel()


def _pieces(filled: memoryview, spare: list[bytearray]) -> Iterator[bytes]:
    """Copies of what was read, for whoever takes them may keep them; then the buffer is free for another range."""
    for at in range(0, len(filled), _PIECE):
        yield bytes(filled[at : at + _PIECE])
    buffer = filled.obj
    assert isinstance(buffer, bytearray)
    spare.append(buffer)


def _asked(client: "S3Client", bucket: str, key: str, start: int, etag: str | None) -> Any:
    """The store's answer, whose body is yet to come; Taken if the object has another ETag by now."""
    given: Any = {"IfMatch": etag} if etag is not None else {}
    with store_errors(f"reading s3://{bucket}/{key}"):
        return client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{start + RANGE - 1}", **given)


def _read(client: "S3Client", bucket: str, key: str, start: int, into: memoryview, etag: str, answer: Any) -> None:
    """Fill `into` from the body of `answer` if that is there already, and else, or if it breaks off, from new ones."""
    doing = f"reading s3://{bucket}/{key}"
    for _ in range(_TRIES):
        answer = answer or _asked(client, bucket, key, start, etag)
        with suppress(StoreUnreachable), store_errors(doing), answer["Body"] as body:
            at = 0
            while piece := body.read(min(_PIECE, len(into) - at)):
                into[at : at + len(piece)] = piece
                at += len(piece)
            if at == len(into) and not body.read(1):  # a store that knows no ranges sends more
                return
        answer = None
    raise StoreUnreachable(f"{doing}: it broke off {_TRIES} times", remedy="see that the store answers; run again")
