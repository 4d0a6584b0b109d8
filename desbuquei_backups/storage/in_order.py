"""Read many small objects, several at once, and hand them on in order; no more than a few are held."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from desbuquei_backups.core.errors import NotFound
from desbuquei_backups.storage.s3 import Bucket

_AT_ONCE = 6
_AHEAD = 24


def read_in_order(
    bucket: Bucket, keys: Iterable[str], progress: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[str, bytes]]:
    """Each key with its bytes; what is not there (any more) is left out. StoreError. `progress`: one for each key."""

    def read(key: str) -> bytes | None:
        try:
            return b"".join(bucket.read(key))
        except NotFound:
            return None

    left = iter(keys)
    waiting: deque[tuple[str, Future[bytes | None]]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            while True:
                waiting.extend((key, pool.submit(read, key)) for key in islice(left, _AHEAD - len(waiting)))
                if not waiting:
                    return
                key, future = waiting.popleft()
                content = future.result()
                progress(1)
                if content is not None:
                    yield key, content
        finally:
            for _, future in waiting:
                future.cancel()
