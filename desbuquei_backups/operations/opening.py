"""Whether a slot can be filled now: not before its due time, not after it closed, and not by a clock that went back."""

from desbuquei_backups.core.errors import SlotError
from desbuquei_backups.core.slots import Slot, SlotState, slot_of
from desbuquei_backups.operations import records
from desbuquei_backups.operations.held import instant
from desbuquei_backups.operations.site import Site


def is_open(site: Site, slot: Slot) -> bool:
    """Whether it is open by the clock; one that the tier's cron does not know (any more) is not."""
    try:
        return site.state(slot) is SlotState.OPEN
    except SlotError:
        return False


def refuse_unless_open(site: Site, slot: Slot) -> None:
    """SlotError unless `slot`, which is empty, can be filled now."""
    state = site.state(slot)
    if state is SlotState.FUTURE:
        raise SlotError("the slot is not due yet", remedy=f"wait until {slot.due:%Y-%m-%d %H:%M:%S} UTC")
    on_demand = site.tier(slot).on_demand
    if state is SlotState.CLOSED:
        raise SlotError(
            "the slot is closed and empty: a backup cannot be taken in the past, this recovery point was missed",
            remedy=f"desbuquei backup {slot.tier} asks for one now"
            if on_demand
            else f"fill the slot that is open now: {site.open_slot(slot.tier).key}",
        )
    later = max(_filled(site, slot.tier), default=slot)
    if later > slot and not on_demand:
        raise SlotError(
            f"the slot is closed: {later.backup_id} was taken already, so this machine's clock went back",
            remedy="let this machine take its time from NTP; the slot was missed and stays empty",
        )


def _filled(site: Site, tier: str) -> list[Slot]:
    """The slots of a tier that were filled after their due times, by the database's clock.

    One that was filled before shows that this machine's clock ran ahead then: it closes nothing.
    """
    found = []
    for line in records.lines(site.settings.folder):
        if (line.get("backup_type"), line.get("status")) == (tier, "success"):
            slot, taken_at = slot_of(line["backup_id"]), instant(line.get("backup_timestamp"))
            if slot is not None and taken_at is not None and taken_at >= slot.due:
                found.append(slot)
    return found
