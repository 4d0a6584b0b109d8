"""Are we safe? Told from the backup folder and the bucket alone, so that it can be asked when all else is down."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from desbuquei_backups.core.errors import BackupError, ConfigurationError
from desbuquei_backups.core.slots import Slot, last_due, next_due
from desbuquei_backups.core.tiers import Period, Tier
from desbuquei_backups.operations import inventory
from desbuquei_backups.operations.inventory import Held
from desbuquei_backups.operations.protection import protected_since
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import catalog

DISK_THRESHOLD_PERCENT = 80
_GRACE = timedelta(hours=1)  # after a due time, before an empty slot is a fault
_MOST_SLOTS = 5_000
_DAYS = {"month": 30, "year": 365}


class Safety(StrEnum):
    """The answer. NOT SAFE: what is lost if the database dies now is more than was promised."""

    SAFE = "SAFE"
    AT_RISK = "AT RISK"
    NOT_SAFE = "NOT SAFE"


@dataclass(frozen=True, slots=True)
class TierStatus:
    """One tier. `last_good`: sealed and archived; `taken_at` is the moment it restores to, aware UTC."""

    tier: str
    last_good: str | None
    taken_at: datetime | None
    age: timedelta | None
    proven: bool | None
    next_due: datetime
    missed: Sequence[str]
    trouble: str | None
    hopeless: bool


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The file system of the backup folder; sizes are bytes."""

    folder: str
    used: int
    free: int
    percent: int

    @property
    def full(self) -> bool:
        return self.percent >= DISK_THRESHOLD_PERCENT


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, and in one sentence why it is what it is."""

    safety: Safety
    reason: str
    tiers: Sequence[TierStatus]
    disk: DiskUse | None
    store_trouble: str | None
    notes: Sequence[str]


def status(site: Site) -> Status:
    """Look at the folder and the bucket; whatever does not answer is said, and what is recorded here stands for it."""
    now = site.now()
    held, faults = _local(site)
    store_trouble: str | None = None
    tiers = []
    since = _since(site, held)
    for name, tier in site.policy.tiers.items():
        mine = [each for each in held if each.slot.tier == name]
        try:
            archived = inventory.archived_slots(site.bucket, name)
        except (BackupError, ConfigurationError) as error:
            store_trouble = error.what
            archived = [each.slot for each in mine if each.archived]
        tiers.append(_tier(site, name, tier, mine, archived, since=since, now=now, asked=store_trouble is None))
    disk = _disk(site)
    safety, reason = _verdict(tiers, disk, store_trouble, faults, now)
    return Status(safety, reason, tiers, disk, store_trouble, [*faults, *_notes(site)])


def _local(site: Site) -> tuple[list[Held], list[str]]:
    if not _folder_is_there(site):
        return [], [f"the backup folder {site.settings.folder} is not there, or may not be read: is its disk mounted?"]
    try:
        return inventory.local(site)
    except BackupError as error:
        return [], [error.what]


def _folder_is_there(site: Site) -> bool:
    return os.access(site.settings.folder, os.R_OK | os.X_OK)


def _since(site: Site, held: Sequence[Held]) -> datetime:
    """Since when slots count: as recorded, or since the first backup there is, whichever came first."""
    now = site.now()
    recorded = protected_since(site.settings, now) if _folder_is_there(site) else now
    return min([recorded, *(each.slot.due for each in held)])


def _tier(
    site: Site,
    name: str,
    tier: Tier,
    mine: Sequence[Held],
    archived: Sequence[Slot],
    *,
    since: datetime,
    now: datetime,
    asked: bool,
) -> TierStatus:
    by_slot = {each.slot: each for each in mine}
    good = max(archived, default=None)
    line = by_slot.get(good) if good else None
    taken_at = line.taken_at if line else _taken_at(site, good) if good and asked else None
    due = last_due(tier.cron, now)
    before = last_due(tier.cron, due - timedelta(seconds=1))
    late = now - due > min(_GRACE, (next_due(tier.cron, now) - due) / 2)
    start = max(last_due(tier.cron, since), now - _length(tier.kept_in_s3))
    missed = _missed(tier, name, set(archived), start, due)
    return TierStatus(
        tier=name,
        last_good=good.backup_id if good else None,
        taken_at=taken_at or (good.due if good else None),
        age=now - (taken_at or good.due) if good else None,
        proven=line.proven if line else None,
        next_due=next_due(tier.cron, now),
        missed=missed,
        trouble=_trouble(by_slot.get(Slot(name, due)), good, due, line, late=late),
        hopeless=good is None or good.due < before,
    )


def _taken_at(site: Site, slot: Slot) -> datetime | None:
    """From the manifest in the bucket: the folder has forgotten the backup, or was lost."""
    try:
        manifest = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    except BackupError:
        return None
    return manifest.taken_at if manifest else None


def _trouble(current: Held | None, good: Slot | None, due: datetime, line: Held | None, *, late: bool) -> str | None:
    if good is None or good.due < due:
        if current is not None and current.error is not None:
            return f"the backup due at {due:%Y-%m-%d %H:%M} UTC failed: {current.error}"
        if late and current is not None:
            return f"the backup due at {due:%Y-%m-%d %H:%M} UTC is not archived"
        return f"the backup due at {due:%Y-%m-%d %H:%M} UTC is missing" if late else None
    if line is not None and not line.proven and late:
        return f"{good.backup_id} was not proven by restoring it"
    return None


def _missed(tier: Tier, name: str, archived: set[Slot], start: datetime, due: datetime) -> list[str]:
    """Closed slots from `start` on that have no archived backup, newest first: recovery points that do not exist."""
    found: list[str] = []
    at = last_due(tier.cron, due - timedelta(seconds=1))
    for _ in range(_MOST_SLOTS):
        if at < start:
            break
        if (slot := Slot(name, at)) not in archived:
            found.append(slot.key)
        at = last_due(tier.cron, at - timedelta(seconds=1))
    return found


def _length(period: Period) -> timedelta:
    days = _DAYS.get(period.unit.value)
    return period.timedelta if days is None else timedelta(days=days * period.count)


def _disk(site: Site) -> DiskUse | None:
    folder = site.settings.folder
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if there is None:
        return None
    try:
        usage = shutil.disk_usage(there)
    except OSError:
        return None
    return DiskUse(str(folder), usage.used, usage.free, round(100 * usage.used / max(usage.used + usage.free, 1)))


def _verdict(
    tiers: Sequence[TierStatus], disk: DiskUse | None, store_trouble: str | None, faults: Sequence[str], now: datetime
) -> tuple[Safety, str]:
    """The worst thing that is true, in one sentence."""
    good = [tier for tier in tiers if tier.taken_at is not None]
    if not good:
        asked = f"; S3 could not be asked: {store_trouble}" if store_trouble else ""
        return Safety.NOT_SAFE, f"there is no backup that is both sealed and archived{asked}"
    newest = max(good, key=lambda tier: tier.taken_at or now)
    if all(tier.hopeless for tier in tiers):
        return Safety.NOT_SAFE, f"the newest recovery point, {newest.last_good}, is more than a whole slot behind"
    if trouble := next((tier.trouble for tier in tiers if tier.trouble), None):
        return Safety.AT_RISK, trouble
    if store_trouble:
        return Safety.AT_RISK, f"S3 could not be asked, what is recorded here stands for it: {store_trouble}"
    if disk is not None and disk.full:
        return Safety.AT_RISK, f"the disk of {disk.folder} is {disk.percent} % full"
    if faults:
        return Safety.AT_RISK, faults[0]
    return Safety.SAFE, f"{newest.last_good} is archived{' and proven' if newest.proven else ''}"


def _notes(site: Site) -> list[str]:
    """The objective can only be met by a tier that is due often enough."""
    objective = site.policy.recovery_point_objective
    now = site.now()
    shortest = min(
        next_due(tier.cron, last_due(tier.cron, now)) - last_due(tier.cron, now) for tier in site.policy.tiers.values()
    )
    if shortest <= objective:
        return []
    hours = [f"{length.total_seconds() / 3600:g} h" for length in (objective, shortest)]
    return [f"the recovery point objective is {hours[0]}, and no tier is due more often than every {hours[1]}"]
