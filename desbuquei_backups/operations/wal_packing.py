"""One file of WAL on its way to S3: looked at, compressed, encrypted if so set, and hashed, in one pass."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from zstandard import ZstdCompressor

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.wal import WalKind, kind_of, parse_history
from desbuquei_backups.core.wal_pages import PageWatcher
from desbuquei_backups.storage import age
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.stream import read_file

SUFFIX = ".zst"
_IN_MEMORY = 32 * 1024 * 1024
_MOST_TEXT = 1024 * 1024  # a history or a label is a few hundred bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """What is to be stored of a file: `content`, of `size` bytes, is to be closed. `plain_…` is of the file itself."""

    suffix: str
    content: IO[bytes]
    size: int
    sha256: bytes
    plain_size: int
    plain_sha256: str


class NotWhole(IntegrityError):
    """A file of the spool that is not what its name says."""


def pack(path: Path, system_identifier: str, recipients: Sequence[str]) -> Packed:
    """Read the file once. NotWhole if it is not the segment, history or label that it is called; DiskError.

    Histories and labels hold positions and no data: they are not encrypted, so that who has no key can still tell what
    is there.
    """
    # A promoted server archives the last segment of the timeline that it left as NAME.partial.
    segment = kind_of(path.name.removesuffix(".partial")) is WalKind.SEGMENT
    reading = _Reading(path, system_identifier if segment else None)
    content = cast("IO[bytes]", tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(path.parent)))  # noqa: SIM115
    digest, size = hashlib.sha256(), 0

    def write(data: bytes) -> None:
        nonlocal size
        content.write(data)
        digest.update(data)
        size += len(data)

    try:
        with disk_errors(path.parent):
            if segment and recipients:
                age.encrypt(reading.compressed(), recipients, write)
            else:
                for piece in reading.compressed():
                    write(piece)
            content.seek(0)
    except BaseException:
        content.close()
        raise
    suffix = SUFFIX + (age.SUFFIX if segment and recipients else "")
    return Packed(suffix, content, size, digest.digest(), reading.size, reading.sha256.hexdigest())


class _Reading:
    """A file as it is read: hashed, and looked at if it is a segment of that cluster."""

    def __init__(self, path: Path, system_identifier: str | None) -> None:
        self._path = path
        self._pages = (
            PageWatcher(path.name.removesuffix(".partial"), system_identifier)
            if system_identifier is not None
            else None
        )
        self.sha256, self.size = hashlib.sha256(), 0

    def compressed(self) -> Iterator[bytes]:
        compressor = ZstdCompressor(level=1, write_checksum=True).compressobj()
        for chunk in self._chunks():
            if data := compressor.compress(chunk):
                yield data
        yield compressor.flush()

    def _chunks(self) -> Iterator[bytes]:
        text = b""
        for chunk in read_file(self._path):
            self.sha256.update(chunk)
            self.size += len(chunk)
            if self._pages is not None:
                self._pages.feed(chunk)
                self._refuse(self._pages.fault)
            else:
                text += chunk
                self._refuse("it is too long" if len(text) > _MOST_TEXT else None)
            yield chunk
        if self._pages is not None:
            self._pages.finish()
            self._refuse(self._pages.fault)
        elif not text.strip():
            self._refuse("it is empty")
        elif kind_of(self._path.name) is WalKind.HISTORY:
            try:
                parse_history(text, name=self._path.name)
            except IntegrityError as error:
                self._refuse(error.what)

    def _refuse(self, fault: str | None) -> None:
        if fault is not None:
            raise _not_whole(self._path, fault)


def _not_whole(path: Path, fault: str) -> NotWhole:
    return NotWhole(
        f"{path.name} is not the WAL that it is called: {fault}",
        remedy="it was set aside in the folder rejected beside it, nothing was deleted. If the server still has it in "
        "pg_wal, it comes again; else `desbuquei wal status` names the gap, and a new base backup ends it",
    )
