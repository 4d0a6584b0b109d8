"""What a recovery to a target needs: a base backup, perhaps an increment, WAL; or why it cannot be reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from desbuquei_backups.core.recovery_windows import Base, Point, Reach, Wal, Window, newest_timeline, own_end, reach
from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.wal import Segment, needed, show_lsn

__all__ = ["Base", "Plan", "Point", "Unreachable", "Wal", "estimate", "plan"]

# Bytes a second on two cores, as measured: unpacked and verified, written by pg_combinebackup, replayed.
_UNPACKED, _COMBINED, _REPLAYED = 250_000_000, 250_000_000, 60_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch, and how to stop. `segments`, in order, are those that the base does not hold itself.

    WAL is needed up to `until`. `certain`: that all which was committed before the target is before `until`, so that
    where the WAL ends without anything later than the target, its end is the target. `estimate` is of unpacking,
    combining and replaying, at usual rates.
    """

    target: Target
    base: Base
    increment: Base | None
    timeline: int
    segments: Sequence[Segment]
    until: int
    certain: bool
    estimate: timedelta

    @property
    def latest(self) -> Base:
        """The backup that replay begins from."""
        return self.increment or self.base


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why a target cannot be reached, and the windows that can."""

    why: str
    windows: Sequence[Window] = ()


@dataclass(frozen=True, slots=True)
class _Sought:
    """A target as a moment or a position; neither: the end. `only`: from that base and no other."""

    at: datetime | None = None
    position: int | None = None
    only: str | None = None
    unknown_name: bool = False


def plan(
    bases: Sequence[Base],
    wal: Wal,
    target: Target,
    *,
    timeline: int | None = None,
    increments: bool = False,
    combined_in_place: bool = False,
) -> Plan | Unreachable:
    """The cheapest way to `target`, on the way to `timeline` (None: the one that was begun last).

    A name is that of a restore point, or the id of a backup, which is its own end; one that nothing is known of is
    looked for by replaying all the WAL there is. `increments`: whether they are weighed against replaying WAL;
    `combined_in_place`: pg_combinebackup links files instead of copying them (PostgreSQL 18).
    """
    full = [each for each in bases if each.parent is None]
    if not full:
        return Unreachable("there is no base backup")
    timeline = timeline or newest_timeline(bases, wal)
    if not wal.histories.knows(timeline):
        return Unreachable(f"the history of timeline {timeline}, {timeline:08X}.history, is missing")
    found = reach(bases, wal, timeline)
    if not found.windows:
        return Unreachable(f"no base backup is on the way to timeline {timeline}")
    sought = _sought(target, full, wal, timeline)
    windows = [each for each in found.windows if sought.only in (None, each.base.backup_id)]
    if sought == _Sought():
        # `latest` is the end of the newest WAL, not of what some older base still reaches, nor what is before a gap.
        windows = [each for each in windows[-1:] if found.gap_after(each) is None]
    if sought.unknown_name:
        # Where it is nobody knows: from the oldest base whose WAL leads to the end, it is found if it is there at all.
        windows = [each for each in windows if each.end == found.windows[-1].end][:1]
    chosen = bases if increments else full
    ways = [
        _way(target, sought, window, latest, wal, combined_in_place)
        for window in windows
        if window.holds(sought.at, sought.position)
        for latest in chosen
        if latest is window.base or _leads(latest, window, sought)
    ]
    if ways:
        return min(ways, key=lambda way: way.estimate)
    return Unreachable(_why(sought, full, found), found.windows)


def estimate(size: int, replayed: int, *, increment: int = 0, combined_in_place: bool = False) -> timedelta:
    """How long it usually takes to unpack and verify a base of `size` bytes and to replay so many bytes of WAL."""
    seconds = size / _UNPACKED + replayed / _REPLAYED
    if increment:
        seconds += increment / _UNPACKED + (0 if combined_in_place else size / _COMBINED)
    return timedelta(seconds=seconds)


def _sought(target: Target, full: Sequence[Base], wal: Wal, timeline: int) -> _Sought:
    if target.name is None:
        return _Sought(target.at, target.position)
    for point in wal.on_the_way(timeline):
        if point.name == target.name:
            return _Sought(position=point.position)
    for base in full:
        if base.backup_id == target.name:
            return _Sought(position=base.stop, only=base.backup_id)
    return _Sought(unknown_name=True)


def _leads(increment: Base, window: Window, sought: _Sought) -> bool:
    """Whether an increment belongs to the window's base, and was whole before what is sought."""
    if increment.parent != window.base.backup_id or sought.unknown_name:
        return False
    if sought.at is not None:
        return increment.stopped_at <= sought.at
    return increment.stop <= (sought.position if sought.position is not None else window.end)


def _way(target: Target, sought: _Sought, window: Window, latest: Base, wal: Wal, combined_in_place: bool) -> Plan:
    until, certain = _until(sought, window, wal)
    begin = own_end(latest, window.timeline, wal)
    segments = needed(window.timeline, begin, until, wal.histories, wal.segment_size) if until > begin else []
    increment = latest if latest is not window.base else None
    how_long = estimate(
        window.base.size,
        len(segments) * wal.segment_size,
        increment=increment.stored if increment else 0,
        combined_in_place=combined_in_place,
    )
    return Plan(target, window.base, increment, window.timeline, segments, until, certain, how_long)


def _until(sought: _Sought, window: Window, wal: Wal) -> tuple[int, bool]:
    """Up to where WAL is needed, and whether what was committed before the target is sure to be there.

    For a moment, up to the first point that is known to be later; without one, all that there is.
    """
    if sought.at is None:
        return sought.position if sought.position is not None else window.end, not sought.unknown_name
    later = [
        min(point.end or point.position, window.end)
        for point in wal.on_the_way(window.timeline)
        if point.at >= sought.at and window.base.stop <= point.position <= window.end
    ]
    return (later[0], True) if later else (window.end, False)


def _why(sought: _Sought, full: Sequence[Base], found: Reach) -> str:
    """The part that is missing, in one sentence."""
    at, position = sought.at, sought.position
    if position is not None:
        for base in full:
            if base.start <= position < base.stop:
                return f"{show_lsn(position)} lies within the base backup {base.backup_id}, which was not whole yet"
    whole = [
        window
        for window in found.windows
        if (at is not None and window.base.stopped_at <= at)
        or (position is not None and window.base.stop <= position)
        or (at is None and position is None)
    ]
    if not whole:
        first = found.windows[0].base
        moment = f"{first.stopped_at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else show_lsn(first.stop)
        return f"it is before the oldest base backup, {first.backup_id}, was whole ({moment})"
    last = whole[-1]
    if (gap := found.gap_after(last)) is not None:
        return f"WAL is missing after {last.base.backup_id}: {gap.said()}"
    return "it is after the newest WAL that there is"
