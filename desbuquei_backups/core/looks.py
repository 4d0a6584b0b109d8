"""Looks at the WAL, one after the other, as one value: how old the newest recovery point can have been at most."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError


class Looks(BaseModel):
    """So many looks after the one at `since`, the last of them at `until`; at that one, all up to `recoverable` could
    be recovered.

    At every moment from `since` to `until` the newest recovery point was no older than `at_most_seconds`, which it can
    have been just before the look at `at_most_at`: nobody looked in between. `seen_seconds`: the oldest that was seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    since: AwareDatetime
    until: AwareDatetime
    looks: int = Field(ge=0)
    recoverable: AwareDatetime
    at_most_seconds: float = Field(ge=0, allow_inf_nan=False)
    at_most_at: AwareDatetime
    seen_seconds: float = Field(ge=0, allow_inf_nan=False)

    @property
    def at_most(self) -> timedelta:
        return timedelta(seconds=self.at_most_seconds)

    @property
    def seen(self) -> timedelta:
        return timedelta(seconds=self.seen_seconds)


def look(before: Looks | None, now: datetime, age: timedelta | None) -> Looks | None:
    """With one more look at `now`, by which the newest recovery point is of that age; None: it is not known.

    What was recoverable stays so. Of the time before the first look nothing is known: None, as long as that is all.
    """
    if before is None:
        return None if age is None else _begun(now, now - age)
    if now < before.until:  # the clock was set back: what is known holds until it is caught up with
        return before
    peak = (now - before.recoverable).total_seconds()
    higher = peak > before.at_most_seconds
    return Looks(
        since=before.since,
        until=now,
        looks=before.looks + 1,
        recoverable=before.recoverable if age is None else max(before.recoverable, now - age),
        at_most_seconds=peak if higher else before.at_most_seconds,
        at_most_at=now if higher else before.at_most_at,
        seen_seconds=max(before.seen_seconds, age.total_seconds() if age is not None else 0.0),
    )


def after(said: Looks) -> Looks:
    """What is to be said next begins where the last ended."""
    return _begun(said.until, said.recoverable)


def parse(content: object) -> Looks | None:
    """The looks in a link's body; None if it has none, or in words that are not known here."""
    try:
        return Looks.model_validate(content) if isinstance(content, Mapping) else None
    except ValidationError:
        return None


def _begun(at: datetime, recoverable: datetime) -> Looks:
    age = max((at - recoverable).total_seconds(), 0.0)
    return Looks(
        since=at, until=at, looks=0, recoverable=recoverable, at_most_seconds=age, at_most_at=at, seen_seconds=0.0
    )
