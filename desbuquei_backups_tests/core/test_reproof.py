"""A copy that lies for seven years and is never read is a hope."""

from datetime import UTC, datetime, timedelta

from desbuquei_backups.core.periods import Period, Unit
from desbuquei_backups.core.reproof import Due, due, longer_tiers
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import load_policy

NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
YEAR = load_policy().reproof
OLD, NEW = (Slot("monthly", datetime(2025, month, 1, 2, tzinfo=UTC)) for month in (3, 12))
QUARTERLY = Slot("quarterly", datetime(2020, 1, 1, 2, tzinfo=UTC))


def test_only_tiers_that_are_proven_by_another_ones_restored_copy_are_restored_once_more() -> None:
    assert longer_tiers(load_policy()) == ["weekly", "monthly", "quarterly"]


def test_of_each_tier_the_oldest_copy_is_due_a_year_after_the_last_one_of_it_and_at_once_if_there_was_none() -> None:
    year_ago = datetime(2025, 2, 2, 12, tzinfo=UTC)
    kept = [NEW, OLD, QUARTERLY]
    assert due(kept, {}, YEAR, NOW) == [Due(OLD, None), Due(QUARTERLY, None)]
    assert due(kept, {"monthly": year_ago, "quarterly": year_ago + timedelta(seconds=1)}, YEAR, NOW) == [
        Due(OLD, year_ago)
    ]
    assert due(kept, {"monthly": NOW, "quarterly": NOW}, YEAR, NOW) == []
    assert due([], {}, YEAR, NOW) == []
    month = Period(count=1, unit=Unit.MONTH)
    assert due(kept, {"monthly": year_ago, "quarterly": NOW - timedelta(days=30)}, month, NOW) == [Due(OLD, year_ago)]
