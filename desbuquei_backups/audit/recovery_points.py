"""How old the newest recovery point was, at every moment of a period, and when that was worst."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desbuquei_backups.audit.facts import Backup
from desbuquei_backups.audit.model import Period
from desbuquei_backups.core.looks import Looks


@dataclass(frozen=True, slots=True)
class Point:
    """Something to recover to: from `at` on, all up to `moment`. `wal`: between it and others WAL is archived."""

    at: datetime
    moment: datetime
    name: str
    wal: bool


@dataclass(frozen=True, slots=True)
class Peak:
    """The greatest age that a recovery point reached, at `at`, just before another one was there, or at the end.

    `of`: the recovery point that grew so old; None: there was none yet, and the age is the time without. `until`: the
    next one. `seen`: where somebody looked at the WAL all that time, the oldest that was seen: `age` is the most that
    it can have been in between. None: nobody looked.
    """

    at: datetime
    age: timedelta
    of: Point | None
    until: Point | None
    seen: timedelta | None = None


def peaks(backups: Iterable[Backup], period: Period, since: datetime, looks: Sequence[Looks] = ()) -> list[Peak]:
    """Each in turn, by backups that are sound, each from when it could be recovered from, and by looks at the WAL.

    Where there was none yet, counted from when protection began: `since`.
    """
    points = [Point(each.available_at, each.taken_at, each.backup_id, each.wal) for each in backups if each.archived]
    points += [Point(each.until, each.recoverable, "WAL", wal=True) for each in looks]
    begin, newest = max(period.start, since), None
    found, covers = [], _Covers(looks)
    for each in sorted(points, key=lambda point: point.at):
        if each.at >= period.end:
            break
        if each.at >= begin:
            found.append(covers.bounded(_peak(each.at, newest, since, until=each), begin))
            begin = each.at
        if newest is None or each.moment > newest.moment:
            newest = each
    if period.end > max(period.start, since):
        found.append(covers.bounded(_peak(period.end, newest, since, until=None), begin))
    return found


class _Covers:
    """The stretches of time in which somebody looked at the WAL again and again."""

    def __init__(self, looks: Sequence[Looks]) -> None:
        self._looks = sorted(looks, key=lambda each: each.until)
        self._ends = [each.until for each in self._looks]

    def bounded(self, peak: Peak, begin: datetime) -> Peak:
        """The same, no older than looks say it can have been at most, if they cover all of it from `begin` on."""
        number = bisect_left(self._ends, peak.at)
        over = self._looks[number] if number < len(self._looks) else None
        if over is None or over.since > begin or not over.looks:
            return peak
        if over.at_most >= peak.age:
            return replace(peak, seen=min(over.seen, peak.age))
        at = over.at_most_at if begin < over.at_most_at <= peak.at else peak.at
        return replace(peak, at=at, age=over.at_most, seen=over.seen)


def _peak(at: datetime, newest: Point | None, since: datetime, *, until: Point | None) -> Peak:
    return Peak(at, max(at - (newest.moment if newest is not None else since), timedelta()), newest, until)


def worst(found: Sequence[Peak]) -> Peak | None:
    """The greatest of them; None of none."""
    return max(found, key=lambda each: each.age, default=None)
