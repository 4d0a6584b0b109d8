"""Lengths of time as people write them: `30 days`, `12 months`, `7 years`; months and years are calendar ones."""

import calendar
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Unit(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Period(BaseModel):
    """A length of time in calendar units: `30 days`, `12 months`, `7 years`."""

    model_config = ConfigDict(frozen=True)
    count: int = Field(gt=0, le=100_000)
    unit: Unit

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"

    @property
    def timedelta(self) -> timedelta:
        """The same as a duration; ValueError for months and years, which have none of their own."""
        seconds = {Unit.MINUTE: 60, Unit.HOUR: 3600, Unit.DAY: 86400, Unit.WEEK: 604800}
        if self.unit not in seconds:
            raise ValueError(f"{self} is a calendar period, not a duration")
        return timedelta(seconds=self.count * seconds[self.unit])

    def before(self, instant: datetime) -> datetime:
        """The instant that lies this long before `instant`; a day that the month has not is its last one."""
        return self._away(instant, -1)

    def after(self, instant: datetime) -> datetime:
        """The instant that lies this long after `instant`; a day that the month has not is its last one."""
        return self._away(instant, 1)

    def _away(self, instant: datetime, sign: int) -> datetime:
        months = {Unit.MONTH: 1, Unit.YEAR: 12}.get(self.unit)
        try:
            if months is None:
                return instant + sign * self.timedelta
            year, month = divmod(instant.year * 12 + instant.month - 1 + sign * self.count * months, 12)
            day = min(instant.day, calendar.monthrange(year, month + 1)[1])
            return instant.replace(year=year, month=month + 1, day=day)
        except (ValueError, OverflowError):  # before the year 1, or after 9999
            return _FIRST if sign < 0 else _LAST


def _period(value: object) -> object:
    if isinstance(value, str) and value.lstrip().startswith("-"):
        raise ValueError("a length of time cannot be negative")
    match = re.fullmatch(r"(\d+) (minute|hour|day|week|month|year)s?", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a number and a unit, like "30 days" or "7 years"')
    return Period(count=int(match[1]), unit=Unit(match[2]))


def _duration(value: object) -> object:
    period = _period(value)
    return period.timedelta if isinstance(period, Period) else period


Retention = Annotated[Period, BeforeValidator(_period)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]


def _rate(value: object) -> object:
    units = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
    match = re.fullmatch(r"(\d+(?:\.\d+)?) (kB|MB|GB)/s", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a number and a unit, like "20 MB/s"')
    return int(float(match[1]) * units[match[2]])


# Bytes per second.
Rate = Annotated[int, BeforeValidator(_rate), Field(gt=0)]


def in_words(length: timedelta) -> str:
    """`1 h 4 min`, `15 min 4 s`, `2 d`: the two largest units that it has."""
    left, words = int(length.total_seconds()), []
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2]) or "0 s"
