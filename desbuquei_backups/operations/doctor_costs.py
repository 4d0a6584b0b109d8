"""What S3 costs at the present size of a dump, and what of it is billed for nothing."""

from collections.abc import Iterator

from desbuquei_backups.core.prices import LEAST_DURATION, TierCost, monthly_costs
from desbuquei_backups.operations import records
from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.site import Site

_COSTS = Area("costs")


def _costs(site: Site) -> list[TierCost]:
    """By the newest dump that is recorded; nothing before the first."""
    size, newest = None, ""
    for line in records.lines(site.settings.folder):
        at, told = str(line.get("backup_timestamp")), line.get("size")
        if line.get("status") == "success" and isinstance(told, int) and at >= newest:
            size, newest = told, at
    return monthly_costs(site.policy, size) if size else []


def costs(site: Site) -> Iterator[Precondition]:
    """Each tier's part of the bill, and a warning where backups are paid for longer than they are kept."""
    found = _costs(site)
    for each in found:
        usd = f"at most USD {each.usd:,.2f} a month: {each.kept} in {each.storage_class.value}"
        if each.wasted:
            days = LEAST_DURATION[each.storage_class].days
            yield _COSTS.warning(
                each.tier,
                f"{usd}, of which {each.billed} are billed: that class bills {days} days at least",
                "keep them longer, or choose another storage_class in the policy",
            )
        else:
            yield _COSTS.ok(each.tier, usd)
    if not found:
        yield _COSTS.not_applicable("S3", "nothing was dumped yet: how large a dump is is not known")
