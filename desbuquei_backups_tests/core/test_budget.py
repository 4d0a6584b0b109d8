"""How often an hourly dump is affordable, and what happens when it is not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.budget import Cadence, Spent, cadence, left_out
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Policy, Tier, load_policy

POLICY = load_policy()
NOW = datetime(2026, 2, 2, 2, 10, tzinfo=UTC)
GB = 1_000_000_000
HOUR = timedelta(hours=1)
_INSTANTS = st.integers(1_700_000_000, 1_990_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def spent(dump_gb: float, last: datetime, month_gb: float = 0) -> Spent:
    return Spent(int(month_gb * GB), int(dump_gb * GB), timedelta(seconds=60), last)


@pytest.mark.parametrize(
    ("dump_gb", "every", "interval"),
    [(0.1, 1, HOUR), (0.27, 1, HOUR), (0.3, 2, 2 * HOUR), (1.4, 6, 6 * HOUR), (3, 12, 12 * HOUR)],
)
def test_the_cadence_is_stretched_until_a_month_fits_the_budget(
    dump_gb: float, every: int, interval: timedelta
) -> None:
    found = cadence(POLICY, "hourly", int(dump_gb * GB), NOW)
    assert (found.every, found.interval) == (every, interval)
    assert found.stretched is (every > 1)
    assert found.stretched_bytes <= found.allowed_bytes == 200 * GB


@pytest.mark.parametrize("dump_gb", [5, 7, 500])
def test_full_tiers_are_dumped_whatever_that_costs_and_the_hourly_takes_none(dump_gb: float) -> None:
    found = cadence(POLICY, "hourly", int(dump_gb * GB), NOW)
    assert (found.every, found.interval) == (None, timedelta(days=1))
    assert found.stretched_bytes == 30 * dump_gb * GB


@given(st.integers(1, 20 * GB), _INSTANTS)
def test_a_stretched_cadence_is_the_densest_that_is_affordable(dump_bytes: int, now: datetime) -> None:
    found = cadence(POLICY, "hourly", dump_bytes, now)
    if found.every is None:
        return
    assert found.stretched_bytes <= found.allowed_bytes
    if found.every > 1:
        denser = _bytes_at(found.every - 1, dump_bytes, now)
        assert denser > found.allowed_bytes


def _bytes_at(every: int, dump_bytes: int, now: datetime) -> int:
    """What so many due times between two dumps read in 30 days, counted day by day: 24 a day, the daily at 02:00."""
    counted = 0
    passed = None
    at = now.replace(minute=0, second=0, microsecond=0)
    while (at := at + HOUR) <= now + timedelta(days=30):
        if at.hour == 2:
            passed, counted = 0, counted + 1
        else:
            passed = (passed or 0) + 1
            if passed == every:
                passed, counted = 0, counted + 1
    return counted * dump_bytes


def test_an_hourly_slot_is_left_out_until_enough_due_times_have_passed() -> None:
    daily = datetime(2026, 2, 2, 2, tzinfo=UTC)
    out = [
        left_out(POLICY, Slot("hourly", daily + hours * HOUR), spent(1.4, last=daily)) is not None
        for hours in range(1, 8)
    ]
    assert out == [True] * 5 + [False] * 2


def test_where_a_full_tier_is_due_the_hourly_is_never_left_out() -> None:
    daily = datetime(2026, 2, 3, 2, tzinfo=UTC)
    assert left_out(POLICY, Slot("hourly", daily), spent(50, last=daily - HOUR, month_gb=500)) is None


def test_what_retries_and_manual_backups_have_read_counts_too() -> None:
    slot = Slot("hourly", datetime(2026, 2, 2, 9, tzinfo=UTC))
    why = left_out(POLICY, slot, spent(0.1, last=slot.due - 5 * HOUR, month_gb=199.94))
    assert why is not None
    assert "199.9 GB were read" in why


def test_before_the_first_dump_nothing_is_left_out() -> None:
    slot = Slot("hourly", datetime(2026, 2, 2, 9, tzinfo=UTC))
    assert left_out(POLICY, slot, Spent(0, None, None, None)) is None


def test_without_full_tiers_the_hourly_has_the_whole_budget() -> None:
    policy = Policy.model_validate(
        {**POLICY.model_dump(exclude={"tiers", "evidence", "reproof"}), "tiers": {}} | _only_hourly()
    )
    found = cadence(policy, "hourly", 1 * GB, NOW)
    assert isinstance(found, Cadence)
    assert found.every == 4
    assert cadence(policy, "hourly", 300 * GB, NOW).every is None


def _only_hourly() -> dict[str, object]:
    tier: Tier = POLICY.tier("hourly")
    return {
        "recovery_point_objective": "1 hour",
        "recovery_time_objective": "15 minutes",
        "lock_timeout": "2 minutes",
        "pitr_window": "7 days",
        "tiers": {
            "hourly": {
                "cron": tier.cron,
                "takes": "incremental",
                "kept_in_s3": "7 days",
                "never_fewer_than": 24,
                "storage_class": "STANDARD",
            }
        },
    }
