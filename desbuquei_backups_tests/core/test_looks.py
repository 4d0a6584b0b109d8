"""An age that is said to be the most it can have been must not have been exceeded while nobody looked."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.looks import Looks, after, look, parse

NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def seen(*looks: tuple[int, int | None]) -> Looks | None:
    """By minutes since noon, and the age then, in minutes."""
    found = None
    for at, age in looks:
        found = look(found, NOW + MINUTE * at, None if age is None else MINUTE * age)
    return found


def test_between_two_looks_it_grew_as_old_as_it_was_and_the_time_until_the_next() -> None:
    found = seen((0, 1), (15, 3), (30, 0))
    assert (found.at_most, found.at_most_at) == (MINUTE * 18, NOW + MINUTE * 30)
    assert (found.seen, found.looks, found.recoverable) == (MINUTE * 3, 2, NOW + MINUTE * 30)


def test_a_look_that_tells_nothing_lets_it_grow_on() -> None:
    found = seen((0, 1), (15, None), (30, None), (45, 2))
    assert (found.at_most, found.seen) == (MINUTE * 46, MINUTE * 2)
    assert seen((0, None)) is None


def test_what_could_be_recovered_to_once_is_not_forgotten_and_a_clock_that_goes_back_tells_nothing() -> None:
    assert seen((0, 0), (15, 60)).recoverable == NOW
    assert seen((15, 1), (0, 0)) == seen((15, 1))


def test_what_is_said_next_begins_where_the_last_ended() -> None:
    found = after(seen((0, 1), (15, 3)))
    assert (found.since, found.until, found.looks) == (NOW + MINUTE * 15, NOW + MINUTE * 15, 0)
    assert look(found, NOW + MINUTE * 20, MINUTE).at_most == MINUTE * 8
    assert parse(found.model_dump(mode="json")) == found
    assert parse({"since": "yesterday"}) is None
    assert parse(None) is None


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 200)), min_size=2, max_size=20))
def test_no_moment_was_worse_than_is_said(steps: list[tuple[int, int]]) -> None:
    """Of any history in which the newest recovery point only ever becomes newer."""
    at, recoverable, found, peak = 0, -1000, None, 0
    for gap, age in steps:
        at += gap
        if found is not None:
            peak = max(peak, at - recoverable)
        recoverable = max(recoverable, at - age)
        found = look(found, NOW + MINUTE * at, MINUTE * (at - recoverable))
        peak = max(peak, at - recoverable)
    assert found.at_most == MINUTE * peak
