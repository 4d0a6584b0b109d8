"""Prune: carry out what retention says, so that whatever interrupts it, what is listed is there."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from desbuquei_backups.core.errors import BackupError, Busy, NotFound
from desbuquei_backups.core.manifest import Manifest, manifest_name
from desbuquei_backups.core.retention import Place
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import clocks, records, said
from desbuquei_backups.operations.in_use import unless_read
from desbuquei_backups.operations.pruning import MARK, Planned, lock_of, plan_disk, plan_s3
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import faults_in_store, stored
from desbuquei_backups.storage import catalog, disk
from desbuquei_backups.storage.versions import delete_version, versions

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of one backup in one place. `freed`: bytes that are gone. `error`: why it could not be pruned."""

    planned: Planned
    done: bool = False
    freed: int = 0
    kept_since: str | None = None
    error: str | None = None

    @property
    def backup_id(self) -> str:
        return self.planned.backup_id

    @property
    def reason(self) -> str:
        """Why it is kept, is gone, or could not be pruned."""
        return self.error or self.kept_since or self.planned.verdict.reason


def prune(site: Site) -> list[Pruned]:
    """Apply retention on disk, then in S3; returns what became of each backup. StoreError if S3 cannot be asked.

    Each goes under the database's lock, and is looked at once more by then. One that cannot be pruned keeps no other
    from it. ClockWrong, before anything goes, if this machine's clock is not the store's.
    """
    clocks.agree(site)
    on_disk = [_one(site, each) for each in plan_disk(site)] if site.first is None else []
    staying = {each.planned.verdict.slot for each in on_disk if not each.done}
    done, needed = list(on_disk), dict[Slot, str]()
    for planned in plan_s3(site, staying, ask=False):  # each is asked for when it goes
        # The newest first: what turns out to stay keeps what it needs, which is older.
        why = needed.get(planned.verdict.slot)
        done.append(Pruned(planned, kept_since=f"{why} needs its files") if why else _one(site, planned))
        if not done[-1].done:
            needed |= dict.fromkeys(planned.needs, planned.backup_id)
    return done


def _one(site: Site, planned: Planned) -> Pruned:
    if planned.keep:
        return Pruned(planned)
    try:
        with (
            site.locked(planned.backup_id, "pruning"),
            unless_read(site.settings.folder, planned.backup_id) as unread,
        ):
            if not unread:
                return Pruned(planned, kept_since="it is being restored or proven")
            site.progress.stage(f"pruning {planned.backup_id}")
            slot = planned.verdict.slot
            return _from_disk(site, slot, planned) if planned.place is Place.DISK else _from_s3(site, slot, planned)
    except Busy:
        raise
    except BackupError as error:
        if not error.permanent:
            raise
        _LOG.warning("%s: not pruned: %s", planned.backup_id, error.what)
        return Pruned(planned, error=error.what)


def _from_disk(site: Site, slot: Slot, planned: Planned) -> Pruned:
    """Its own files, the manifest staying for as long as S3 has it. Nothing goes that S3 has not whole."""
    found = catalog.on_disk(site.settings.folder, slot.backup_id)
    if found is None or not found.sealed:
        return Pruned(planned, kept_since="it is not sealed")
    archived = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    if archived is None or archived != found.manifest:
        return Pruned(planned, kept_since="it is not archived in S3")
    if faults := faults_in_store(archived, stored(site, archived)):
        return Pruned(planned, kept_since=f"S3 has it not whole: {'; '.join(faults)}")
    return Pruned(planned, done=True, freed=_unlink(site, found.manifest))


def _unlink(site: Site, manifest: Manifest) -> int:
    freed = 0
    for file in manifest.files:
        path = site.settings.folder / file.name
        if file.name.startswith(f"{manifest.backup_id}."):
            with disk.disk_errors(path):
                freed += path.stat().st_size if path.exists() else 0
                path.unlink(missing_ok=True)
    return freed


def _from_s3(site: Site, slot: Slot, planned: Planned) -> Pruned:
    """The mark first, by which the next prune finishes what was cut off; then the tombstone, in the chain of evidence;
    then the manifest: from then on none lists it.

    Every version goes, and every delete marker, so that nothing of it is billed.
    """
    folder, backup_id = site.settings.folder, slot.backup_id
    if not planned.unfinished and (why := lock_of(site, slot)) is not None:
        return Pruned(planned, kept_since=why)
    mark = f"{slot.tier}/{backup_id}{MARK}"
    cut_off_since = _mark(site, slot, mark, planned.verdict.reason)
    objects = [each for each in versions(site.bucket, f"{slot.tier}/{backup_id}.") if each.key != mark]
    said.pruned(site, slot, planned.verdict.reason, objects, cut_off_since=cut_off_since)
    freed = 0
    for key in _in_order(slot):
        for version in list(versions(site.bucket, key)):
            if version.key != mark:
                delete_version(site.bucket, version)
                freed += version.size
    for version in list(versions(site.bucket, mark)):
        delete_version(site.bucket, version)
    if site.first is None:
        records.change(site, backup_id, status="pruned", s3_uri=None, storage_class=None, error=None, failed_in=None)
        with disk.disk_errors(folder):
            catalog.manifest_path(folder, backup_id).unlink(missing_ok=True)
    return Pruned(planned, done=True, freed=freed)


def _mark(site: Site, slot: Slot, key: str, reason: str) -> datetime | None:
    """Write the mark. One that is there is of a prune that was cut off: returns when that began, else None."""
    try:
        found = b"".join(site.bucket.read(key))
    except NotFound:
        pass
    else:
        return said.instant_in(found, "at") or slot.due
    content = {"backup_id": slot.backup_id, "reason": reason, "at": site.now().isoformat()}
    tags = {"backup-id": slot.backup_id, "tier": slot.tier, "database": site.policy.database}
    site.bucket.put_bytes(key, (json.dumps(content, indent=1) + "\n").encode(), tags=tags)
    return None


def _in_order(slot: Slot) -> Iterator[str]:
    """The manifest's key, and then the beginning of all others: files, proofs, the hold that ended."""
    yield f"{slot.tier}/{manifest_name(slot.backup_id)}"
    yield f"{slot.tier}/{slot.backup_id}."
