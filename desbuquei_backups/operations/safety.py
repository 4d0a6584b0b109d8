"""From where each tier stands to one answer and one sentence."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from desbuquei_backups.core.slots import Slot, due_before, last_due
from desbuquei_backups.core.tiers import Policy, Takes, shortest_interval
from desbuquei_backups.operations.disk_use import DiskUse
from desbuquei_backups.operations.tier_status import TierStatus


class Safety(StrEnum):
    """The answer. NOT SAFE: what is lost if the database dies now is more than was promised."""

    SAFE = "SAFE"
    AT_RISK = "AT RISK"
    NOT_SAFE = "NOT SAFE"


def verdict(
    policy: Policy,
    tiers: Sequence[TierStatus],
    disk: DiskUse | None,
    store_trouble: str | None,
    faults: Sequence[str],
    now: datetime,
) -> tuple[Safety, str]:
    """The worst thing that is true, in one sentence."""
    good = [tier for tier in tiers if tier.taken_at is not None]
    if not good:
        asked = f"; S3 could not be asked: {store_trouble}" if store_trouble else ""
        return Safety.NOT_SAFE, f"there is no backup that is both sealed and archived{asked}"
    newest = max(good, key=lambda tier: tier.taken_at or now)
    if not policy.scheduled and (newest.taken_at or now) < now - policy.recovery_point_objective:
        return Safety.NOT_SAFE, f"{newest.last_good} is older than promised, and no tier falls due by itself"
    oldest_allowed = _oldest_allowed(policy, now)
    if oldest_allowed is not None and all(Slot.of_id(str(tier.last_good)).due < oldest_allowed for tier in good):
        return Safety.NOT_SAFE, f"the newest recovery point, {newest.last_good}, is more than a whole slot behind"
    # What is due most often is the most urgent; what is there and was not restored is less so.
    ordered = sorted(tiers, key=lambda tier: _interval(policy, tier.tier))
    if trouble := next(filter(None, [*(tier.trouble for tier in ordered), *(tier.unproven for tier in ordered)]), None):
        return Safety.AT_RISK, trouble
    if store_trouble:
        return Safety.AT_RISK, f"S3 could not be asked, what is recorded here stands for it: {store_trouble}"
    if disk is not None and disk.full:
        return Safety.AT_RISK, f"the disk of {disk.folder} is {disk.percent} % full"
    if faults:
        return Safety.AT_RISK, faults[0]
    return Safety.SAFE, f"{newest.last_good} is archived{' and proven' if newest.proven else ''}"


def _oldest_allowed(policy: Policy, now: datetime) -> datetime | None:
    """The due time before the last one of the full tier that is due most often; None if nothing falls due."""
    full = {name: cron for name, cron in policy.scheduled.items() if policy.tiers[name].takes is Takes.FULL}
    cron = min((full or policy.scheduled).values(), key=shortest_interval, default=None)
    return None if cron is None else next(due_before(cron, last_due(cron, now)))


def _interval(policy: Policy, tier: str) -> float:
    cron = policy.scheduled.get(tier)
    return float("inf") if cron is None else shortest_interval(cron).total_seconds()
