"""What a recovery to a target needs: a base backup, perhaps an increment, WAL; or why it cannot be reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.wal import DEFAULT_SEGMENT_SIZE, Histories, Segment, gaps, needed, show_lsn

# Bytes a second on two cores, as measured: what is untarred, what pg_combinebackup writes, what is replayed.
_EXTRACTED, _COMBINED, _REPLAYED = 400_000_000, 250_000_000, 60_000_000


@dataclass(frozen=True, slots=True)
class Base:
    """A physical base backup: full, or an increment against `parent`.

    `start` and `stop` are the WAL positions that it needs replayed to be consistent; `stopped_at` (aware UTC) is when
    it was. `size` is bytes of the cluster that it restores, `stored` those of its archive.
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
    """A position in the WAL and the moment at which it was current; `name` of a restore point."""

    timeline: int
    position: int
    at: datetime
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Wal:
    """The WAL there is: names of whole segments, timelines' histories, and points whose moments are known."""

    segments: frozenset[str]
    histories: Histories
    points: Sequence[Point] = ()
    segment_size: int = DEFAULT_SEGMENT_SIZE

    @property
    def newest(self) -> Segment | None:
        """The last segment of the last timeline."""
        return max((Segment.of_name(name, self.segment_size) for name in self.segments), default=None)


@dataclass(frozen=True, slots=True)
class Window:
    """What can be reached from one base without a gap: any moment between. `end_at` None: nothing tells it."""

    base: Base
    timeline: int
    end: int
    end_at: datetime | None

    def holds(self, target: Target) -> bool:
        if target.at is not None:
            return self.base.stopped_at <= target.at and self.end_at is not None and target.at <= self.end_at
        return target.position is None or self.base.stop <= target.position <= self.end

    def said(self) -> str:
        until = f"{self.end_at:%Y-%m-%d %H:%M:%S} UTC" if self.end_at is not None else "an unknown moment"
        return (
            f"{self.base.stopped_at:%Y-%m-%d %H:%M:%S} UTC ({show_lsn(self.base.stop)}) to {until} "
            f"({show_lsn(self.end)}), from {self.base.backup_id}"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch, and how to stop. `segments` in order; `increment` is combined with `base` first.

    `estimate` is of extracting, combining and replaying, at usual rates.
    """

    target: Target
    base: Base
    increment: Base | None
    timeline: int
    segments: Sequence[Segment]
    estimate: timedelta

    @property
    def latest(self) -> Base:
        """The backup that replay begins from."""
        return self.increment or self.base


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why a target cannot be reached, and the windows that can."""

    why: str
    windows: Sequence[Window] = field(default=())


def windows(bases: Sequence[Base], wal: Wal, timeline: int | None = None) -> list[Window]:
    """What can be reached from each full base on the way to `timeline` (None: the newest), oldest first."""
    timeline = timeline or _newest_timeline(bases, wal)
    found = []
    for base in sorted((each for each in bases if each.parent is None), key=lambda each: each.stop):
        if not wal.histories.holds(timeline, base.timeline, base.start):
            continue
        end = _contiguous_end(base, timeline, wal)
        if end is not None and end >= base.stop:
            at = max((p.at for p in wal.points if _on(p, timeline, wal) and p.position <= end), default=None)
            found.append(Window(base, timeline, end, max(at, base.stopped_at) if at else base.stopped_at))
    return found


def plan(
    bases: Sequence[Base], wal: Wal, target: Target, *, timeline: int | None = None, combined_in_place: bool = False
) -> Plan | Unreachable:
    """The cheapest way to `target`; `combined_in_place`: pg_combinebackup links files instead of copying them (18)."""
    timeline = timeline or _newest_timeline(bases, wal)
    if not wal.histories.knows(timeline):
        return Unreachable(f"the history of timeline {timeline} is missing", windows(bases, wal, timeline))
    if target.name is not None:
        named = [each for each in wal.points if each.name == target.name and _on(each, timeline, wal)]
        if not named:
            return Unreachable(f"there is no restore point {target.name}", windows(bases, wal, timeline))
        stop_at = named[-1].position
    else:
        stop_at = target.position if target.position is not None else -1
    reachable = windows(bases, wal, timeline)
    ways = [way for window in reachable for way in _ways(window, bases, wal, target, stop_at, combined_in_place)]
    if ways:
        return min(ways, key=lambda way: way.estimate)
    return Unreachable(_why(bases, wal, timeline, target, stop_at, reachable), reachable)


def _ways(
    window: Window, bases: Sequence[Base], wal: Wal, target: Target, stop_at: int, combined_in_place: bool
) -> list[Plan]:
    """From the window's base alone, and with each of its increments that was over before the target."""
    wanted = Target(position=stop_at) if stop_at >= 0 else target
    if not window.holds(wanted):
        return []
    until = stop_at if stop_at >= 0 else _bound(window, wal, target)
    found = []
    for increment in (None, *(each for each in bases if each.parent == window.base.backup_id)):
        latest = increment or window.base
        before = latest.stop <= until if stop_at >= 0 else target.at is None or latest.stopped_at <= target.at
        if not before or not wal.histories.holds(window.timeline, latest.timeline, latest.start):
            continue
        segments = needed(window.timeline, latest.start, until, wal.histories, wal.segment_size)
        found.append(Plan(target, window.base, increment, window.timeline, segments, _estimate(
            window.base, increment, len(segments) * wal.segment_size, combined_in_place
        )))  # fmt: skip
    return found


def _bound(window: Window, wal: Wal, target: Target) -> int:
    """The position up to which WAL is needed for a moment: that of the first point known to be after it."""
    if target.at is None:
        return window.end
    after = [p.position for p in wal.points if p.at > target.at and _on(p, window.timeline, wal)]
    return min([*after, window.end])


def _estimate(base: Base, increment: Base | None, replayed: int, combined_in_place: bool) -> timedelta:
    seconds = base.size / _EXTRACTED + replayed / _REPLAYED
    if increment is not None:
        seconds += increment.stored / _EXTRACTED + (0 if combined_in_place else base.size / _COMBINED)
    return timedelta(seconds=seconds)


def _why(
    bases: Sequence[Base], wal: Wal, timeline: int, target: Target, stop_at: int, reachable: Sequence[Window]
) -> str:
    """The part that is missing, in one sentence."""
    full = [each for each in bases if each.parent is None]
    if not full:
        return "there is no base backup"
    if not reachable:
        return _gap_of(max(full, key=lambda each: each.stop), timeline, wal)
    position = stop_at if stop_at >= 0 else None
    for base in full:
        inside = (position is not None and base.start <= position < base.stop) or (
            target.at is not None and not any(other.stopped_at <= target.at for other in full)
        )
        if inside and position is not None:
            return f"{show_lsn(position)} lies within the base backup {base.backup_id}, which was not consistent yet"
    oldest, newest = reachable[0], max(reachable, key=lambda window: window.end)
    if target.at is not None and target.at < oldest.base.stopped_at:
        return f"it is before the oldest base backup was whole ({oldest.base.stopped_at:%Y-%m-%d %H:%M:%S} UTC)"
    if position is not None and position < oldest.base.stop:
        return f"it is before the oldest base backup was whole ({show_lsn(oldest.base.stop)})"
    after_all = (target.at is not None and newest.end_at is not None and target.at > newest.end_at) or (
        position is not None and position > newest.end
    )
    if after_all and gaps(
        needed(timeline, newest.base.start, _end(timeline, wal), wal.histories, wal.segment_size), wal.segments
    ):
        return _gap_of(newest.base, timeline, wal)
    if after_all:
        return "it is after the newest WAL that there is"
    before = [base for base in full if _is_before(base, target, position)]
    return _gap_of(max(before, key=lambda each: each.stop), timeline, wal) if before else "no base backup leads there"


def _is_before(base: Base, target: Target, position: int | None) -> bool:
    if position is not None:
        return base.stop <= position
    return target.at is None or base.stopped_at <= target.at


def _gap_of(base: Base, timeline: int, wal: Wal) -> str:
    missing = gaps(
        needed(timeline, base.start, max(_end(timeline, wal), base.stop), wal.histories, wal.segment_size), wal.segments
    )
    if not missing:
        return f"the WAL of {base.backup_id} is not on the way to timeline {timeline}"
    return f"WAL is missing after {base.backup_id}: {'; '.join(gap.said() for gap in missing[:3])}"


def _contiguous_end(base: Base, timeline: int, wal: Wal) -> int | None:
    """Up to where there is WAL without a gap from the start of a base; None if there is none at all."""
    wanted = needed(timeline, base.start, max(_end(timeline, wal), base.stop), wal.histories, wal.segment_size)
    end = None
    for segment in wanted:
        if segment.name not in wal.segments:
            break
        end = segment.end
    return end


def _end(timeline: int, wal: Wal) -> int:
    """The position after the last segment on the way to the timeline."""
    ways: Mapping[int, int | None] = {each: last for each, _, last in wal.histories.path(timeline)}
    ends = [
        segment.end
        for name in wal.segments
        if (segment := Segment.of_name(name, wal.segment_size)).timeline in ways
        and ((last := ways[segment.timeline]) is None or segment.start < last)
    ]
    return max(ends, default=0)


def _on(point: Point, timeline: int, wal: Wal) -> bool:
    return wal.histories.holds(timeline, point.timeline, point.position)


def _newest_timeline(bases: Sequence[Base], wal: Wal) -> int:
    newest = wal.newest
    return max([*(base.timeline for base in bases), newest.timeline if newest is not None else 1])
