"""Are we safe? Told from the backup folder and the bucket alone, so that it can be asked when all else is down."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from desbuquei_backups.core.errors import BackupError, ConfigurationError
from desbuquei_backups.core.objectives import RecoveryTime
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.prices import TierCost, monthly_costs
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import Thaw
from desbuquei_backups.core.tiers import shortest_interval
from desbuquei_backups.operations import drill_record, inventory
from desbuquei_backups.operations.disk_use import DISK_THRESHOLD_PERCENT, DiskUse, disk_use
from desbuquei_backups.operations.drill_record import DrillRecord
from desbuquei_backups.operations.egress import incremental_tiers, price
from desbuquei_backups.operations.inventory import Recent
from desbuquei_backups.operations.protection import protected_since
from desbuquei_backups.operations.recovery_status import oldest_verified, recoveries, thaws_under_way
from desbuquei_backups.operations.safety import Safety, verdict
from desbuquei_backups.operations.second_status import SecondPlace, second_status
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.tier_status import TierStatus, tier_status, window
from desbuquei_backups.operations.verified import Oldest
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.archives import Archive

__all__ = ["DISK_THRESHOLD_PERCENT", "DiskUse", "Safety", "Status", "TierStatus", "status"]


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, and in one sentence why it is what it is."""

    safety: Safety
    reason: str
    tiers: Sequence[TierStatus]
    recovery_point: str | None
    disk: DiskUse | None
    store_trouble: str | None
    notes: Sequence[str]
    recovery_time_objective: timedelta
    second_place: SecondPlace | None = None
    costs: Sequence[TierCost] = ()
    recoveries: Sequence[RecoveryTime] = ()
    thaws: Sequence[Thaw] = ()
    last_verified: Oldest | None = None
    last_drill: DrillRecord | None = None


def status(site: Site) -> Status:
    """Look at the folder and the bucket; whatever does not answer is said, and what is recorded here stands for it."""
    now = site.now()
    recent = _recent(site, {name: window(tier, now) for name, tier in site.policy.tiers.items()})
    since = _since(site, recent.first_taken)
    store_trouble: str | None = None
    tiers, ahead = [], []
    listed: dict[Slot, Archive] = {}
    there: list[Slot] = []
    for name, tier in site.policy.tiers.items():
        held = {slot: each for slot, each in recent.held.items() if slot.tier == name}
        if (before := recent.before.get(name)) is not None:
            held[before.slot] = before
        archived: list[Slot] = []
        if store_trouble is None:
            try:
                # Of a tier that has nothing in its window, whatever is older: it may be all that there is.
                found = inventory.archived(site.bucket, name, start=window(tier, now))
                found = found or inventory.archived(site.bucket, name)
                listed |= found
                archived = list(found)
            except (BackupError, ConfigurationError) as error:
                store_trouble = error.what
        if store_trouble is not None:
            archived = [slot for slot, each in held.items() if each.archived]
        there += archived
        ahead += [slot.backup_id for slot in archived if slot.due > now]
        archived = [slot for slot in archived if slot.due <= now]
        good = max(archived, default=None)
        # A line lacks it if the folder has forgotten the backup, or was lost.
        lacking = good if good is not None and good not in held and store_trouble is None else None
        taken_at = _taken_at(site, lacking) if lacking else None
        tiers.append(tier_status(name, tier, held, archived, since=since, now=now, taken_at=taken_at))
    disk = disk_use(site.settings.folder)
    second = second_status(site, tiers)
    faults = [*recent.faults, *_ahead(ahead), *(second.faults if second is not None else ())]
    safety, reason = verdict(site.policy, tiers, disk, store_trouble, faults, now)
    point = _recovery_point(site, recent) if recent.held else None
    thaws, untold = thaws_under_way(site, recent, listed if store_trouble is None else {})
    return Status(
        safety,
        reason,
        tiers,
        point,
        disk,
        store_trouble or untold,
        [*faults, *_notes(site)],
        site.policy.recovery_time_objective,
        second,
        _costs(site, recent),
        recoveries(site, tiers, recent, listed, thaws),
        list(thaws.values()),
        oldest_verified(site, there),
        _last_drill(site) if store_trouble is None else None,
    )


def _last_drill(site: Site) -> DrillRecord | None:
    try:
        return drill_record.newest(site)
    except BackupError:
        return None


def _costs(site: Site, recent: Recent) -> list[TierCost]:
    """At the size of the newest backup that is recorded; nothing before the first."""
    known = [*recent.held.values(), *recent.before.values()]
    sized = [held for held in known if held.status == "sealed" and held.size and held.taken_at and not held.wal]
    newest = max(sized, key=lambda held: (held.taken_at or site.now(), held.slot), default=None)
    return monthly_costs(site.policy, newest.size) if newest is not None and newest.size else []


def _ahead(backup_ids: Sequence[str]) -> list[str]:
    if not backup_ids:
        return []
    named = ", ".join(backup_ids[:3]) + (f" and {len(backup_ids) - 3} more" if len(backup_ids) > 3 else "")
    return [
        f"not due yet and there already: {named}; this machine's clock ran ahead when it took them, or is behind now"
    ]


def _recovery_point(site: Site, recent: Recent) -> str | None:
    """How old the newest recovery point gets if all goes on like this, and its price; None if that cannot be told."""
    promised = in_words(site.policy.recovery_point_objective)
    often = [held for slot, held in recent.held.items() if slot.tier in incremental_tiers(site) and held.archived]
    newest = max(often, key=lambda held: held.slot, default=None)
    if newest is not None and newest.wal and newest.taken_at is not None:
        return (
            f"any second up to {newest.taken_at:%Y-%m-%d %H:%M:%S} UTC, {newest.backup_id}, promised: {promised}; "
            "`desbuquei wal status` knows of later ones"
        )
    prices = [found for tier in incremental_tiers(site) if (found := price(site, tier)) is not None]
    best = min(prices, key=lambda each: each.recovery_point, default=None)
    if best is None:
        return None
    return f"up to {in_words(best.recovery_point)} old, promised: {promised}; {best.said()}"


def _recent(site: Site, starts: Mapping[str, datetime]) -> Recent:
    folder = site.settings.folder
    if not _folder_is_there(site):
        return Recent(faults=[f"the backup folder {folder} is not there, or may not be read: is its disk mounted?"])
    try:
        return inventory.recent(site, starts)
    except BackupError as error:
        return Recent(faults=[error.what])


def _folder_is_there(site: Site) -> bool:
    return os.access(site.settings.folder, os.R_OK | os.X_OK)


def _since(site: Site, first_taken: datetime | None) -> datetime:
    """Since when slots count: as recorded, or since the first backup there is, whichever came first."""
    now = site.now()
    recorded = protected_since(site.settings, now) if _folder_is_there(site) else now
    return min(recorded, first_taken or recorded)


def _taken_at(site: Site, slot: Slot) -> datetime | None:
    try:
        manifest = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    except BackupError:
        return None
    return manifest.taken_at if manifest else None


def _notes(site: Site) -> list[str]:
    """The objective can only be met by a tier that is due often enough."""
    objective = site.policy.recovery_point_objective
    shortest = min(map(shortest_interval, site.policy.scheduled.values()), default=None)
    if shortest is None:
        return ["no tier falls due by itself: a backup is taken only when somebody asks"]
    if shortest <= objective:
        return []
    hours = [f"{length.total_seconds() / 3600:g} h" for length in (objective, shortest)]
    return [f"the recovery point objective is {hours[0]}, and no tier is due more often than every {hours[1]}"]
