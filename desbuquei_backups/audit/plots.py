"""What is to be drawn, as values; `svg` draws it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time, as an area; `limit` is drawn across: what was promised. `unit`: seconds or bytes."""

    title: str
    points: Sequence[tuple[datetime, float]]
    start: datetime
    end: datetime
    unit: str
    limit: float | None = None
    limit_named: str = ""
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Calendar:
    """A tier's slots, each with its outcome; the names of outcomes are also classes in the drawing."""

    title: str
    cells: Sequence[tuple[datetime, str]]
    start: datetime
    end: datetime


Plot = Line | Calendar


def series(points: Sequence[tuple[datetime, float]], most: int) -> list[tuple[datetime, float]]:
    """So many points at most: of each stretch the highest, since it is the worst that is asked for."""
    if len(points) <= most:
        return list(points)
    size = -(-len(points) // most)
    return [max(points[at : at + size], key=lambda point: point[1]) for at in range(0, len(points), size)]


def counted(cells: Sequence[tuple[datetime, str]]) -> Mapping[str, int]:
    """How many of each outcome."""
    found: dict[str, int] = {}
    for _, outcome in cells:
        found[outcome] = found.get(outcome, 0) + 1
    return found
