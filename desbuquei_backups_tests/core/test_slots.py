"""A wrong slot is a recovery point that nobody took, or one that two runs took for the same."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from desbuquei_backups.core.errors import ConfigurationError, SlotError
from desbuquei_backups.core.slots import Slot, SlotState, last_due, next_due, state

DAILY = "0 2 * * *"
CRONS = {
    "hourly": "0 * * * *",
    "daily": DAILY,
    "weekly": "0 2 * * 0",
    "monthly": "0 2 1 * *",
    "quarterly": "0 2 1 1,4,7,10 *",
}

instants = st.datetimes(datetime(2020, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
seconds = instants.map(lambda instant: instant.replace(microsecond=0))
tiers = st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True)
crons = st.sampled_from(sorted(CRONS.values()))


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
