"""What an invariant's query returned, and whether that is what it must be: matches, does not, could not be compared."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.invariants import Invariant, NoOlderThan, Within
from desbuquei_backups.core.periods import in_words

_ROWS_SHOWN = 20
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Rows:
    """A query's result: the names of its columns, its first rows, and how many it returned.

    `secret`: no row may be repeated, since what is said of it is kept where the backup is only encrypted.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    count: int
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found of one invariant, of the snapshot at `taken_at` (aware UTC). `sql` and `wanted`: what was asked.

    `instant`: of one whose age is judged, what the query returned.
    """

    name: str
    sql: str
    wanted: str
    taken_at: datetime
    findings: Sequence[Finding] = field(default_factory=list)
    instant: datetime | None = None


def answer(name: str, invariant: Invariant, found: Rows, taken_at: datetime) -> Answer:
    """Judge the result of an invariant that has an `expect`. A NULL, or no row where a value is asked for, differs."""
    expected = invariant.expected
    assert expected is not None
    instant = None
    if isinstance(expected, Within) and expected.rows:
        finding = _count(invariant, expected, found)
    elif len(found.columns) != 1 or found.count > 1:
        shape = f"{_counted(found.count, 'row')} of {_counted(len(found.columns), 'column')}"
        finding = uncompared(invariant, f"it returned {shape}, and one value is asked for")
    elif not found.count or (value := found.rows[0][0]) is None:
        finding = _differs(invariant, None, "it returned no value")
    elif isinstance(expected, Within):
        finding = _value(invariant, expected, value)
    else:
        instant = _instant(value)
        finding = _age(invariant, expected, instant, taken_at)
    return Answer(name, invariant.sql, invariant.wanted, taken_at, [finding], instant)


def taken_over(name: str, invariant: Invariant, earlier: Answer | None, restored: str, taken_at: datetime) -> Answer:
    """What the restored copy of the same rows answered, for a backup whose snapshot was at `taken_at`.

    An age is judged anew: where nothing changed, what was the newest is older now. Nothing is claimed of a question
    that was not asked then, or not like this.
    """
    why = ""
    if earlier is None:
        why = f"it was not asked yet when {restored} was restored"
    elif (earlier.sql, earlier.wanted) != (invariant.sql, invariant.wanted):
        why = f"it was asked otherwise when {restored} was restored"
    elif earlier.taken_at != taken_at and invariant.speaks_of_the_snapshot:
        why = f"it was asked of {restored}, whose snapshot is of {earlier.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    if earlier is None or why:
        return Answer(name, invariant.sql, invariant.wanted, taken_at, [uncompared(invariant, why)])
    expected = invariant.expected
    if isinstance(expected, NoOlderThan) and earlier.instant is not None:
        finding = _age(invariant, expected, earlier.instant, taken_at)
        return Answer(name, invariant.sql, invariant.wanted, taken_at, [finding], earlier.instant)
    return earlier


def uncompared(invariant: Invariant, why: str) -> Finding:
    """The finding of an invariant of which nothing can be said, and why."""
    return Finding("answer", invariant.wanted, None, Verdict.UNCOMPARED, why)


def shown(found: Rows) -> str:
    """The first rows, one a line: `id=7, customer=99`."""
    if found.secret:
        return "they are not shown: the backup is encrypted"
    lines = [
        ", ".join(f"{name}={_text(value)}" for name, value in zip(found.columns, row, strict=True))
        for row in found.rows[:_ROWS_SHOWN]
    ]
    more = found.count - len(lines)
    return "\n".join(lines + [f"… and {more:,} more"] * (more > 0))


def _count(invariant: Invariant, expected: Within, found: Rows) -> Finding:
    if not (apart := _apart(expected, Decimal(found.count))):
        return _matches(invariant, _counted(found.count, "row"))
    rows = f":\n{shown(found)}" if found.count else ""
    return _differs(invariant, _counted(found.count, "row"), f"{apart} rows{rows}")


def _value(invariant: Invariant, expected: Within, value: object) -> Finding:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return uncompared(invariant, f"{_text(value)} is no number")
    number = Decimal(str(value))
    if number.is_nan():
        return _differs(invariant, "NaN", "it is not a number")
    apart = _apart(expected, number)
    return _differs(invariant, str(value), apart) if apart else _matches(invariant, str(value))


def _apart(expected: Within, number: Decimal) -> str:
    """How far the number is outside, with its sign; nothing if it is within."""
    low, high = expected.low, expected.high
    if low is not None and (number < low or (expected.strict and number == low)):
        return f"{number - low:+,f}"
    if high is not None and (number > high or (expected.strict and number == high)):
        return f"{number - high:+,f}"
    return ""


def _instant(value: object) -> datetime | None:
    """The value as an instant; what has no zone is in UTC, and a day is its first moment."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC) if isinstance(value, date) else None


def _age(invariant: Invariant, expected: NoOlderThan, instant: datetime | None, taken_at: datetime) -> Finding:
    if instant is None:
        return uncompared(invariant, "what it returned is no instant")
    said, age = f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", taken_at - instant
    at = f"at the snapshot, {taken_at:%Y-%m-%d %H:%M:%S} UTC"
    if age <= expected.age:
        why = f"it is in the future {at}" if age < timedelta() else f"{in_words(age)} old {at}"
        return Finding("answer", invariant.wanted, invariant.wanted, Verdict.MATCHES, f"{said}: {why}")
    return _differs(invariant, said, f"{in_words(age)} old {at}: {in_words(age - expected.age)} too old")


def _matches(invariant: Invariant, found: str) -> Finding:
    # What matches is the same on both sides: what was found exactly is said beside it.
    return Finding("answer", invariant.wanted, invariant.wanted, Verdict.MATCHES, found)


def _differs(invariant: Invariant, found: str | None, why: str) -> Finding:
    return Finding("answer", invariant.wanted, found, Verdict.DIFFERS, why)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _text(value: object) -> str:
    text = "NULL" if value is None else " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
