"""Who promises to be back in fifteen minutes must be told when that is not what was measured."""

from datetime import UTC, datetime, timedelta

import pytest

from desbuquei_backups.core.objectives import Measured, Point, RecoveryTime, recovery_times
from desbuquei_backups.core.thawing import State, Thaw, by_the_clock, time_to_thaw

NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
FIFTEEN = timedelta(minutes=15)
DAILY, HOURLY, QUARTERLY = "daily-2026-02-02-020000", "hourly-2026-02-02-120000", "quarterly-2026-01-01-020000"
MEASURED = Measured(DAILY, 240.2, datetime(2026, 2, 2, 3, tzinfo=UTC))


def point(backup_id: str, storage_class: str = "STANDARD", **changed: object) -> Point:
    taken_at = datetime.strptime(backup_id.partition("-")[2], "%Y-%m-%d-%H%M%S").replace(tzinfo=UTC)
    return Point(backup_id, taken_at, storage_class, **changed)  # type: ignore[arg-type]


def thawing(*, hours: float, state: State = State.THAWING) -> Thaw:
    return Thaw(QUARTERLY, state, "DEEP_ARCHIVE", readable_by=NOW + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("storage_class", "thaw", "hours"),
    [
        ("STANDARD", None, 0),
        ("GLACIER_IR", None, 0),
        ("REDUCED_REDUNDANCY", None, 0),
        ("GLACIER", None, 5),
        ("DEEP_ARCHIVE", None, 12),
        ("DEEP_ARCHIVE", thawing(hours=3), 3),
        ("DEEP_ARCHIVE", thawing(hours=-1), 12),  # overdue: nobody knows
        ("DEEP_ARCHIVE", Thaw(QUARTERLY, State.THAWING, "DEEP_ARCHIVE"), 12),
        ("DEEP_ARCHIVE", thawing(hours=-1, state=State.THAWED), 0),
    ],
)
def test_what_is_frozen_takes_as_long_as_its_class_and_what_is_thawed_nothing(storage_class, thaw, hours) -> None:
    assert time_to_thaw(storage_class, thaw, NOW) == timedelta(hours=hours)


def test_the_newest_that_can_be_read_is_estimated_and_each_that_must_be_thawed() -> None:
    points = [
        point(HOURLY),
        point(DAILY, "STANDARD_IA", measured=MEASURED),
        point(QUARTERLY, "DEEP_ARCHIVE"),
        point("yearly-2026-01-01-020000", "GLACIER"),
    ]
    found = recovery_times(points, MEASURED, NOW)
    assert [(each.backup_id, each.thaw) for each in found] == [
        (HOURLY, timedelta()),
        ("yearly-2026-01-01-020000", timedelta(hours=5)),
        (QUARTERLY, timedelta(hours=12)),
    ]
    assert {each.measured for each in found} == {MEASURED}
    assert found[0].total == timedelta(minutes=4, seconds=1)
    assert found[2].total == timedelta(hours=12, minutes=4, seconds=1)


def test_its_own_restored_copy_says_more_than_a_newer_one_of_another() -> None:
    own = Measured(HOURLY, 60, NOW - timedelta(days=9))
    (found,) = recovery_times([point(HOURLY, measured=own)], MEASURED, NOW)
    assert found.measured == own


def test_without_a_backup_there_is_nothing_to_say() -> None:
    assert recovery_times([], MEASURED, NOW) == []


@pytest.mark.parametrize(
    ("measured", "thaw", "exceeds", "said"),
    [
        (
            MEASURED,
            timedelta(),
            False,
            f"about 4 min 1 s from {DAILY} (measured by its restored copy on 2026-02-02); promised: 15 min",
        ),
        (
            Measured(HOURLY, 900.1),
            timedelta(),
            True,
            f"about 15 min 1 s from {DAILY} (measured by the restored copy of {HOURLY}), more than the promised 15 min",
        ),
        (
            MEASURED,
            timedelta(hours=12),
            True,
            f"about 4 min 1 s + up to 12 h to thaw from {DAILY} (measured by its restored copy on 2026-02-02), "
            "more than the promised 15 min",
        ),
        (None, timedelta(), None, f"not known for {DAILY}: nothing was restored yet; promised: 15 min"),
        (
            None,
            timedelta(hours=12),
            True,
            f"not known for {DAILY}: nothing was restored yet; up to 12 h to thaw, more than the promised 15 min",
        ),
    ],
)
def test_it_says_what_was_measured_and_whether_it_is_too_long(measured, thaw, exceeds, said) -> None:
    found = RecoveryTime(DAILY, measured, thaw)
    assert (found.exceeds(FIFTEEN), found.said(FIFTEEN)) == (exceeds, said)


@pytest.mark.parametrize(
    ("hours", "state"), [(0, State.THAWING), (11.9, State.THAWING), (12, State.THAWED), (23, State.THAWED), (24, None)]
)
def test_what_was_asked_for_is_readable_by_its_hour_and_until_its_days_are_over(hours, state) -> None:
    asked_at = NOW - timedelta(hours=hours)
    found = by_the_clock(QUARTERLY, "DEEP_ARCHIVE", asked_at + timedelta(hours=12), asked_at + timedelta(days=1), NOW)
    assert (found.state if found is not None else None) == state


def test_what_was_never_asked_for_is_not_being_thawed() -> None:
    assert by_the_clock(QUARTERLY, "DEEP_ARCHIVE", None, None, NOW) is None
