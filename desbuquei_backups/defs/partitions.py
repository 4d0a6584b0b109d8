"""A tier's slots as Dagster partitions: the key is the due time, and the slot is open from it to the next one."""

from datetime import datetime
from typing import Any

import dagster as dg

from desbuquei_backups.core.slots import KEY_FORMAT, last_due
from desbuquei_backups.core.tiers import Policy


def on_demand_name(database: str, tier: str) -> str:
    """The name of the dynamic partitions of a tier that is filled when somebody asks: `desbuquei_manual`."""
    return f"{database}_{tier}"


def slots_of(policy: Policy, tier: str, protected_since: datetime) -> dg.PartitionsDefinition[Any]:
    """The partitions of `tier` from its last due time at or before `protected_since`, the open slot included.

    Those of a tier without due times are registered one by one, as somebody asks for them.
    """
    cron = policy.tier(tier).cron
    if cron is None:
        return dg.DynamicPartitionsDefinition(name=on_demand_name(policy.database, tier))
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=cron, start=last_due(cron, protected_since), fmt=KEY_FORMAT, timezone="UTC", end_offset=1
    )
