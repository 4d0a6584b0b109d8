"""How an object is cut into parts: the same way for the same size, so that S3's checksum of it is known beforehand."""

import base64
import hashlib
import math
from collections.abc import Iterator, Sequence

_PART = 8 * 1024 * 1024
_MOST_PARTS = 9_000  # S3 allows 10,000, of at most 5 GiB each
_MIB = 1024 * 1024


def part_size(size: int) -> int:
    """Bytes of each part, but the last, of an object of `size` bytes."""
    return max(_PART, math.ceil(size / _MOST_PARTS / _MIB) * _MIB)


def ranges(size: int) -> Iterator[tuple[int, int]]:
    """The first byte of each part and the one after its last; an empty object is one empty part."""
    step = part_size(size)
    return ((start, min(start + step, size)) for start in range(0, max(size, 1), step))


def checksum_of_parts(digests: Sequence[bytes]) -> str:
    """S3's own checksum of an object in parts: SHA-256 of their SHA-256s, in base64, and how many they are."""
    return f"{encoded(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"


def encoded(digest: bytes) -> str:
    """A digest as S3 writes it."""
    return base64.b64encode(digest).decode()


def differ(left: str | None, right: str | None) -> bool:
    """Whether two of S3's checksums differ; of one that is not told, or made otherwise, nothing can be said."""
    return left is not None and right is not None and ("-" in left) is ("-" in right) and left != right


class PartsHasher:
    """S3's checksum of an object of `size` bytes, from its bytes as they pass."""

    def __init__(self, size: int) -> None:
        self._step, self._left = part_size(size), part_size(size)
        self._digests: list[bytes] = []
        self._part = hashlib.sha256()

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while len(view) > self._left:
            self._part.update(view[: self._left])
            view = view[self._left :]
            self._next()
        self._part.update(view)
        self._left -= len(view)

    def checksum(self) -> str:
        return checksum_of_parts([*self._digests, self._part.digest()])

    def _next(self) -> None:
        self._digests.append(self._part.digest())
        self._part, self._left = hashlib.sha256(), self._step
