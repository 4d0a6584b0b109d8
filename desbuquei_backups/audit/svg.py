"""Plots as SVG of our own, to be written into a page as they are: no script, no font and no file from elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from html import escape

from desbuquei_backups.audit.calendars import grid
from desbuquei_backups.audit.daily import size
from desbuquei_backups.audit.plots import Calendar, Line, Plot, counted, series
from desbuquei_backups.core.periods import in_words

_WIDTH, _HEIGHT = 720, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 10, 18, 22
_MOST_POINTS = 700
_TICKS = 6
_MOST_LEVELS = 4
_CELL, _LEAST_CELL = 14.0, 1.2
_LETTER = 7.0  # the width of a label's letter, so that labels do not run into one another

# Colours stand at each element: what makes the PDF applies no style of the page to what is drawn.
COLOURS: Mapping[str, str] = {
    "taken": "#4f9a6b",
    "late": "#e0a526",
    "missed": "#b3261e",
    "left out": "#8b97a3",
    "open": "#cbd5de",
    "not known": "#f0dfb4",
}
_INK, _QUIET, _GRID, _AREA, _LIMIT = "#2a5f95", "#5a6470", "#e3e7eb", "#cfe0f1", "#a61b1b"
_FONT = 'font-family="Segoe UI, DejaVu Sans, Arial, sans-serif" font-size="10.5"'


def drawn(plot: Plot) -> str:
    """The plot as one `svg` element, with its title for who cannot see it."""
    return _line(plot) if isinstance(plot, Line) else _calendar(plot)


def _svg(height: float, title: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" {_FONT} role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{content}</svg>"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = _QUIET) -> str:
    return f'<text fill="{colour}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _across(y: float, stroke: str) -> str:
    return f'<line {stroke} x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:g}" y2="{y:g}"/>'


def _line(plot: Line) -> str:
    points = series(plot.points, _MOST_POINTS)
    highest = max([value for _, value in points] + ([plot.limit] if plot.limit is not None else []), default=0.0)
    top = highest * 1.1 or 1.0
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    span = (plot.end - plot.start).total_seconds() or 1.0

    def x(at: datetime) -> float:
        return round(_LEFT + across * min(max((at - plot.start).total_seconds() / span, 0.0), 1.0), 1)

    def y(value: float) -> float:
        return round(_TOP + down * (1 - value / top), 1)

    parts = [*_levels(plot, top, y), *_moments(plot, x)]
    placed = [(x(at), y(value)) for at, value in points]
    if plot.dots or len(placed) == 1:
        parts += [f'<circle fill="{_INK}" cx="{a:g}" cy="{b:g}" r="3.5"/>' for a, b in placed]
    elif placed:
        path, floor = " ".join(f"{a:g},{b:g}" for a, b in placed), y(0)
        parts.append(
            f'<polygon fill="{_AREA}" points="{placed[0][0]:g},{floor:g} {path} {placed[-1][0]:g},{floor:g}"/>'
        )
        parts.append(f'<polyline fill="none" stroke="{_INK}" stroke-width="1.3" points="{path}"/>')
    if plot.limit is not None:
        at = y(plot.limit)
        parts.append(_across(at, f'stroke="{_LIMIT}" stroke-width="1.3" stroke-dasharray="5 3"'))
        parts.append(_text(_WIDTH - _RIGHT, at - 4, plot.limit_named, anchor="end", colour=_LIMIT))
    return _svg(_HEIGHT, plot.title, "".join(parts))


def _levels(plot: Line, top: float, y: Callable[[float], float]) -> Iterator[str]:
    """Lines across at round values, each with its value."""
    step = next((each for each in _steps(plot.unit) if top / each <= _MOST_LEVELS), top)
    for number in range(int(top / step) + 1):
        value, at = step * number, y(step * number)
        yield _across(at, f'stroke="{_GRID}"')
        yield _text(_LEFT - 6, at + 4, _value(value, plot.unit), anchor="end")


def _steps(unit: str) -> Iterator[float]:
    """Round values from small to large: of lengths of time as clocks and calendars have them."""
    clock = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200)
    yield from clock if unit == "seconds" else ()
    base = 86_400 if unit == "seconds" else 1
    yield from (base * digit * 10**power for power in range(16) for digit in (1, 2, 5))


def _value(value: float, unit: str) -> str:
    if unit == "bytes":
        return size(int(value))
    if unit == "seconds" and value >= 60:
        return in_words(timedelta(seconds=value))
    return f"{value:.3g} s"


def _moments(plot: Line, x: Callable[[datetime], float]) -> Iterator[str]:
    """Dates below, or hours where it is a matter of days."""
    step = (plot.end - plot.start) / _TICKS
    form = "%d %b" if step >= timedelta(days=1) else "%d %b %H:%M"
    for number in range(_TICKS + 1):
        at = plot.start + step * number
        anchor = "start" if number == 0 else "end" if number == _TICKS else "middle"
        yield _text(x(at), _HEIGHT - 6, f"{at:{form}}", anchor=anchor)


def _calendar(plot: Calendar) -> str:
    """A path for each outcome: thousands of cells are a few kilobytes."""
    found = grid(plot)
    across = _WIDTH - _LEFT - _RIGHT
    cell = max(min(_CELL, across / max(found.width, 1)), _LEAST_CELL)
    high = min(max(cell, 3.6), 7.0) if found.height == 24 else cell if found.height == 1 else min(cell, 12.0)
    gap = 1.0 if cell > 4 else 0.0
    paths: dict[str, list[str]] = {}
    for column, row, outcome in found.cells:
        x, y = _LEFT + column * cell, _TOP + row * high
        wide, tall = max(cell - gap, 0.8), max(high - (1.0 if high > 4 else 0.3), 0.8)
        paths.setdefault(outcome, []).append(f"M{x:.4g} {y:.4g}h{wide:.3g}v{tall:.3g}h-{wide:.3g}z")
    parts = [f'<path fill="{COLOURS[outcome]}" d="{"".join(each)}"/>' for outcome, each in paths.items()]
    parts += [_text(_LEFT - 6, _TOP + row * high + 7, label, anchor="end") for row, label in found.rows]
    free = 0.0
    for column, label in found.columns:
        x = _LEFT + column * cell
        if x >= free:
            parts.append(_text(x, _TOP - 6, label))
            free = x + _LETTER * (len(label) + 1)
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in counted(plot.cells).items())
    return _svg(_TOP + found.height * high + 4, f"{plot.title}: {counts}", "".join(parts))
