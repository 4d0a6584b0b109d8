"""What keeping the tiers in S3 costs a month, at list prices, by each storage class's own rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from desbuquei_backups.core.slots import due_before
from desbuquei_backups.core.tiers import Policy, StorageClass, Tier

# USD for a GB and month in us-east-1, first 50 TB: https://aws.amazon.com/s3/pricing/, November 2025. The policy's
# `storage_prices` take their place.
LIST_PRICES: Mapping[StorageClass, float] = {
    StorageClass.STANDARD: 0.023,
    StorageClass.STANDARD_IA: 0.0125,
    StorageClass.GLACIER_IR: 0.004,
    StorageClass.GLACIER: 0.0036,
    StorageClass.DEEP_ARCHIVE: 0.00099,
}
# What is deleted sooner is billed until then: https://aws.amazon.com/s3/storage-classes/
LEAST_DURATION: Mapping[StorageClass, timedelta] = {
    StorageClass.STANDARD: timedelta(),
    StorageClass.STANDARD_IA: timedelta(days=30),
    StorageClass.GLACIER_IR: timedelta(days=90),
    StorageClass.GLACIER: timedelta(days=90),
    StorageClass.DEEP_ARCHIVE: timedelta(days=180),
}
# Each frozen object has 32 KiB of index in its class and 8 KiB in STANDARD besides.
_INDEX, _NAME = 32 * 1024, 8 * 1024
_GB = 1_000_000_000
_COUNTED_FROM = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TierCost:
    """What one tier costs once it is full: `kept` is how many backups there are, `billed` how many are paid for.

    They differ where backups are deleted before their class's least duration. USD are for a month.
    """

    tier: str
    storage_class: StorageClass
    kept: int
    billed: int
    usd: float

    @property
    def wasted(self) -> bool:
        return self.billed > self.kept


def monthly_costs(policy: Policy, dump_bytes: int) -> list[TierCost]:
    """What each tier that falls due costs a month once it is full, a dump being that many bytes; requests not counted.

    At most: an hour in which nothing changed stores nothing. Of what is taken on demand nobody knows how much there is.
    """
    prices = {**LIST_PRICES, **policy.storage_prices}
    return [_cost(name, policy.tiers[name], cron, dump_bytes, prices) for name, cron in policy.scheduled.items()]


def stored_as(tier: Tier, size: int) -> StorageClass:
    """The class that a dump of `size` bytes of that tier is stored in: never one that bills it as a larger one."""
    return tier.storage_class if size >= tier.storage_class.least_billed else StorageClass.STANDARD


def _cost(name: str, tier: Tier, cron: str, size: int, prices: Mapping[StorageClass, float]) -> TierCost:
    used = stored_as(tier, size)
    kept_since = tier.kept_in_s3.before(_COUNTED_FROM)
    kept = max(_counted(cron, kept_since), tier.never_fewer_than)
    billed = max(kept, _counted(cron, min(kept_since, _COUNTED_FROM - LEAST_DURATION[used])))
    index, name_bytes = (_INDEX, _NAME) if used.frozen else (0, 0)
    each = (size + index) * prices[used] + name_bytes * prices[StorageClass.STANDARD]
    return TierCost(name, used, kept, billed, billed * each / _GB)


def _counted(cron: str, since: datetime) -> int:
    return sum(1 for _ in takewhile(lambda due: due >= since, due_before(cron, _COUNTED_FROM)))
