"""What can be reached: each base backup, and from where on and up to where there is WAL after it without a gap."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from desbuquei_backups.core.wal import DEFAULT_SEGMENT_SIZE, Gap, Histories, Segment, gaps, needed, show_lsn


@dataclass(frozen=True, slots=True)
class Base:
    """A physical base backup: full, or an increment against `parent`. It holds the WAL from `start` to `stop` itself.

    From `stop` on, a position on `timeline`, it is consistent; at `stopped_at` (aware UTC) that was over. `size` is
    bytes of the cluster that it restores, `stored` those of its archive.
    """

    backup_id: str
    timeline: int
    start: int
    stop: int
    stopped_at: datetime
    size: int
    stored: int
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A position, and a moment (aware UTC) by which nothing was committed beyond it; `name`: of a restore point.

    Up to `end` there is WAL that holds something later than the moment; None: not known. `heartbeat`: the row of a
    restore point, by its name, is committed between the two.
    """

    timeline: int
    position: int
    at: datetime
    name: str | None = None
    end: int | None = None
    heartbeat: bool = False


@dataclass(frozen=True)
class Wal:
    """The WAL there is beside the bases: whole segments by name, timelines' histories, positions of known moments.

    `written`: of segments, the moment (aware UTC) by which each was written: no commit in it is later.
    """

    segments: frozenset[str]
    histories: Histories
    points: Sequence[Point] = ()
    segment_size: int = DEFAULT_SEGMENT_SIZE
    written: Mapping[str, datetime] = field(default_factory=dict)

    @cached_property
    def in_order(self) -> Sequence[Segment]:
        return sorted(Segment.of_name(name, self.segment_size) for name in self.segments)

    def on_the_way(self, timeline: int) -> list[Point]:
        """The points on the way to a timeline, in their order."""
        found = [each for each in self.points if self.histories.holds(timeline, each.timeline, each.position)]
        return sorted(found, key=lambda point: point.position)


@dataclass(frozen=True, slots=True)
class Window:
    """What can be reached from one base, on the way to `timeline`: any position from its stop to `end`.

    Moments: from its stopped_at to `end_at`, by which the last WAL was written (None: there is none after the base).
    """

    base: Base
    timeline: int
    end: int
    end_at: datetime | None

    def holds(self, at: datetime | None, position: int | None) -> bool:
        """Whether a moment, a position, or with neither the end can be reached."""
        if at is not None:
            return self.end_at is not None and self.base.stopped_at <= at <= self.end_at
        return position is None or self.base.stop <= position <= self.end

    def said(self) -> str:
        whole = f"{self.base.stopped_at:%Y-%m-%d %H:%M:%S} UTC"
        if self.end_at is None:
            return f"{show_lsn(self.base.stop)}, from {self.base.backup_id} alone"
        return (
            f"{whole} to {self.end_at:%Y-%m-%d %H:%M:%S} UTC ({show_lsn(self.base.stop)} to {show_lsn(self.end)}), "
            f"from {self.base.backup_id}"
        )


@dataclass(frozen=True, slots=True)
class Reach:
    """All windows on the way to a timeline, oldest base first, and where WAL is missing between them."""

    timeline: int
    windows: Sequence[Window]
    missing: Sequence[Gap] = field(default=())

    def gap_after(self, window: Window) -> Gap | None:
        """The missing WAL that ends a window; None if it reaches to the newest WAL."""
        return next((gap for gap in self.missing if gap.first.start <= window.end < gap.last.end), None)


def newest_timeline(bases: Sequence[Base], wal: Wal) -> int:
    """The timeline that was begun last, as far as anything there shows."""
    return max(
        [*(base.timeline for base in bases), *(segment.timeline for segment in wal.in_order[-1:]), *wal.histories.of],
        default=1,
    )


def reach(bases: Sequence[Base], wal: Wal, timeline: int) -> Reach:
    """What can be reached from the full bases that are on the way to `timeline`."""
    full = sorted((each for each in bases if each.parent is None), key=lambda each: each.stop)
    full = [each for each in full if wal.histories.holds(timeline, each.timeline, each.stop)]
    if not full:
        return Reach(timeline, ())
    owned = [own_end(each, timeline, wal) for each in full]
    begin = min(owned)
    wanted = needed(timeline, begin, max(_end(timeline, wal), begin), wal.histories, wal.segment_size)
    missing = gaps(wanted, wal.segments)
    ends = [gap.last.end for gap in missing]
    by_end = {segment.end: segment.name for segment in wanted}
    points = wal.on_the_way(timeline)
    found = []
    for base, own in zip(full, owned, strict=True):
        at = bisect_right(ends, own)  # the first gap that is not wholly before it
        end = max(own, missing[at].first.start) if at < len(missing) else max([own, *(s.end for s in wanted[-1:])])
        moments = [point.at for point in points if base.stop <= point.position <= end]
        moments += [at for at in [wal.written.get(by_end.get(end, ""))] if at is not None and end > own]
        found.append(Window(base, timeline, end, max(moments, default=None)))
    return Reach(timeline, found, missing)


def own_end(base: Base, timeline: int, wal: Wal) -> int:
    """Up to where the WAL in a base leads: the end of the segment that its stop is in, which was switched there."""
    end = Segment.holding(base.timeline, base.stop - 1, wal.segment_size).end
    return end if wal.histories.holds(timeline, base.timeline, end) else base.stop


def _end(timeline: int, wal: Wal) -> int:
    """The position after the last segment on the way to the timeline."""
    ways = {each: last for each, _, last in wal.histories.path(timeline)}
    return max(
        (
            segment.end
            for segment in wal.in_order
            if segment.timeline in ways and ((last := ways[segment.timeline]) is None or segment.start < last)
        ),
        default=0,
    )
