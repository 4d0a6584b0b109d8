"""One byte more or less than what was hashed, and every later proof is about another file."""

import gzip
import hashlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.errors import DiskError, IntegrityError
from desbuquei_backups.storage.stream import checksums_of, read_file, read_gzip, write_gzip


def inflated(data: bytes, cut: int = 1 << 20) -> bytes:
    return b"".join(read_gzip((data[at : at + cut] for at in range(0, len(data), cut)), name="x.gz"))


@given(st.lists(st.binary(max_size=2000), max_size=8), st.integers(1, 999))
def test_what_goes_in_comes_out_and_the_sums_are_the_files(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "stream.gz"
    sums = write_gzip(chunks, path)
    written, plain = path.read_bytes(), b"".join(chunks)
    assert gzip.decompress(written) == plain
    assert inflated(written, cut) == plain
    assert (sums.size, sums.plain_size) == (len(written), len(plain))
    assert sums.md5 == hashlib.md5(written, usedforsecurity=False).hexdigest()
    assert sums.sha256 == hashlib.sha256(written).hexdigest()
    assert replace(checksums_of(path, plain_size=len(plain)), parts_sha256=None) == sums
    assert b"".join(read_file(path)) == written


def test_a_truncated_file_is_found_out_at_every_length() -> None:
    data = gzip.compress(b"rows " * 50)
    for length in range(len(data)):
        with pytest.raises(IntegrityError, match=r"cut off|damaged"):
            inflated(data[:length])


def test_a_flipped_bit_is_found_out_wherever_it_matters() -> None:
    data = gzip.compress(os.urandom(500), mtime=0)
    for at in range(10, len(data)):  # before that: time and operating system, which say nothing of the content
        with pytest.raises(IntegrityError) as caught:
            inflated(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert caught.value.remedy


@pytest.mark.parametrize("more", [b"\0", b"junk", gzip.compress(b"another", mtime=0)])
def test_foreign_bytes_after_the_end_are_refused(more: bytes) -> None:
    with pytest.raises(IntegrityError, match="foreign bytes"):
        inflated(gzip.compress(b"rows") + more)


def test_a_small_file_may_hold_much_and_is_never_held_whole() -> None:
    data = gzip.compress(b"\0" * 20_000_000)
    assert max(map(len, read_gzip([data], name="x.gz"))) <= 4 << 20


def test_an_error_of_the_dump_is_raised_and_no_thread_is_left(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise IntegrityError("no footer", remedy="run again")

    with pytest.raises(IntegrityError, match="no footer"):
        write_gzip(chunks(), tmp_path / "x.gz")
    assert "compress" not in {thread.name for thread in threading.enumerate()}


def test_a_full_disk_ends_the_pass_and_says_so(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DiskError, match="full") as caught:
            write_gzip((os.urandom(50_000) for _ in range(1000)), tmp_path / "x.gz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free space" in caught.value.remedy
    assert "compress" not in {thread.name for thread in threading.enumerate()}


def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="not there"):
        checksums_of(tmp_path / "gone", plain_size=0)


def test_a_disk_that_is_full_at_the_very_end_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    """A small dump is written at the flush alone: there the disk fills for most files."""
    script = (
        "import os, resource, sys; from pathlib import Path\n"
        "from desbuquei_backups.core.errors import DiskError\n"
        "from desbuquei_backups.storage.stream import write_gzip\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_gzip([os.urandom(30_000)], Path(sys.argv[1]))\n"
        "except DiskError as error: sys.exit(0 if 'full' in str(error) else 3)\n"
        "sys.exit(4)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "x.gz")], check=False, timeout=60)
    assert done.returncode == 0
