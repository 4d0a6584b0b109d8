"""The checksum that S3 will compute, known beforehand: without it, nothing but reading finds an altered object."""

import base64
import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.storage import parts
from desbuquei_backups.storage.parts import PartsHasher, differ, part_size, ranges

MIB = 1024 * 1024
GIB = 1024 * MIB


@given(st.integers(0, 5_000 * GIB))
def test_every_size_is_cut_into_parts_that_s3_takes(size: int) -> None:
    step = part_size(size)
    assert 5 * MIB <= step <= 5 * GIB
    assert max(1, -(-size // step)) <= 10_000


@given(st.integers(0, 40 * MIB))
def test_the_parts_are_the_whole(size: int) -> None:
    cut = list(ranges(size))
    assert cut[0][0] == 0
    assert cut[-1][1] == size
    assert all(left[1] == right[0] for left, right in pairwise(cut))


@given(st.binary(max_size=200), st.integers(1, 64), st.integers(1, 70))
def test_however_the_bytes_come_the_checksum_is_that_of_the_parts(data: bytes, step: int, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "part_size", lambda size: step)
        hasher = PartsHasher(len(data))
        for start in range(0, len(data), chunk):
            hasher.update(data[start : start + chunk])
        cut = [data[start:end] for start, end in ranges(len(data))]
    digests = b"".join(hashlib.sha256(part).digest() for part in cut)
    assert hasher.checksum() == f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(cut)}"


@pytest.mark.parametrize(
    ("left", "right", "apart"),
    [("a", "a", False), ("a", "b", True), ("a-2", "b-2", True), ("a", "b-1", False), (None, "b", False)],
)
def test_only_checksums_of_one_kind_are_compared(left: str | None, right: str | None, apart: bool) -> None:
    assert differ(left, right) is apart
