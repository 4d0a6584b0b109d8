"""When the disk is full: a date that can be acted on, or that it is not known."""

from datetime import UTC, datetime, timedelta

import pytest

from desbuquei_backups.core.forecast import Sample, forecast, said

NOW = datetime(2026, 2, 15, tzinfo=UTC)
GB = 10**9


def hourly(days: int, used: list[float]) -> list[Sample]:
    """An hourly sample for so many days, each day's `used` in turn repeated over its hours."""
    start = NOW - timedelta(days=days)
    return [Sample(start + timedelta(hours=hour), int(used[hour % len(used)] * GB)) for hour in range(days * 24 + 1)]


def test_steady_growth_is_followed_to_the_end() -> None:
    grown = [Sample(each.at, each.used + number * GB // 24) for number, each in enumerate(hourly(10, [100.0]))]
    found = forecast(grown, 130 * GB, NOW)
    assert found is not None
    assert found.bytes_a_day == pytest.approx(GB, rel=1e-3)
    assert found.full_at is not None
    assert abs(found.full_at - NOW - timedelta(days=20)) < timedelta(hours=1)
    assert said(found, NOW) == "growing by 1.00 GB a day, it is full on 2026-03-07 (in 20 d)"


def test_what_retention_takes_away_again_every_night_is_no_growth() -> None:
    found = forecast(hourly(10, [100.0 + hour for hour in range(24)]), 130 * GB, NOW)
    assert found is not None
    assert found.full_at is None
    assert said(found, NOW) == "it does not fill, as it grew lately"


@pytest.mark.parametrize(
    "samples", [[], hourly(1, [1.0])[:1], hourly(1, [1.0]), [Sample(NOW - timedelta(days=20), 1)] * 2]
)
def test_less_than_two_days_tell_nothing(samples: list[Sample]) -> None:
    assert forecast(samples, 9 * GB, NOW) is None
    assert "not known" in said(None, NOW)


def test_a_disk_that_empties_is_never_full() -> None:
    found = forecast(
        [Sample(NOW - timedelta(hours=36), 9 * GB), Sample(NOW - timedelta(days=3), 9 * GB), Sample(NOW, 8 * GB)],
        10 * GB,
        NOW,
    )
    assert found is not None
    assert found.full_at is None
