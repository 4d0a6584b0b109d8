"""A wrong slot is a recovery point that nobody took, or one that two runs took for the same."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from desbuquei_backups.core.errors import ConfigurationError, SlotError
from desbuquei_backups.core.slots import Slot, SlotState, due_before, falls_due, is_since, last_due, next_due, state
from desbuquei_backups.core.tiers import load_policy

POLICY = load_policy()
CRONS = POLICY.scheduled
DAILY = CRONS["daily"]
LONGER = {"weekly", "monthly", "quarterly"}
ZONES = [
    ZoneInfo(name)
    for name in (
        "America/Sao_Paulo",
        "America/New_York",
        "Europe/Lisbon",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Asia/Kathmandu",
    )
]

instants = st.datetimes(datetime(2020, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
seconds = instants.map(lambda instant: instant.replace(microsecond=0))
tiers = st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True)
crons = st.sampled_from(sorted(CRONS.values()))


def clock_changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours (UTC) in which that zone's clocks are changed in that year."""
    begun = datetime(year, 1, 1, tzinfo=UTC)
    days = [begun + timedelta(days=day) for day in range(366)]
    changed = [day for day in days if _offset(zone, day) != _offset(zone, day + timedelta(days=1))]
    hours = (day + timedelta(hours=hour) for day in changed for hour in range(24))
    return [hour for hour in hours if _offset(zone, hour) != _offset(zone, hour + timedelta(hours=1))]


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta | None:
    return instant.astimezone(zone).utcoffset()


CHANGES = [hour for zone in ZONES for year in range(2024, 2041) for hour in clock_changes(zone, year)]
TURNS = [
    *(datetime(year, month, 1, tzinfo=UTC) for year in range(2024, 2041) for month in range(1, 13)),
    *(datetime(year, 2, 29, 2, tzinfo=UTC) for year in range(2024, 2041, 4)),
]
# Whatever goes wrong with clocks goes wrong near these.
edges = st.builds(
    lambda instant, micros: instant + timedelta(microseconds=micros),
    st.sampled_from(CHANGES + TURNS),
    st.one_of(st.sampled_from([-1, 0, 1]), st.integers(-4 * 3_600_000_000, 4 * 3_600_000_000)),
)
clock = st.one_of(
    edges,
    st.datetimes(datetime(2024, 1, 1), datetime(2040, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
)
zones = st.sampled_from(ZONES)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@given(tiers, seconds)
def test_a_backup_id_leads_back_to_its_slot(tier: str, due: datetime) -> None:
    slot = Slot(tier, due)
    assert Slot.of_id(slot.backup_id) == slot
    assert Slot.of_key(tier, slot.key) == slot


@given(st.lists(seconds, min_size=2, max_size=5))
def test_ids_of_a_tier_sort_as_their_instants(dues: list[datetime]) -> None:
    slots = [Slot("daily", due) for due in dues]
    assert sorted(slots) == sorted(slots, key=lambda slot: slot.backup_id)


def test_the_id_is_the_one_in_the_guide() -> None:
    assert Slot("daily", utc(2026, 2, 2, 2)).backup_id == "daily-2026-02-02-020000"
    assert Slot("daily", utc(2026, 2, 2, 2)).key == "2026-02-02-020000"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "daily",
        "daily-2026-02-02",
        "daily-2026-02-30-020000",
        "daily-2026-02-02-250000",
        "2026-02-02-020000",
        "Daily-2026-02-02-020000",
        "daily-2026-02-02-020000\n",
        "daily-2026-02-02-020000.sql.gz",
        "../daily-2026-02-02-020000",
    ],
)
def test_what_is_not_an_id_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a") as caught:
        Slot.of_id(wrong)
    assert "2026-02-02-020000" in caught.value.remedy


@pytest.mark.parametrize("due", [datetime(2026, 2, 2, 2), utc(2026, 2, 2).astimezone(timezone(timedelta(hours=-3)))])  # noqa: DTZ001
def test_a_due_time_that_is_not_utc_is_a_bug(due: datetime) -> None:
    with pytest.raises(ValueError, match="UTC"):
        Slot("daily", due)


@given(crons, instants)
def test_every_instant_lies_in_exactly_one_open_slot(cron: str, now: datetime) -> None:
    due = last_due(cron, now)
    following = next_due(cron, due)
    assert due <= now < following
    assert due.tzinfo is UTC
    assert state(Slot("tier", due), cron, now) is SlotState.OPEN
    assert state(Slot("tier", following), cron, now) is SlotState.FUTURE
    before = last_due(cron, due - timedelta(seconds=1))
    assert before < due
    assert state(Slot("tier", before), cron, now) is SlotState.CLOSED


@given(crons, seconds, instants)
def test_an_instant_that_is_never_due_is_no_slot(cron: str, instant: datetime, now: datetime) -> None:
    assume(last_due(cron, instant) != instant)
    with pytest.raises(SlotError, match="not due") as caught:
        state(Slot("daily", instant), cron, now)
    assert caught.value.backup_id == f"daily-{instant:%Y-%m-%d-%H%M%S}"
    assert Slot("daily", last_due(cron, instant)).key in caught.value.remedy


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (utc(2026, 2, 2, 1, 59, 59), SlotState.FUTURE),
        (utc(2026, 2, 2, 2), SlotState.OPEN),
        (utc(2026, 2, 2, 2, 0, 0, 1), SlotState.OPEN),
        (utc(2026, 2, 3, 1, 59, 59, 999_999), SlotState.OPEN),
        (utc(2026, 2, 3, 2), SlotState.CLOSED),
    ],
)
def test_a_daily_is_open_for_one_day_to_the_microsecond(now: datetime, expected: SlotState) -> None:
    assert state(Slot("daily", utc(2026, 2, 2, 2)), DAILY, now) is expected


@pytest.mark.parametrize(
    ("cron", "now", "due", "following"),
    [
        (DAILY, utc(2024, 2, 29, 12), utc(2024, 2, 29, 2), utc(2024, 3, 1, 2)),
        (DAILY, utc(2023, 2, 28, 12), utc(2023, 2, 28, 2), utc(2023, 3, 1, 2)),
        (DAILY, utc(2026, 1, 1, 1, 59, 59), utc(2025, 12, 31, 2), utc(2026, 1, 1, 2)),
        (CRONS["hourly"], utc(2025, 12, 31, 23, 30), utc(2025, 12, 31, 23), utc(2026, 1, 1)),
        (CRONS["weekly"], utc(2026, 1, 1), utc(2025, 12, 28, 2), utc(2026, 1, 4, 2)),
        (CRONS["monthly"], utc(2024, 3, 1, 1), utc(2024, 2, 1, 2), utc(2024, 3, 1, 2)),
        (CRONS["quarterly"], utc(2026, 2, 2), utc(2026, 1, 1, 2), utc(2026, 4, 1, 2)),
        (CRONS["quarterly"], utc(2026, 1, 1, 1), utc(2025, 10, 1, 2), utc(2026, 1, 1, 2)),
        # Brazil and Europe change their clocks here; UTC does not.
        (DAILY, utc(2018, 11, 4, 3), utc(2018, 11, 4, 2), utc(2018, 11, 5, 2)),
        (DAILY, utc(2026, 3, 29, 2), utc(2026, 3, 29, 2), utc(2026, 3, 30, 2)),
    ],
)
def test_leap_days_year_ends_and_clock_changes(cron: str, now: datetime, due: datetime, following: datetime) -> None:
    assert last_due(cron, now) == due
    assert next_due(cron, due) == following


@given(st.sampled_from(sorted(CRONS)), clock)
def test_whatever_the_clock_shows_one_slot_of_each_tier_is_open(tier: str, now: datetime) -> None:
    cron = CRONS[tier]
    due = last_due(cron, now)
    following = next_due(cron, now)
    assert due <= now < following
    assert (next_due(cron, due), last_due(cron, following - timedelta(microseconds=1))) == (following, due)
    before = next(due_before(cron, due))
    found = {slot: state(slot, cron, now) for slot in (Slot(tier, each) for each in (before, due, following))}
    assert list(found.values()) == [SlotState.CLOSED, SlotState.OPEN, SlotState.FUTURE]
    for slot in found:
        assert Slot.of_id(slot.backup_id) == Slot.of_key(tier, slot.key) == slot


@given(st.sampled_from(sorted(CRONS)), clock)
def test_a_slot_opens_and_closes_to_the_microsecond(tier: str, now: datetime) -> None:
    cron = CRONS[tier]
    slot = Slot(tier, last_due(cron, now))
    closes = next_due(cron, slot.due)
    instant = timedelta(microseconds=1)
    edges = (slot.due - instant, slot.due, closes - instant, closes)
    assert [state(slot, cron, each) for each in edges] == [
        SlotState.FUTURE,
        SlotState.OPEN,
        SlotState.OPEN,
        SlotState.CLOSED,
    ]


@given(st.sampled_from(sorted(CRONS)), clock)
def test_slots_leave_no_gap_and_do_not_overlap(tier: str, now: datetime) -> None:
    cron = CRONS[tier]
    newest_first = list(islice(due_before(cron, now), 20))
    oldest_first = [newest_first[-1]]
    while len(oldest_first) < 20:
        oldest_first.append(next_due(cron, oldest_first[-1]))
    assert oldest_first == newest_first[::-1]
    assert len(set(oldest_first)) == 20


@given(st.sampled_from(sorted(CRONS)), clock, zones)
@example("hourly", utc(2024, 10, 27), ZoneInfo("Europe/Lisbon"))
def test_a_clock_of_another_zone_shows_the_same_slots(tier: str, now: datetime, zone: ZoneInfo) -> None:
    cron, there = CRONS[tier], now.astimezone(zone)
    assert last_due(cron, there) == last_due(cron, now)
    assert next_due(cron, there) == next_due(cron, now)
    assert next(due_before(cron, there)) == next(due_before(cron, now))
    slot = Slot(tier, last_due(cron, there))
    assert falls_due(cron, slot.due.astimezone(zone))
    assert state(slot, cron, there) is SlotState.OPEN


@pytest.mark.parametrize("asked", [last_due, next_due, falls_due, due_before])
def test_an_instant_of_no_zone_is_a_bug(asked: Callable[[str, datetime], object]) -> None:
    with pytest.raises(ValueError, match="aware"):
        asked(DAILY, datetime(2026, 2, 2, 2))  # noqa: DTZ001


@given(clock)
def test_a_quarter_begins_in_january_april_july_and_october(now: datetime) -> None:
    dues = list(islice(due_before(CRONS["quarterly"], now), 4))
    assert sorted(due.month for due in dues) == [1, 4, 7, 10]
    assert {(due.day, due.hour, due.minute, due.second) for due in dues} == {(1, 2, 0, 0)}


@given(st.sampled_from(sorted(LONGER)), clock)
def test_there_is_a_daily_and_an_hourly_to_take_over_whenever_a_longer_tier_is_due(tier: str, now: datetime) -> None:
    for due in (last_due(CRONS[tier], now), next_due(CRONS[tier], now)):
        assert set(POLICY.due_at(due)) >= {"hourly", "daily", tier}


@given(clock)
def test_what_was_asked_for_can_be_finished_for_a_day(now: datetime) -> None:
    slot = Slot("manual", now.replace(microsecond=0))
    instant, day = timedelta(microseconds=1), timedelta(days=1)
    edges = (slot.due - instant, slot.due, slot.due + day - instant, slot.due + day)
    assert [state(slot, None, each) for each in edges] == [
        SlotState.FUTURE,
        SlotState.OPEN,
        SlotState.OPEN,
        SlotState.CLOSED,
    ]


@pytest.mark.parametrize(
    ("backup_id", "matters"),
    [
        ("daily-2026-02-02-020000", True),
        ("daily-2026-02-01-020000", False),
        ("hourly-2026-02-02-030000", False),
        ("daily", False),
        ("", False),
    ],
)
def test_a_slot_of_before_is_told_by_how_its_id_is_written(backup_id, matters):
    assert is_since(backup_id, {"daily": "2026-02-02-020000"}) is matters
