"""An alert as a person reads it: what happened, to what, since when, what was tried, and the command to run."""

from collections.abc import Sequence
from datetime import datetime

from desbuquei_backups.core.alerting import Change, Telling
from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.periods import in_words

# What mail and chat take in one message; what is more is named in one line each.
_WHOLE, _NAMED = 12, 40


def title(database: str, tellings: Sequence[Telling]) -> str:
    """One line: the worst that began, else what is over, and how many more there are."""
    first = min(tellings, key=lambda each: (each.change is not Change.BEGUN, _rank(each)))
    more = f" (and {len(tellings) - 1} more)" if len(tellings) > 1 else ""
    return f"[desbuquei {database}] {_head(first)}: {first.episode.condition.what}{more}"


def body(tellings: Sequence[Telling], now: datetime) -> str:
    """All of them, the worst first; of very many the last ones by name alone."""
    ordered = sorted(tellings, key=lambda each: (each.change is not Change.BEGUN, _rank(each)))
    parts = ["\n".join(lines(each, now)) for each in ordered[:_WHOLE]]
    left = ordered[_WHOLE:]
    if left:
        named = [f"{_head(each)}: {each.episode.condition.name}" for each in left[:_NAMED]]
        more = [f"… and {len(left) - _NAMED} more: desbuquei notify --dry-run"] if len(left) > _NAMED else []
        parts.append("\n".join([*named, *more]))
    return "\n\n".join(parts)


def lines(telling: Telling, now: datetime) -> list[str]:
    """One change, a line for each thing that is to be known."""
    condition, over = telling.episode.condition, telling.episode.over
    if over is not None:
        lasted = in_words(over - condition.since)
        since = f"  from {condition.since:%Y-%m-%d %H:%M} to {over:%Y-%m-%d %H:%M} UTC ({lasted})"
        return [f"{_head(telling)}: {condition.what}", f"  about: {condition.subject}", since]
    return described(condition, now)


def described(condition: Condition, now: datetime) -> list[str]:
    """A condition that lasts."""
    return [
        f"{condition.severity.upper()}: {condition.what}",
        f"  about: {condition.subject}",
        f"  since: {condition.since:%Y-%m-%d %H:%M} UTC ({in_words(now - condition.since)})",
        f"  tried: {condition.tried or 'nothing'}",
        f"  to do: {condition.command}",
    ]


def _head(telling: Telling) -> str:
    if telling.change is Change.BEGUN:
        return telling.episode.condition.severity.upper()
    return "OVER" if telling.change is Change.OVER else "BEGAN AND OVER"


def _rank(telling: Telling) -> tuple[bool, datetime]:
    condition = telling.episode.condition
    return condition.severity is not Severity.CRITICAL, condition.since
