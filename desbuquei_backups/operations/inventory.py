"""What backups there are, and where: by the records and the folder's names, or by the bucket's keys, and manifests.

There may be 100,000: only the newest ones' manifests are read, and those that no line of the records stands for.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nlargest
from operator import attrgetter
from pathlib import Path

from desbuquei_backups.core.errors import BackupError, IntegrityError
from desbuquei_backups.core.manifest import Manifest, manifest_name, parse_manifest
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.core.tiers import RESERVED
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.operations.folder_names import MANIFEST, Names, names
from desbuquei_backups.operations.held import Held, instant, of_key, of_line, of_manifest
from desbuquei_backups.operations.metadata_file import Line
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.s3 import Bucket

__all__ = [
    "Held",
    "Listing",
    "Recent",
    "archived_slots",
    "local",
    "recent",
    "remote",
    "sealed_slots",
    "tier_folders",
    "tiers",
]

READ = 100  # so many manifests are read, the newest, unless others are asked for


@dataclass(frozen=True, slots=True)
class Listing:
    """Backups, newest first, of `total` that there are; and what there cannot be read, and why."""

    held: list[Held]
    total: int
    faults: list[str]


@dataclass(slots=True)
class Recent:
    """Backups by their slots. `before`: each tier's newest that is recorded as archived and that was not asked for.

    `first_taken` is the moment of the first backup or attempt there ever was, None if there was none.
    """

    held: dict[Slot, Held] = field(default_factory=dict)
    before: dict[str, Held] = field(default_factory=dict)
    first_taken: datetime | None = None
    faults: list[str] = field(default_factory=list)


def local(
    site: Site, tiers: Collection[str] | None = None, limit: int | None = None, *, read: int | None = READ
) -> Listing:
    """The newest `limit` backups by the records and the folder; of the newest `read` the manifest is read. None: all.

    A manifest without a line is read however old it is, so that a lost metadata file hides no backup.
    """
    folder = site.settings.folder
    there = names(folder)
    found = _look(folder, there, lambda slot: tiers is None or slot.tier in tiers)
    newest = _newest(found.held, limit)
    for slot in newest[:read]:
        known = found.held[slot]
        if slot.backup_id in there.sealed and (manifest := _on_disk(folder, slot.backup_id, found.faults)):
            found.held[slot] = of_manifest(manifest, known, on_disk=manifest.dump.name in there.dumps)
    return Listing([found.held[slot] for slot in newest], len(found.held), found.faults)


def recent(site: Site, starts: Mapping[str, datetime]) -> Recent:
    """What the records and the folder say of those tiers' slots, each tier's from an instant on (aware UTC).

    No manifest is read that has a line.
    """
    folder = site.settings.folder
    return _look(folder, names(folder), lambda slot: slot.tier in starts and slot.due >= starts[slot.tier])


def remote(
    site: Site, tiers: Collection[str] | None = None, limit: int | None = None, *, read: int | None = READ
) -> Listing:
    """As `local`, by the bucket alone: it describes itself, tiers that the policy no longer has included."""
    held: dict[Slot, Held] = {}
    faults: list[str] = []
    for key in _manifest_keys(site.bucket, tiers):
        if (slot := _slot_of_key(key)) is not None:
            held[slot] = of_key(slot)
        else:
            _in_bucket(site.bucket, key, faults)  # which says what is wrong with it
    newest = _newest(held, limit)
    for slot in newest[:read]:
        manifest = _in_bucket(site.bucket, f"{slot.tier}/{manifest_name(slot.backup_id)}", faults)
        if manifest is not None:
            held[slot] = of_manifest(manifest, None, archived=True)
        else:
            del held[slot]
    return Listing([held[slot] for slot in newest if slot in held], len(held), faults)


def archived_slots(bucket: Bucket, tier: str, *, start: datetime | None = None) -> list[Slot]:
    """The slots of a tier that have a manifest in the bucket, newest first; StoreError if it cannot be asked.

    `start` (aware UTC): those that fell due then or later, the others not being listed at all.
    """
    # A key goes on after its slot's id, and so comes after it.
    after = Slot(tier, start).backup_id if start is not None else ""
    keys = (key for key in bucket.keys(f"{tier}/", after=after) if key.endswith(MANIFEST))
    return sorted((slot for key in keys if (slot := _slot_of_key(key)) is not None), reverse=True)


def tiers(bucket: Bucket) -> list[str]:
    """The tiers that have a manifest in the bucket, those that the policy no longer has included."""
    return sorted({slot.tier for key in _manifest_keys(bucket, None) if (slot := _slot_of_key(key)) is not None})


def tier_folders(bucket: Bucket) -> list[str]:
    """The folders that may be tiers': the chain of evidence, and what else has a name of its own, is never listed."""
    return [f"{name}/" for name in bucket.folders() if name not in RESERVED]


def sealed_slots(folder: Path) -> list[Slot]:
    """The slots that have a manifest in `folder`, whether it can be read or not."""
    return sorted((slot for name in names(folder).sealed if (slot := slot_of(name)) is not None), reverse=True)


def _look(folder: Path, there: Names, wanted: Callable[[Slot], bool]) -> Recent:
    found = Recent()
    before: dict[str, tuple[Slot, Line]] = {}
    first: str | None = None  # they are all written in one way, and sort as they follow one another
    unread = set(there.sealed)
    for line in metadata_file.lines(folder):
        backup_id = line["backup_id"]
        if (slot := slot_of(backup_id)) is None:
            continue
        unread.discard(backup_id)
        taken = str(line.get("backup_timestamp"))
        first = min(first or taken, taken)
        if line.get("status") == "pruned" and backup_id not in there.sealed:
            continue
        if wanted(slot):
            found.held[slot] = _of_line(slot, line, there)
        elif line.get("s3_uri") and (slot.tier not in before or before[slot.tier][0] < slot):
            before[slot.tier] = slot, line
    found.first_taken = instant(first)
    found.before = {tier: _of_line(slot, line, there) for tier, (slot, line) in before.items()}
    for backup_id in sorted(unread):
        if (manifest := _on_disk(folder, backup_id, found.faults)) is None:
            continue
        slot = Slot.of_id(backup_id)
        found.first_taken = min(found.first_taken or manifest.taken_at, manifest.taken_at)
        if wanted(slot):
            found.held[slot] = of_manifest(manifest, None, on_disk=manifest.dump.name in there.dumps)
    return found


def _of_line(slot: Slot, line: Line, there: Names) -> Held:
    on_disk = str(line.get("file") or f"{line['backup_id']}.sql.gz") in there.dumps
    return of_line(slot, line, on_disk=on_disk, sealed=line["backup_id"] in there.sealed)


def _newest(slots: Iterable[Slot], limit: int | None) -> list[Slot]:
    newest = attrgetter("due", "tier")
    return sorted(slots, key=newest, reverse=True) if limit is None else nlargest(limit, slots, key=newest)


def _on_disk(folder: Path, backup_id: str, faults: list[str]) -> Manifest | None:
    """The manifest of that name; None, and why among the faults, if it cannot be read."""
    path = folder / manifest_name(backup_id)
    try:
        with disk_errors(path):
            content = path.read_bytes()
        return _parsed(content, where=str(path))
    except BackupError as error:
        faults.append(error.what)
        return None


def _in_bucket(bucket: Bucket, key: str, faults: list[str]) -> Manifest | None:
    try:
        return _parsed(b"".join(bucket.read(key)), where=bucket.uri(key))
    except BackupError as error:
        if not error.permanent:
            raise
        faults.append(error.what)
        return None


def _parsed(content: bytes, *, where: str) -> Manifest:
    """The manifest found at `where`; IntegrityError if it cannot be read, or is not of the backup it is named after."""
    manifest = parse_manifest(content, where=where)
    if where.rpartition("/")[2] != manifest_name(manifest.backup_id) or slot_of(manifest.backup_id) is None:
        raise IntegrityError(
            f"the manifest {where} is that of {manifest.backup_id!r:.60}: it was renamed or altered",
            remedy="take the copy that is in the other place (disk or S3)",
        )
    return manifest


def _manifest_keys(bucket: Bucket, tiers: Collection[str] | None) -> Iterator[str]:
    """Of those tiers' folders, None: of all there are; other databases' below the same prefix are left out."""
    for folder in tier_folders(bucket) if tiers is None else [f"{tier}/" for tier in tiers]:
        yield from (key for key in bucket.keys(folder) if key.endswith(MANIFEST) and key.count("/") == 1)


def _slot_of_key(key: str) -> Slot | None:
    tier, _, name = key.partition("/")
    slot = slot_of(name.removesuffix(MANIFEST))
    return slot if slot is not None and slot.tier == tier else None
