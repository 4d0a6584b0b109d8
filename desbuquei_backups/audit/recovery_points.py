"""How old the newest recovery point was, at every moment of a period, and when that was worst."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from desbuquei_backups.audit.facts import Backup
from desbuquei_backups.audit.model import Period


@dataclass(frozen=True, slots=True)
class Peak:
    """The greatest age that a recovery point reached, at `at`, just before another one was there, or at the end.

    `of`: the recovery point that grew so old; None: there was none yet, and the age is the time without.
    """

    at: datetime
    age: timedelta
    of: Backup | None
    until: Backup | None


def peaks(backups: Iterable[Backup], period: Period, since: datetime) -> list[Peak]:
    """Each in turn, by backups that are sound, each from when it could be recovered from.

    Where there was none yet, counted from when protection began: `since`.
    """
    ordered = sorted((each for each in backups if each.archived), key=lambda each: each.available_at)
    newest: Backup | None = None
    found = []
    for each in ordered:
        at = each.available_at
        if at >= period.end:
            break
        if at >= max(period.start, since):
            found.append(_peak(at, newest, since, until=each))
        if newest is None or each.taken_at > newest.taken_at:
            newest = each
    end = period.end
    if end > max(period.start, since):
        found.append(_peak(end, newest, since, until=None))
    return found


def _peak(at: datetime, newest: Backup | None, since: datetime, *, until: Backup | None) -> Peak:
    return Peak(at, max(at - (newest.taken_at if newest is not None else since), timedelta()), newest, until)


def worst(found: Sequence[Peak]) -> Peak | None:
    """The greatest of them; None of none."""
    return max(found, key=lambda each: each.age, default=None)
