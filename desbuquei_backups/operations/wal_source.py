"""The WAL that a recovery reads: what there is of it, and the plain bytes of each file, from a folder or the bucket."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.recovery_windows import Point, Wal
from desbuquei_backups.core.wal import Histories, Segment, WalKind, kind_of, parse_history, parse_lsn
from desbuquei_backups.core.wal_points import RecoveryPoint, parse
from desbuquei_backups.storage.age import SUFFIX, decrypt
from desbuquei_backups.storage.age_keys import Identity
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.inside import no_identity
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.stream import OTHER_COPY, read_file, read_zstd

WAL_ARCHIVE = "wal_archive"
_PACKED = ".zst"
_POINTS = "points/"
_AT_ONCE = 4
_LOG = logging.getLogger(__name__)


class WalSource(Protocol):
    """Where WAL is read from."""

    def look(self, segment_size: int) -> Wal:
        """All that there is of one cluster's."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """The plain bytes of a segment or a history; IntegrityError, NotFound, IdentityError, StoreError, DiskError."""
        ...

    def where(self, name: str) -> str:
        """How a person finds that file."""
        ...


@dataclass(frozen=True, slots=True)
class WalFolder:
    """Plain segments in a folder, as an `archive_command` leaves them."""

    folder: Path

    def look(self, segment_size: int) -> Wal:
        written = {}
        with disk_errors(self.folder):
            for path in self.folder.iterdir() if self.folder.is_dir() else ():
                if kind_of(path.name) in (WalKind.SEGMENT, WalKind.HISTORY):
                    written[path.name] = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return _wal(self, written, (), segment_size)

    def read(self, name: str) -> Iterator[bytes]:
        return read_file(self.folder / name)

    def where(self, name: str) -> str:
        return str(self.folder / name)


@dataclass
class WalArchive:
    """The segments in the bucket, `wal/<system identifier>/<segment>.zst`, with `.age` behind it where encrypted."""

    bucket: Bucket
    system_identifier: str
    identity: Identity | None
    _keys: dict[str, str] = field(default_factory=dict)

    @property
    def _folder(self) -> str:
        return f"wal/{self.system_identifier}/"

    def look(self, segment_size: int) -> Wal:
        written, points = {}, []
        for key, at in self.bucket.dated_keys(self._folder):
            file = key.removeprefix(self._folder)
            name = file.removesuffix(SUFFIX).removesuffix(_PACKED)
            if file.startswith(_POINTS):
                points.append(key)
            elif kind_of(name) in (WalKind.SEGMENT, WalKind.HISTORY):
                written[name] = at
                # Of two copies, the one that nobody need decrypt.
                if name not in self._keys or not key.endswith(SUFFIX):
                    self._keys[name] = key
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            known = [point for point in pool.map(self._point, points) if point is not None]
        return _wal(self, written, [*known, *self._newest(written, segment_size)], segment_size)

    def read(self, name: str) -> Iterator[bytes]:
        key = self._keys.get(name, f"{self._folder}{name}{_PACKED}")
        content, said = self.bucket.fetch(key)
        chunks: Iterable[bytes] = [content]
        if key.endswith(SUFFIX):
            if self.identity is None:
                raise no_identity()
            chunks = decrypt(chunks, self.identity, name=self.bucket.uri(key))
        digest = hashlib.sha256()
        for piece in read_zstd(chunks, name=self.bucket.uri(key)):
            digest.update(piece)
            yield piece
        wanted = said.get("plain-sha256")
        if wanted is not None and digest.hexdigest() != wanted:
            raise IntegrityError(
                f"{self.bucket.uri(key)} is not what was archived: the SHA-256 of its content is {digest.hexdigest()}, "
                f"not {wanted}",
                remedy=OTHER_COPY,
            )

    def where(self, name: str) -> str:
        return self.bucket.uri(self._keys.get(name, f"{self._folder}{name}{_PACKED}"))

    def _point(self, key: str) -> Point | None:
        """A restore point; None, which is said, if it cannot be read: it would only have made things easier."""
        try:
            found = parse(RecoveryPoint, self.bucket.fetch(key)[0], where=self.bucket.uri(key))
        except (IntegrityError, NotFound) as error:
            _LOG.warning("%s", error.what)
            return None
        lsn, end = parse_lsn(found.lsn), parse_lsn(found.end)
        return Point(found.timeline, lsn, found.at, found.name, end, found.heartbeat)

    def _newest(self, written: Iterable[str], size: int) -> Iterator[Point]:
        """The moment up to which the newest segment is known to hold everything."""
        name = max((name for name in written if kind_of(name) is WalKind.SEGMENT), default=None)
        there = self.bucket.head(self._keys[name]) if name is not None else None
        if name is None or there is None or (at := there.metadata.get("current-at")) is None:
            return
        segment = Segment.of_name(name, size)
        yield Point(segment.timeline, segment.end, datetime.fromisoformat(at).astimezone(UTC))


def _wal(source: WalSource, written: dict[str, datetime], points: Iterable[Point], segment_size: int) -> Wal:
    """With the histories, which are small, read."""
    histories = {
        int(name[:8], 16): parse_history(b"".join(source.read(name)), name=source.where(name))
        for name in written
        if kind_of(name) is WalKind.HISTORY
    }
    segments = frozenset(name for name in written if _is_segment(name, segment_size))
    return Wal(segments, Histories(histories), tuple(points), segment_size, written)


def _is_segment(name: str, size: int) -> bool:
    try:
        Segment.of_name(name, size)
    except ValueError:
        return False
    return True
