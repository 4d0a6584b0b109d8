"""A tier's slots as Dagster partitions: the key is the due time, and the slot is open from it to the next one."""

from datetime import datetime

import dagster as dg

from desbuquei_backups.core.slots import KEY_FORMAT, last_due
from desbuquei_backups.core.tiers import Tier


def slots_of(tier: Tier, protected_since: datetime) -> dg.TimeWindowPartitionsDefinition:
    """The partitions of `tier` from its last due time at or before `protected_since`, the open slot included."""
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=tier.cron,
        start=last_due(tier.cron, protected_since),
        fmt=KEY_FORMAT,
        timezone="UTC",
        end_offset=1,
    )
