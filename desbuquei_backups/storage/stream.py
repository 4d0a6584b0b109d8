"""The one pass: compress, encrypt, hash and write bytes as they come, and read them back the same way."""

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Protocol, cast

from isal import isal_zlib
from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.storage import age
from desbuquei_backups.storage.disk import disk_errors, write_all
from desbuquei_backups.storage.parts import PartsHasher

CHUNK = 1024 * 1024
_ZLIB_ERROR: type[Exception] = cast("type[Exception]", isal_zlib.error)  # its stubs do not say so
OTHER_COPY = "use the copy in the other place (disk or S3); `desbuquei verify` says which one is whole"
_PIECE = 16 * 1024
_AHEAD = 8  # chunks between the reader and the compressor: enough to keep both busy, little to hold


@dataclass(frozen=True, slots=True)
class Checksums:
    """What a file's bytes are: their number and digests. `plain_size` is the bytes before compression.

    `parts_sha256`: see core.manifest.FileFacts; None if it was not computed. `decrypted`: of the bytes before
    encryption; None if they are not encrypted, or were not looked into.
    """

    size: int
    plain_size: int
    md5: str
    sha256: str
    parts_sha256: str | None = None
    decrypted: "Checksums | None" = None


class Hasher:
    """Number, MD5 and SHA-256 of bytes as they pass."""

    def __init__(self) -> None:
        self._md5, self._sha256, self._size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0

    def update(self, data: bytes) -> None:
        self._md5.update(data)
        self._sha256.update(data)
        self._size += len(data)

    def checksums(self, *, plain_size: int) -> Checksums:
        return Checksums(self._size, plain_size, self._md5.hexdigest(), self._sha256.hexdigest())


def write_gzip(chunks: Iterable[bytes], path: Path, recipients: Sequence[str] = ()) -> Checksums:
    """Write `chunks` to `path` as gzip (ISA-L, level 1), hashing what is written; fsynced when it returns.

    With `recipients` it is encrypted to all of them on its way: nothing of it is on disk in the clear. The compressor
    runs in a thread of its own beside whoever makes the chunks. An error from the chunks, or DiskError from the disk,
    leaves what was written for the caller to remove.
    """
    return _write(chunks, path, isal_zlib.compressobj(1, wbits=31), recipients)


def write_zstd(chunks: Iterable[bytes], path: Path, recipients: Sequence[str] = ()) -> Checksums:
    """As `write_gzip`, as zstd (level 1), on two cores: for what is read by PostgreSQL's programs or by us alone."""
    return _write(chunks, path, ZstdCompressor(level=1, threads=2, write_checksum=True).compressobj(), recipients)


def write_plain(chunks: Iterable[bytes], path: Path, recipients: Sequence[str] = ()) -> Checksums:
    """As `write_gzip`, uncompressed."""
    return _write(chunks, path, _Uncompressed(), recipients)


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Uncompressed:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _write(chunks: Iterable[bytes], path: Path, compressor: _Compressor, recipients: Sequence[str]) -> Checksums:
    waiting: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
    sink = _Sink(path, waiting, compressor, recipients)
    worker = threading.Thread(target=sink.run, name="compress", daemon=True)
    worker.start()
    try:
        for chunk in chunks:
            if sink.failure is not None:
                break
            waiting.put(chunk)
    finally:
        waiting.put(None)
        worker.join()
        if isinstance(chunks, Generator):
            chunks.close()  # at once: whoever makes the chunks may hold a program, and its locks on the source
    if sink.failure is not None:
        raise sink.failure
    return sink.checksums()


class _Sink:
    """Takes chunks from a queue until None. After a failure it goes on emptying the queue, so nobody waits for ever."""

    def __init__(
        self, path: Path, waiting: "queue.Queue[bytes | None]", compressor: _Compressor, recipients: Sequence[str]
    ) -> None:
        self.path, self._waiting, self._compressor, self._recipients = path, waiting, compressor, recipients
        self._hasher, self._compressed, self._plain_size = Hasher(), Hasher(), 0
        self._ended = False
        self.failure: BaseException | None = None

    def checksums(self) -> Checksums:
        found = self._hasher.checksums(plain_size=self._plain_size)
        if not self._recipients:
            return found
        return replace(found, decrypted=self._compressed.checksums(plain_size=self._plain_size))

    def run(self) -> None:
        try:
            with disk_errors(self.path), self.path.open("wb", buffering=0) as file:
                self._run(file)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self.failure = error
            for _ in self._chunks():
                pass

    def _chunks(self) -> Iterator[bytes]:
        """What is in the queue until its end; nothing once the end was seen."""
        while not self._ended:
            chunk = self._waiting.get()
            self._ended = chunk is None
            if chunk is not None:
                yield chunk

    def _run(self, file: FileIO) -> None:
        if self._recipients:
            age.encrypt(self._hashed(self._packed()), self._recipients, lambda data: self._write(file, data))
        else:
            for data in self._packed():
                self._write(file, data)
        os.fsync(file.fileno())

    def _packed(self) -> Iterator[bytes]:
        for chunk in self._chunks():
            self._plain_size += len(chunk)
            if data := self._compressor.compress(chunk):
                yield data
        yield self._compressor.flush()

    def _hashed(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._compressed.update(piece)
            yield piece

    def _write(self, file: FileIO, data: bytes) -> None:
        write_all(file, data)
        self._hasher.update(data)


def checksums_of(path: Path, *, plain_size: int, progress: Callable[[int], None] = lambda _: None) -> Checksums:
    """Read `path` back from disk and hash it; `plain_size` is taken over as given."""
    hasher = Hasher()
    with disk_errors(path), path.open("rb", buffering=0) as file:
        parts = PartsHasher(os.fstat(file.fileno()).st_size)
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
            parts.update(chunk)
            progress(len(chunk))
    return replace(hasher.checksums(plain_size=plain_size), parts_sha256=parts.checksum())


def read_gzip(chunks: Iterable[bytes], *, name: str) -> Iterator[bytes]:
    """The plain bytes of one gzip member given by `chunks`; IntegrityError if it is cut off, damaged or followed."""
    inflater = isal_zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            # At most 4 MiB at a time: a megabyte of gzip may hold a thousand.
            while plain := inflater.decompress(chunk, 4 * CHUNK):
                yield plain
                chunk = inflater.unconsumed_tail
    except _ZLIB_ERROR as error:
        raise IntegrityError(f"{name} is damaged: {error}", remedy=OTHER_COPY) from None
    if not inflater.eof or inflater.unused_data:
        raise IntegrityError(
            f"{name} is {'followed by foreign bytes' if inflater.eof else 'cut off'}", remedy=OTHER_COPY
        )


def read_zstd(chunks: Iterable[bytes], *, name: str) -> Iterator[bytes]:
    """The plain bytes of one zstd frame given by `chunks`; IntegrityError if it is cut off, damaged or followed."""
    inflater = ZstdDecompressor().decompressobj()
    followed = False
    try:
        for piece in _pieces(chunks):
            if inflater.eof:
                followed = followed or bool(piece)
            elif plain := inflater.decompress(piece):
                yield plain
    except ZstdError as error:
        raise IntegrityError(f"{name} is damaged: {error}", remedy=OTHER_COPY) from None
    if not inflater.eof or inflater.unused_data or followed:
        raise IntegrityError(
            f"{name} is {'followed by foreign bytes' if inflater.eof else 'cut off'}", remedy=OTHER_COPY
        )


def _pieces(chunks: Iterable[bytes]) -> "Iterator[memoryview[int]]":
    """Small ones: of a megabyte of zstd, a gigabyte may come at once."""
    for chunk in chunks:
        view = memoryview(chunk)
        for start in range(0, len(view), _PIECE):
            yield view[start : start + _PIECE]


def read_file(path: Path) -> Iterator[bytes]:
    """The bytes of a file, by chunks."""
    with disk_errors(path), path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            yield chunk
