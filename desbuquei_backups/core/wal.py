"""Write-ahead log by its names: positions, segments, timelines, and whether a range of it has no gap.

A segment's name is timeline, log and segment, eight hexadecimal digits each:
https://www.postgresql.org/docs/17/wal-internals.html; a timeline's history file says where it left the one before:
https://www.postgresql.org/docs/17/continuous-archiving.html#BACKUP-TIMELINES.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from desbuquei_backups.core.errors import IntegrityError

DEFAULT_SEGMENT_SIZE = 16 * 1024 * 1024
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_LABEL = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")


class WalKind(StrEnum):
    """What a file of the WAL archive is."""

    SEGMENT = "segment"
    HISTORY = "timeline history"
    LABEL = "backup label"


def kind_of(name: str) -> WalKind | None:
    """What a file of that name is; None: nothing that PostgreSQL archives, as one that is still being received."""
    for kind, pattern in ((WalKind.SEGMENT, _SEGMENT), (WalKind.HISTORY, _HISTORY), (WalKind.LABEL, _LABEL)):
        if pattern.fullmatch(name):
            return kind
    return None


def parse_lsn(text: str) -> int:
    """A position in the WAL, as a number of bytes, from `16/B374D848`; ValueError if it is none."""
    match = _LSN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a WAL position: write it like 16/B374D848")
    return int(match[1], 16) << 32 | int(match[2], 16)


def show_lsn(position: int) -> str:
    """`16/B374D848`."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One segment: its timeline and its number on it; `size` is bytes."""

    timeline: int
    number: int
    size: int = DEFAULT_SEGMENT_SIZE

    @property
    def name(self) -> str:
        each = 0x100000000 // self.size
        return f"{self.timeline:08X}{self.number // each:08X}{self.number % each:08X}"

    @property
    def start(self) -> int:
        """The position of its first byte."""
        return self.number * self.size

    @property
    def end(self) -> int:
        """The position after its last byte."""
        return self.start + self.size

    @classmethod
    def of_name(cls, name: str, size: int = DEFAULT_SEGMENT_SIZE) -> "Segment":
        """The segment of that name; ValueError if it is none, of that size."""
        each = 0x100000000 // size
        if not _SEGMENT.fullmatch(name) or int(name[16:], 16) >= each:
            raise ValueError(f"{name!r} is not the name of a WAL segment of {size:,} bytes")
        return cls(int(name[:8], 16), int(name[8:16], 16) * each + int(name[16:], 16), size)

    @classmethod
    def holding(cls, timeline: int, position: int, size: int = DEFAULT_SEGMENT_SIZE) -> "Segment":
        """The segment that has the byte at `position`."""
        return cls(timeline, position // size, size)


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a timeline left another one: at that position of `timeline`."""

    timeline: int
    at: int


def parse_history(content: bytes, *, name: str) -> tuple[Branch, ...]:
    """The ancestors of a timeline, the oldest first, by its history file; IntegrityError if it cannot be read."""
    branches = []
    for line in content.decode(errors="replace").splitlines():
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        try:
            timeline, position, *_ = text.split(maxsplit=2)
            branches.append(Branch(int(timeline), parse_lsn(position)))
        except ValueError:
            raise IntegrityError(
                f"the timeline history {name} cannot be read: {text!r:.60}",
                remedy="take the copy that is in the other place (S3 or the server's pg_wal)",
            ) from None
    if [branch.timeline for branch in branches] != sorted({branch.timeline for branch in branches}):
        raise IntegrityError(
            f"the timeline history {name} is out of order", remedy="take the copy that is in the other place"
        )
    return tuple(branches)


def history_name(timeline: int) -> str:
    return f"{timeline:08X}.history"


@dataclass(frozen=True, slots=True)
class Histories:
    """The ancestors of each timeline that has a history; the first timeline has none."""

    of: Mapping[int, Sequence[Branch]]

    def knows(self, timeline: int) -> bool:
        return timeline == 1 or timeline in self.of

    def path(self, timeline: int) -> Iterator[tuple[int, int, int | None]]:
        """The way to `timeline`: timelines with the positions from which, and before which, they are followed."""
        start = 0
        for branch in self.of.get(timeline, ()):
            yield branch.timeline, start, branch.at
            start = branch.at
        yield timeline, start, None

    def holds(self, timeline: int, ancestor: int, position: int) -> bool:
        """Whether `position` of `ancestor` is on the way to `timeline`."""
        return any(
            each == ancestor and start <= position and (end is None or position <= end)
            for each, start, end in self.path(timeline)
        )


def needed(
    timeline: int, start: int, stop: int, histories: Histories, size: int = DEFAULT_SEGMENT_SIZE
) -> list[Segment]:
    """The segments with the bytes from `start` up to `stop`, on the way to `timeline`, in order.

    The segment in which a timeline begins is the new timeline's: PostgreSQL copies into it what was there before, and
    of the old timeline it was perhaps never finished.
    """
    found = []
    firsts = [(each, first // size) for each, first, _ in histories.path(timeline)]
    ends = [*(number for _, number in firsts[1:]), -(-stop // size)]
    for (each, first), end in zip(firsts, ends, strict=True):
        numbers = range(max(start // size, first), min(end, -(-stop // size)))
        found += [Segment(each, number, size) for number in numbers]
    return found


@dataclass(frozen=True, slots=True)
class Gap:
    """Segments that are not there, the first and the last of a run."""

    first: Segment
    last: Segment

    def said(self) -> str:
        count = self.last.number - self.first.number + 1
        run = self.first.name if count == 1 else f"{self.first.name} to {self.last.name}, {count:,} segments"
        return f"{run} ({show_lsn(self.first.start)} to {show_lsn(self.last.end)})"


def gaps(wanted: Sequence[Segment], there: Collection[str]) -> list[Gap]:
    """The runs of `wanted` segments whose names are not among `there`."""
    found: list[Gap] = []
    for segment in wanted:
        if segment.name in there:
            continue
        last = found[-1].last if found else None
        if last is not None and (last.timeline, last.number + 1) == (segment.timeline, segment.number):
            found[-1] = Gap(found[-1].first, segment)
        else:
            found.append(Gap(segment, segment))
    return found


def next_number(timeline: int, there: Collection[str], histories: Histories, size: int) -> int | None:
    """The number of the segment after the last one that is there, on the way to `timeline`; None if none is."""
    ways = [(each, first // size) for each, first, _ in histories.path(timeline)]
    ends = [*(first for _, first in ways[1:]), None]
    of = {each: (first, end) for (each, first), end in zip(ways, ends, strict=True)}
    found = -1
    for name in there:
        if kind_of(name) is WalKind.SEGMENT and int(name[:8], 16) in of:
            segment = Segment.of_name(name, size)
            first, end = of[segment.timeline]
            if first <= segment.number and (end is None or segment.number < end):
                found = max(found, segment.number)
    return found + 1 if found >= 0 else None
