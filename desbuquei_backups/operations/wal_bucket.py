"""The WAL in the bucket, `wal/<system identifier>/`: what there is, by one listing, and each file of it, checked."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.recovery import Point, Wal
from desbuquei_backups.core.slots import slot_of
from desbuquei_backups.core.wal import (
    DEFAULT_SEGMENT_SIZE,
    Histories,
    Segment,
    WalKind,
    kind_of,
    parse_history,
    parse_lsn,
)
from desbuquei_backups.core.wal_points import DeclaredGap, RecoveryPoint, parse
from desbuquei_backups.operations.wal_packing import SUFFIX
from desbuquei_backups.storage import age
from desbuquei_backups.storage.age_keys import Identity
from desbuquei_backups.storage.inside import no_identity
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.stored import StoredObject
from desbuquei_backups.storage.stream import OTHER_COPY, read_zstd

ROOT = "wal/"
PLAIN_SHA256, PLAIN_SIZE, CURRENT_AT = "plain-sha256", "plain-size", "current-at"
_POINTS, _GAPS, _JSON = "points/", "gaps/", ".json"
_NEWEST = 16  # segments whose moments are asked for: a streamer leaves no points between
_AT_ONCE = 8
_T = TypeVar("_T")
_R = TypeVar("_R")


def folder_of(system_identifier: str) -> str:
    return f"{ROOT}{system_identifier}/"


def point_key(system_identifier: str, name: str) -> str:
    return f"{folder_of(system_identifier)}{_POINTS}{name}{_JSON}"


def gap_key(gap: DeclaredGap) -> str:
    return f"{folder_of(gap.system_identifier)}{_GAPS}{gap.name}{_JSON}"


@dataclass(slots=True)
class Listed:
    """The names of one cluster's WAL in the bucket, each with its object's suffix; and of what stands beside it.

    `sizes`: of the objects, in bytes.
    """

    system_identifier: str
    files: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    points: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def key(self, name: str) -> str:
        """The key of the file of that name; NotFound if there is none."""
        if name not in self.files:
            raise NotFound(f"there is no {name} in S3", remedy="`desbuquei wal status` names the gaps")
        return f"{folder_of(self.system_identifier)}{name}{self.files[name]}"

    @property
    def documents(self) -> list[str]:
        """The keys of the recovery points, and of the gaps that were declared."""
        folder = folder_of(self.system_identifier)
        points = [f"{folder}{_POINTS}{name}{_JSON}" for name in self.points]
        return points + [f"{folder}{_GAPS}{name}{_JSON}" for name in self.gaps]

    def of_kind(self, kind: WalKind) -> list[str]:
        return sorted(name for name in self.files if kind_of(name) is kind)


def listed(bucket: Bucket, system_identifier: str, *, after: str = "") -> Listed:
    """One listing; `after`: only what comes after that name."""
    found = Listed(system_identifier)
    folder = folder_of(system_identifier)
    for entry in bucket.entries(folder, after=after):
        name = entry.key.removeprefix(folder)
        if name.startswith(_POINTS):
            found.points.append(name.removeprefix(_POINTS).removesuffix(_JSON))
        elif name.startswith(_GAPS):
            found.gaps.append(name.removeprefix(_GAPS).removesuffix(_JSON))
        else:
            base, dot, rest = name.partition(SUFFIX)
            if dot and kind_of(base) is not None and rest in ("", age.SUFFIX):
                found.files[base], found.sizes[base] = SUFFIX + rest, entry.size
    return found


def clusters(bucket: Bucket) -> list[str]:
    """The system identifiers of all clusters whose WAL is in the bucket."""
    found: list[str] = []
    while True:
        # Past everything of the one found last: its digits are followed by a slash, and ':' comes after all of them.
        key = next(bucket.keys(ROOT, after=f"{found[-1]}0" if found else ""), None)
        if key is None:
            return found
        found.append(key.removeprefix(ROOT).partition("/")[0])


def read_wal(
    bucket: Bucket,
    there: Listed,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    name: str | None = None,
) -> Wal:
    """The WAL of a cluster, of what was `listed` in the bucket; histories are read.

    Points are those whose names say a due time from `since` to `until` (aware UTC), or that bear `name`, and the newest
    segments, as far as it is known when their ends were current. IntegrityError if one cannot be read.
    """
    histories = {}
    for each, content in _each(lambda name: fetch(bucket, there, name), there.of_kind(WalKind.HISTORY)):
        histories[int(each[:8], 16)] = parse_history(content, name=each)
    wanted = [each for each in there.points if each == name or _within(each, since, until)]
    named = [point for _, point in _each(lambda each: read_point(bucket, there.system_identifier, each), wanted)]
    segments = there.of_kind(WalKind.SEGMENT)
    ends = [
        (each, found) for each, found in _each(lambda each: bucket.head(there.key(each)), segments[-_NEWEST:]) if found
    ]
    size = next((size for _, found in ends if (size := _size_of(found))), DEFAULT_SEGMENT_SIZE)
    points = [Point(each.timeline, parse_lsn(each.lsn), each.at, each.name) for each in named]
    points += [Point(each.timeline, parse_lsn(each.end), each.at) for each in named]
    for each, found in ends:
        if (at := current_at_of(found)) is not None:
            segment = Segment.of_name(each, size)
            points.append(Point(segment.timeline, segment.end, at))
    points.sort(key=lambda point: (point.position, point.at))
    return Wal(frozenset(segments), Histories(histories), points, size)


def segment_size(bucket: Bucket, there: Listed) -> int:
    """Bytes of each segment of that cluster, by the newest one."""
    newest = there.of_kind(WalKind.SEGMENT)[-1:]
    found = bucket.head(there.key(newest[0])) if newest else None
    return (_size_of(found) if found is not None else None) or DEFAULT_SEGMENT_SIZE


def current_at_of(stored: StoredObject) -> datetime | None:
    """When a segment's end was current, as it was stored with it; None if nobody knew."""
    try:
        return datetime.fromisoformat(stored.metadata[CURRENT_AT])
    except (KeyError, ValueError):
        return None


def fetch(bucket: Bucket, there: Listed, name: str, identity: Identity | None = None) -> bytes:
    """The plain bytes of one small file; see `fetch_segment`."""
    return b"".join(fetch_segment(bucket, there, name, identity))


def fetch_segment(bucket: Bucket, there: Listed, name: str, identity: Identity | None) -> Iterator[bytes]:
    """The plain bytes of one file, by chunks. Whoever writes them away must wait for the end to believe them.

    NotFound if it is not there; IdentityError if it is encrypted and `identity` does not open it; IntegrityError, at
    the latest at the end, if it is not what was archived.
    """
    key = there.key(name)
    stored = bucket.head(key)
    if stored is None:
        raise NotFound(f"{bucket.uri(key)} is not there", remedy="`desbuquei wal status` names the gaps")
    chunks = bucket.read(key)
    if key.endswith(age.SUFFIX):
        if identity is None:
            raise no_identity()
        chunks = age.decrypt(chunks, identity, name=name)
    digest, size = hashlib.sha256(), 0
    for chunk in read_zstd(chunks, name=name):
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    wanted = stored.metadata.get(PLAIN_SHA256)
    if digest.hexdigest() != wanted:
        raise IntegrityError(
            f"{bucket.uri(key)} is not what was archived: its plain SHA-256 is {digest.hexdigest()}, not {wanted}",
            remedy=OTHER_COPY,
        )


def read_point(bucket: Bucket, system_identifier: str, name: str) -> RecoveryPoint:
    """The recovery point of that name; NotFound if there is none, IntegrityError if it cannot be read."""
    key = point_key(system_identifier, name)
    return parse(RecoveryPoint, b"".join(bucket.read(key)), where=bucket.uri(key))


def read_gaps(bucket: Bucket, system_identifier: str) -> list[DeclaredGap]:
    """The gaps that were declared, in the order of their names."""
    keys = bucket.keys(f"{folder_of(system_identifier)}{_GAPS}")
    return [parse(DeclaredGap, b"".join(bucket.read(key)), where=bucket.uri(key)) for key in keys]


def _within(name: str, since: datetime | None, until: datetime | None) -> bool:
    """Whether a point's name says a due time within; of one that says none, nothing can be told: it is."""
    slot = slot_of(name)
    return slot is None or ((since is None or slot.due >= since) and (until is None or slot.due <= until))


def _size_of(stored: StoredObject) -> int | None:
    told = stored.metadata.get(PLAIN_SIZE, "")
    return int(told) if told.isdecimal() else None


def _each(do: Callable[[_T], _R], wanted: Sequence[_T]) -> list[tuple[_T, _R]]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(zip(wanted, pool.map(do, wanted), strict=True))
