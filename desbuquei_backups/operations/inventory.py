"""What backups there are, and where: by the records, the folder's names, and manifests; `remote` by the bucket's keys.

There may be 100,000: only the newest ones' manifests are read, and those that no line of the records stands for.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.manifest import Manifest, manifest_name
from desbuquei_backups.core.objectives import Measured
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.operations.folder_names import Names, names
from desbuquei_backups.operations.held import Held, Listing, instant, measured, newest_of, of_line, of_manifest
from desbuquei_backups.operations.metadata_file import Line
from desbuquei_backups.operations.remote_inventory import READ, archived, archived_slots, remote
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.catalog import named_manifest
from desbuquei_backups.storage.disk import disk_errors

__all__ = [
    "Held",
    "Listing",
    "Recent",
    "archived",
    "archived_slots",
    "local",
    "recent",
    "remote",
    "sealed_slots",
]


@dataclass(slots=True)
class Recent:
    """Backups by their slots. `before`: each tier's newest that is recorded as archived and that was not asked for.

    `first_taken` is the moment of the first backup or attempt there ever was, None if there was none. `measured`: what
    was restored last of all.
    """

    held: dict[Slot, Held] = field(default_factory=dict)
    before: dict[str, Held] = field(default_factory=dict)
    first_taken: datetime | None = None
    measured: Measured | None = None
    faults: list[str] = field(default_factory=list)


def local(
    site: Site, tiers: Collection[str] | None = None, limit: int | None = None, *, read: int | None = READ
) -> Listing:
    """The newest `limit` backups by the records and the folder; of the newest `read` the manifest is read. None: all.

    A manifest without a line is read however old it is, so that a lost metadata file hides no backup.
    """
    folder = site.settings.folder
    there = names(folder)
    found = _look(folder, there, lambda slot: tiers is None or slot.tier in tiers, site.now())
    newest = newest_of(found.held, limit)
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
    return _look(folder, names(folder), lambda slot: slot.tier in starts and slot.due >= starts[slot.tier], site.now())


def sealed_slots(folder: Path) -> list[Slot]:
    """The slots that have a manifest in `folder`, whether it can be read or not."""
    return sorted((slot for name in names(folder).sealed if (slot := slot_of(name)) is not None), reverse=True)


def _look(folder: Path, there: Names, wanted: Callable[[Slot], bool], now: datetime) -> Recent:
    found = Recent()
    before: dict[str, tuple[Slot, Line]] = {}
    restored: Line = {}
    first: str | None = None  # they are all written in one way, and sort as they follow one another
    unread = set(there.sealed)
    for line in metadata_file.lines(folder):
        backup_id = line["backup_id"]
        if (slot := slot_of(backup_id)) is None:
            continue
        unread.discard(backup_id)
        taken = str(line.get("backup_timestamp"))
        first = min(first or taken, taken)
        if line.get("restore_seconds") is not None and str(line.get("restored_at")) > str(
            restored.get("restored_at", "")
        ):
            restored = line
        if line.get("status") == "pruned" and backup_id not in there.sealed:
            continue
        if wanted(slot):
            found.held[slot] = _of_line(slot, line, there, now)
        elif line.get("s3_uri") and (slot.tier not in before or before[slot.tier][0] < slot):
            before[slot.tier] = slot, line
    found.first_taken = instant(first)
    found.measured = measured(restored)
    found.before = {tier: _of_line(slot, line, there, now) for tier, (slot, line) in before.items()}
    for backup_id in sorted(unread):
        if (manifest := _on_disk(folder, backup_id, found.faults)) is None:
            continue
        slot = Slot.of_id(backup_id)
        found.first_taken = min(found.first_taken or manifest.taken_at, manifest.taken_at)
        if wanted(slot):
            found.held[slot] = of_manifest(manifest, None, on_disk=manifest.dump.name in there.dumps)
    return found


def _of_line(slot: Slot, line: Line, there: Names, now: datetime) -> Held:
    on_disk = str(line.get("file") or f"{line['backup_id']}.sql.gz") in there.dumps
    return of_line(slot, line, now, on_disk=on_disk, sealed=line["backup_id"] in there.sealed)


def _on_disk(folder: Path, backup_id: str, faults: list[str]) -> Manifest | None:
    """The manifest of that name; None, and why among the faults, if it cannot be read."""
    path = folder / manifest_name(backup_id)
    try:
        with disk_errors(path):
            content = path.read_bytes()
        return named_manifest(content, where=str(path))
    except BackupError as error:
        faults.append(error.what)
        return None
