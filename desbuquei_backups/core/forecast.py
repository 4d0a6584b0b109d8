"""When a disk fills: a straight line through how full it was at most on each of the last days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(days=14)
_DAY = timedelta(days=1)
_LEAST_DAYS, _LONGEST_DAYS = 2, 3650


@dataclass(frozen=True, slots=True)
class Sample:
    """The bytes in use on a disk at an instant (aware UTC)."""

    at: datetime
    used: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The bytes that come to it in a day. `full_at`: when it is full if that goes on; None: it is not for years."""

    bytes_a_day: float
    full_at: datetime | None


def forecast(samples: Sequence[Sample], total: int, now: datetime) -> Forecast | None:
    """By the peak of each of the last 14 days, of a disk of `total` bytes; None before two days were watched.

    What retention takes away every night, and the next day's backups bring back, is no growth.
    """
    recent = [each for each in samples if now - WINDOW <= each.at <= now]
    watched = (now - min((each.at for each in recent), default=now)) // _DAY
    peaks = [
        (-day, max(used))
        for day in range(watched)
        if (used := [each.used for each in recent if day * _DAY <= now - each.at < (day + 1) * _DAY])
    ]
    if len(peaks) < _LEAST_DAYS:
        return None
    slope, highest = _slope(peaks), max(used for _, used in peaks)
    if slope <= 0 or (left := (total - highest) / slope) > _LONGEST_DAYS:
        return Forecast(slope, None)
    return Forecast(slope, now + left * _DAY)


def _slope(points: Sequence[tuple[int, int]]) -> float:
    """By least squares."""
    middle, height = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - middle) ** 2 for x, _ in points)
    return float(sum((x - middle) * (y - height) for x, y in points) / spread)


def said(found: Forecast | None, now: datetime) -> str:
    """In a few words, for a person."""
    if found is None:
        return "when it fills is not known yet: it was watched for less than two days"
    if found.full_at is None:
        return "it does not fill, as it grew lately"
    left = (found.full_at - now).days
    return f"growing by {found.bytes_a_day / 1e9:,.2f} GB a day, it is full on {found.full_at:%Y-%m-%d} (in {left} d)"
