"""What S3 costs: least durations and sizes count, or the bill is a surprise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.prices import LEAST_DURATION, LIST_PRICES, TierCost, monthly_costs, stored_as
from desbuquei_backups.core.tiers import StorageClass, load_policy

POLICY = load_policy()
GB = 1_000_000_000


def of(tier: str, dump_bytes: int, policy: object = POLICY) -> TierCost:
    return next(each for each in monthly_costs(policy, dump_bytes) if each.tier == tier)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tier", "kept", "usd"),
    [
        ("hourly", 168, 168 * 0.023),
        ("daily", 30, 30 * 0.0125),
        ("weekly", 12, 12 * 0.0125),
        ("monthly", 12, 12 * 0.004),
        ("quarterly", 28, 28 * 0.00099),
    ],
)
def test_a_full_tier_of_gigabytes_costs_what_the_list_says(tier: str, kept: int, usd: float) -> None:
    found = of(tier, GB)
    assert (found.kept, found.billed, found.usd) == (kept, kept, pytest.approx(usd, rel=1e-3))


def test_what_is_deleted_before_its_classs_least_duration_is_billed_all_the_same() -> None:
    daily = POLICY.tier("daily").model_copy(update={"storage_class": StorageClass.DEEP_ARCHIVE})
    found = of("daily", GB, POLICY.model_copy(update={"tiers": {"daily": daily}}))
    assert (found.kept, found.billed, found.wasted) == (30, 180, True)


def test_a_small_dump_is_not_billed_as_128_kib() -> None:
    found = of("daily", 1000)
    assert (found.storage_class, found.usd) == (StorageClass.STANDARD, pytest.approx(30 * 1000 / GB * 0.023))


def test_a_frozen_object_has_its_index_besides() -> None:
    assert of("quarterly", 1).usd == pytest.approx(28 * (32769 * 0.00099 + 8192 * 0.023) / GB)


def test_the_policys_own_prices_take_the_lists_place() -> None:
    dear = POLICY.model_copy(update={"storage_prices": {StorageClass.STANDARD: 1.0}})
    assert of("hourly", GB, dear).usd == pytest.approx(168)


def test_every_class_has_a_price_and_a_least_duration() -> None:
    assert LIST_PRICES.keys() == LEAST_DURATION.keys() == set(StorageClass)


@given(st.integers(1, 10**13), st.integers(0, 10**12))
def test_more_bytes_never_cost_less_within_a_class(size: int, more: int) -> None:
    for less, bigger in zip(monthly_costs(POLICY, size), monthly_costs(POLICY, size + more), strict=True):
        tier = POLICY.tier(less.tier)
        if stored_as(tier, size) is stored_as(tier, size + more):
            assert bigger.usd >= less.usd
