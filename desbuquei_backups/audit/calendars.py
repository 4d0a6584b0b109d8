"""Where each slot of a calendar stands: hours of days, days of weeks, or in a row, as often as they are due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from desbuquei_backups.audit.plots import Calendar

_OFTEN, _DAILY = 2.0, 0.5  # slots a day


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells by column and row, with their outcomes; the labels of `columns` and `rows` stand where something begins."""

    cells: Sequence[tuple[int, int, str]]
    width: int
    height: int
    columns: Sequence[tuple[int, str]]
    rows: Sequence[tuple[int, str]]


def grid(plot: Calendar) -> Grid:
    """Of slots due often, a column is a day and a row an hour; of daily ones, a column is a week; else they follow."""
    if not plot.cells:
        return Grid([], 0, 0, [], [])
    first, last = plot.cells[0][0], plot.cells[-1][0]
    days = max((last - first).total_seconds() / 86400, 1.0)
    if len(plot.cells) / days >= _OFTEN:
        return _hours(plot)
    return _weeks(plot) if len(plot.cells) / days >= _DAILY else _strip(plot)


def _hours(plot: Calendar) -> Grid:
    begin = plot.cells[0][0].date()
    cells = [((at.date() - begin).days, at.hour, outcome) for at, outcome in plot.cells]
    width = cells[-1][0] + 1
    labels = _months([datetime.combine(begin, datetime.min.time()) + timedelta(days=day) for day in range(width)])
    return Grid(cells, width, 24, labels, [(hour, f"{hour:02} h") for hour in (0, 6, 12, 18)])


def _weeks(plot: Calendar) -> Grid:
    begin = plot.cells[0][0].date()
    begin -= timedelta(days=begin.weekday())
    cells = [((at.date() - begin).days // 7, at.weekday(), outcome) for at, outcome in plot.cells]
    width = cells[-1][0] + 1
    labels = _months([datetime.combine(begin, datetime.min.time()) + timedelta(weeks=week) for week in range(width)])
    return Grid(cells, width, 7, labels, [(0, "Mon"), (2, "Wed"), (4, "Fri"), (6, "Sun")])


def _strip(plot: Calendar) -> Grid:
    cells = [(number, 0, outcome) for number, (_, outcome) in enumerate(plot.cells)]
    return Grid(cells, len(cells), 1, _months([at for at, _ in plot.cells]), [])


def _months(days: Sequence[datetime]) -> list[tuple[int, str]]:
    """The column in which each month begins, the first with its year; a month that is too short has no label."""
    found: list[tuple[int, str]] = []
    for number, day in enumerate(days):
        if number == 0 or day.month != days[number - 1].month:
            year = f" {day.year}" if number == 0 or day.month == 1 else ""
            found.append((number, f"{day:%b}{year}"))
    return found
