"""Retention of WAL: nothing goes that any second of the window needs."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.recovery import Base
from desbuquei_backups.core.wal import Histories, Segment, needed
from desbuquei_backups.core.wal_retention import bases_of_window, wal_verdict

NOW = datetime(2026, 2, 20, tzinfo=UTC)
WINDOW = timedelta(days=7)
SIZE = 16 * 1024 * 1024


def base(days: float, number: int, timeline: int = 1, parent: str | None = None) -> Base:
    """A base backup that was whole so many days ago, in that segment."""
    return Base(
        f"daily-{number}", timeline, number * SIZE + 40, number * SIZE + 400, NOW - timedelta(days=days), 1, 1, parent
    )


def names(*numbers: int, timeline: int = 1) -> list[str]:
    return [Segment(timeline, number).name for number in numbers]


def test_what_is_older_than_the_window_s_first_base_goes() -> None:
    bases = [base(9, 10), base(8, 20), base(7, 30), base(6, 40)]
    found = wal_verdict([*names(*range(5, 50)), "00000002.history"], bases, SIZE, NOW, WINDOW)
    assert found.going == names(*range(5, 30))
    assert found.since == bases[2]
    assert found.kept == 21


def test_without_a_base_that_is_old_enough_nothing_after_the_oldest_goes() -> None:
    assert wal_verdict(names(1, 2, 3), [base(1, 2)], SIZE, NOW, WINDOW).going == names(1)


def test_without_a_base_nothing_goes_and_an_increment_is_none() -> None:
    assert wal_verdict(names(1, 2), [], SIZE, NOW, WINDOW).going == ()
    assert wal_verdict(names(1, 2), [base(9, 2, parent="daily-1")], SIZE, NOW, WINDOW).going == ()


def test_labels_go_with_their_segments_and_histories_never() -> None:
    label = f"{Segment(1, 3).name}.00000028.backup"
    found = wal_verdict(
        [label, f"{Segment(1, 9).name}.00000028.backup", "00000002.history"], [base(8, 9)], SIZE, NOW, WINDOW
    )
    assert found.going == [label]


def test_a_server_that_was_set_back_keeps_what_its_new_base_needs() -> None:
    found = wal_verdict([*names(40, 41), *names(20, 21, timeline=2)], [base(8, 40), base(1, 21, 2)], SIZE, NOW, WINDOW)
    assert found.going == names(20, timeline=2)


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 60)), min_size=1, max_size=8),
    st.floats(0, 6.9),
)
def test_every_moment_of_the_window_that_was_within_reach_stays_so(
    taken: list[tuple[float, int]], asked: float
) -> None:
    # As one server makes them: the later, the further.
    numbers = sorted(number for _, number in taken)
    bases = [
        base(days, number)
        for days, number in zip(sorted((days for days, _ in taken), reverse=True), numbers, strict=True)
    ]
    there = names(*range(70))
    left = set(there) - set(wal_verdict(there, bases, SIZE, NOW, WINDOW).going)
    target = NOW - timedelta(days=asked)
    reachable = [each for each in bases if each.stopped_at <= target]
    if reachable:
        nearest = max(reachable, key=lambda each: each.stopped_at)
        assert nearest in bases_of_window(bases, NOW, WINDOW)
        assert {each.name for each in needed(1, nearest.start, 70 * SIZE, Histories({}))} <= left
