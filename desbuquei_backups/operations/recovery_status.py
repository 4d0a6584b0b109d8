"""How soon a recovery would be done, by what was measured; and which frozen backups are being thawed."""

from collections.abc import Iterable, Mapping, Sequence

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.objectives import Point, RecoveryTime, recovery_times
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import Thaw
from desbuquei_backups.operations import thaws, verified
from desbuquei_backups.operations.held import Held
from desbuquei_backups.operations.inventory import Recent
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.tier_status import TierStatus
from desbuquei_backups.operations.verified import Oldest
from desbuquei_backups.storage.archives import Archive


def recoveries(
    site: Site,
    tiers: Sequence[TierStatus],
    recent: Recent,
    listed: Mapping[Slot, Archive],
    thawing: Mapping[Slot, Thaw],
) -> list[RecoveryTime]:
    """By each tier's newest backup: see `recovery_times`."""
    held = {**{each.slot: each for each in recent.before.values()}, **recent.held}
    points = []
    for tier in tiers:
        if tier.last_good is None or tier.taken_at is None:
            continue
        slot = Slot.of_id(tier.last_good)
        known = held.get(slot)
        if known is not None and known.wal:  # a drill measures that
            continue
        points.append(
            Point(
                tier.last_good,
                tier.taken_at,
                _storage_class(site, slot, listed.get(slot), known),
                thawing.get(slot),
                known.measured if known is not None else None,
            )
        )
    return recovery_times(points, recent.measured, site.now())


def thaws_under_way(site: Site, recent: Recent, listed: Mapping[Slot, Archive]) -> tuple[dict[Slot, Thaw], str | None]:
    """Those that the store has under way or done of the `listed`, or why it did not say.

    Where it does not answer, what was asked for from here stands for it, as far as the clock tells.
    """
    trouble = None
    if listed:
        try:
            return thaws.under_way(site, listed.values()), None
        except BackupError as error:
            trouble = error.what
    return {slot: each.thaw for slot, each in recent.held.items() if each.thaw is not None}, trouble


def oldest_verified(site: Site, archived: Iterable[Slot]) -> Oldest | None:
    """Which of the archived backups was verified in S3 the longest ago; None if there is none."""
    found = verified.oldest(verified.last_whole(site), (slot.backup_id for slot in archived))
    return found if found.backups else None


def _storage_class(site: Site, slot: Slot, archive: Archive | None, held: Held | None) -> str:
    """As the store lists it, as it is recorded, or as the policy has it."""
    if archive is not None and archive.dump is not None:
        return archive.dump.storage_class
    if held is not None and held.storage_class is not None:
        return held.storage_class
    return site.tier(slot).storage_class.value
