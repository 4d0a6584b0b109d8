"""A plan that promises what is not there is found out at three in the morning."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.recovery import Base, Plan, Point, Unreachable, Wal, plan
from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.wal import Branch, Histories, Segment

_SIZE = 1024 * 1024
_NOON = datetime(2026, 2, 2, 12, tzinfo=UTC)
_ONE = Histories({})
# Timeline 2 left the first in the middle of its segment 6.
_TWO = Histories({2: [Branch(1, 6 * _SIZE + 500)]})


def minutes(count: float) -> datetime:
    return _NOON + timedelta(minutes=count)


def base(number: int, *, timeline: int = 1, name: str = "", parent: str | None = None) -> Base:
    """A base backup that begins in segment `number`, and is whole in the same one, half a minute later."""
    start = number * _SIZE + 40
    whole = minutes(number + 0.5)
    return Base(name or f"base {number}", timeline, start, start + 100, whole, 500_000_000, 50_000_000, parent)


def wal(numbers: Iterable[int], *, points: Iterable[Point] = (), timeline: int = 1, histories: Histories = _ONE) -> Wal:
    """Segments of one timeline; each was written a minute after the one before."""
    written = {Segment(timeline, number, _SIZE).name: minutes(number + 1) for number in numbers}
    return Wal(frozenset(written), histories, tuple(points), _SIZE, written)


def both(first: Iterable[int], second: Iterable[int]) -> Wal:
    """Segments of timeline 1, and of timeline 2 that left it."""
    one, two = wal(first), wal(second, timeline=2)
    return Wal(one.segments | two.segments, _TWO, (), _SIZE, {**one.written, **two.written})


def point(number: int, name: str | None = "ponto") -> Point:
    """A restore point in the middle of a segment, its heartbeat behind it."""
    return Point(1, number * _SIZE + 500, minutes(number + 0.5), name, (number + 1) * _SIZE)


def planned(found: Plan | Unreachable) -> tuple[str, list[int]]:
    assert isinstance(found, Plan), found
    return found.base.backup_id, [segment.number for segment in found.segments]


def refused(found: Plan | Unreachable) -> str:
    assert isinstance(found, Unreachable), found
    return found.why


@pytest.mark.parametrize(
    ("target", "needs"),
    [
        (Target(), ("base 6", [7, 8])),
        (Target(position=8 * _SIZE + 3), ("base 6", [7, 8])),
        (Target(position=8 * _SIZE), ("base 6", [7])),
        (Target(position=6 * _SIZE + 140), ("base 6", [])),
        (Target(position=6 * _SIZE + 39), ("base 2", [3, 4, 5, 6])),
        (Target(at=minutes(6)), ("base 2", [3, 4, 5, 6, 7, 8])),
        (Target(at=minutes(7)), ("base 6", [7, 8])),
        (Target(at=minutes(9)), ("base 6", [7, 8])),
        (Target(name="base 2"), ("base 2", [])),
        (Target(name="never recorded"), ("base 2", [3, 4, 5, 6, 7, 8])),
    ],
)
def test_the_nearest_base_and_the_wal_after_it_are_chosen(target: Target, needs: tuple[str, list[int]]) -> None:
    assert planned(plan([base(6), base(2)], wal(range(2, 9)), target)) == needs


def test_up_to_the_first_point_that_is_known_to_be_later_is_enough_and_then_the_target_is_certain() -> None:
    known = wal(range(2, 9), points=[point(7, "depois"), point(4, "antes")])
    found = plan([base(2)], known, Target(at=minutes(4.2)))
    assert planned(found) == ("base 2", [3, 4])
    assert isinstance(found, Plan)
    assert found.certain
    last = plan([base(2)], known, Target(at=minutes(8)))
    assert planned(last) == ("base 2", [3, 4, 5, 6, 7, 8])
    assert isinstance(last, Plan)
    assert not last.certain  # nothing tells whether anything was committed after it
    assert planned(plan([base(2)], known, Target(name="antes"))) == ("base 2", [3, 4])


@pytest.mark.parametrize(
    ("bases", "numbers", "target", "why"),
    [
        ([], range(2, 9), Target(), "there is no base backup"),
        ([base(2)], range(2, 9), Target(at=minutes(2)), "before the oldest base backup, base 2, was whole"),
        ([base(2)], range(2, 9), Target(position=5), "before the oldest base backup, base 2, was whole"),
        ([base(2)], range(2, 9), Target(position=2 * _SIZE + 50), "lies within the base backup base 2"),
        ([base(2)], range(2, 9), Target(at=minutes(9.1)), "after the newest WAL"),
        ([base(2)], range(2, 9), Target(position=9 * _SIZE + 1), "after the newest WAL"),
        ([base(2)], [], Target(at=minutes(3)), "after the newest WAL"),
        ([base(2)], [3, 4, 6], Target(at=minutes(6)), "WAL is missing after base 2: 000000010000000000000005"),
        ([base(2)], [4, 5], Target(position=5 * _SIZE), "WAL is missing after base 2: 000000010000000000000003"),
        ([base(2)], [3, 4, 6], Target(), "WAL is missing after base 2: 000000010000000000000005"),
        ([base(2)], [4, 5], Target(), "WAL is missing after base 2: 000000010000000000000003"),
    ],
)
def test_what_cannot_be_reached_says_which_part_is_missing(
    bases: list[Base], numbers: Iterable[int], target: Target, why: str
) -> None:
    assert why in refused(plan(bases, wal(numbers), target))


def test_a_gap_cuts_no_later_base_off_and_an_old_base_is_a_point_of_its_own() -> None:
    there = wal([8, 9])
    assert planned(plan([base(2), base(7)], there, Target())) == ("base 7", [8, 9])
    assert planned(plan([base(2), base(7)], there, Target(name="base 2"))) == ("base 2", [])
    assert "missing after base 2" in refused(plan([base(2), base(7)], there, Target(position=5 * _SIZE)))
    found = plan([base(2), base(7)], there, Target(position=5 * _SIZE))
    assert isinstance(found, Unreachable)
    assert [window.base.backup_id for window in found.windows] == ["base 2", "base 7"]
    assert "alone" in found.windows[0].said()


def test_the_way_leads_over_the_branch_and_a_base_behind_it_is_not_on_it() -> None:
    there = both(range(2, 9), range(6, 11))
    found = plan([base(2), base(7)], there, Target())
    assert isinstance(found, Plan)
    assert found.timeline == 2
    assert found.base.backup_id == "base 2"  # base 7 was taken by a server that nobody followed
    assert [(each.timeline, each.number) for each in found.segments] == [
        *((1, number) for number in (3, 4, 5)),
        *((2, number) for number in (6, 7, 8, 9, 10)),
    ]
    old = plan([base(2), base(7)], there, Target(), timeline=1)
    assert planned(old) == ("base 7", [8])
    assert "history of timeline 3" in refused(plan([base(2)], there, Target(), timeline=3))


def test_an_increment_is_taken_only_if_asked_for_and_only_where_it_is_cheaper() -> None:
    increment = base(60, name="hourly", parent="base 2")
    there = wal(range(2, 64))
    small = replace(base(2), size=5_000_000)
    assert planned(plan([small, increment], there, Target()))[1] == list(range(3, 64))
    found = plan([small, replace(increment, stored=1_000_000)], there, Target(), increments=True)
    assert isinstance(found, Plan)
    assert found.latest.backup_id == "hourly"
    assert [segment.number for segment in found.segments] == [61, 62, 63]
    large = plan([base(2), increment], there, Target(), increments=True)
    assert isinstance(large, Plan)
    assert large.increment is None  # combining writes half a gigabyte once more
    early = plan([small, increment], there, Target(position=59 * _SIZE), increments=True)
    assert isinstance(early, Plan)
    assert early.increment is None


@given(
    bases=st.sets(st.integers(1, 40), min_size=1, max_size=5),
    numbers=st.sets(st.integers(1, 45)),
    position=st.integers(0, 46 * _SIZE),
)
def test_a_plan_has_every_byte_from_its_base_to_the_target_and_a_refusal_has_no_such_base(
    bases: set[int], numbers: set[int], position: int
) -> None:
    there = wal(numbers)
    found = plan([base(number) for number in bases], there, Target(position=position))
    # By the bytes, one after the other: a base's own segment, then what is in the archive.
    reachable = {
        number
        for number in bases
        if number * _SIZE + 140 <= position and set(range(number + 1, -(-position // _SIZE))) <= numbers
    }
    if isinstance(found, Unreachable):
        assert not reachable
        return
    assert int(found.base.backup_id.split()[1]) == max(reachable)  # the least WAL
    assert [segment.number for segment in found.segments] == list(range(max(reachable) + 1, -(-position // _SIZE)))
    assert all(segment.name in there.segments for segment in found.segments)


@given(
    bases=st.sets(st.integers(1, 20), min_size=1, max_size=4),
    numbers=st.sets(st.integers(1, 25)),
    at=st.floats(0, 30),
)
def test_a_moment_is_never_promised_from_a_base_that_was_not_whole_or_over_a_gap(
    bases: set[int], numbers: set[int], at: float
) -> None:
    there = wal(numbers)
    found = plan([base(number) for number in bases], there, Target(at=minutes(at)))
    if isinstance(found, Plan):
        begun = int(found.base.backup_id.split()[1])
        assert begun + 0.5 <= at
        listed = [segment.number for segment in found.segments]
        assert listed == list(range(begun + 1, begun + 1 + len(listed)))
        assert set(listed) <= numbers
        assert at <= listed[-1] + 1
