"""Make backup-metadata.jsonl, and backup_logs with it, again from the bucket; what only the old file knew is kept."""

import filecmp
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from desbuquei_backups.core.errors import BackupError, NotFound
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import backup_logs, backup_logs_behind, catalog_lines, metadata_file, records
from desbuquei_backups.operations.clusters import Clusters
from desbuquei_backups.operations.metadata_file import FILE, Index, Line
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import catalog, disk
from desbuquei_backups.storage.archives import Archive, archives
from desbuquei_backups.storage.side_by_side import side_by_side

_MANIFEST, _DRAFT = ".manifest.json", ".draft.json"


@dataclass
class Rebuilt:
    """How many lines were made of the bucket, `proven` of them, kept of the old file, and made of the folder.

    `faults`: manifests that cannot be read or are of another database, backups that are recorded as archived and are
    not there. `notes`: of which other servers there are backups. `aside`: where the old file is, if the new one
    differs. `table`: why backup_logs is behind, or None.
    """

    archived: int = 0
    proven: int = 0
    kept: int = 0
    found: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    aside: Path | None = None
    table: str | None = None


def rebuild(site: Site) -> Rebuilt:
    """Make the metadata file again, and let the table catch up; nothing else is changed.

    The old file is set aside, never deleted. NotFound if the bucket has no backup at all: a wrong prefix must not make
    an empty catalog; StoreError if it cannot be asked; Busy while another run holds the database's lock.
    """
    folder = site.settings.folder
    with _alone(site):
        with metadata_file.lock(folder):
            done = _Rebuilding(site).run()
        done.table = backup_logs.catch_up(site)
    return done


@contextmanager
def _alone(site: Site) -> Iterator[None]:
    """Nobody takes, archives, proves or prunes meanwhile: what they are at neither bucket nor file tells."""

    def locked(name: str) -> AbstractContextManager[None]:
        return disk.lock(
            site.settings.folder,
            name,
            doing="the rebuild of the catalog",
            wait_seconds=site.lock_wait_seconds,
            waiting=site.progress.stage,
        )

    with locked(f"{site.policy.database}-proof"), locked(site.policy.database):
        yield


class _Rebuilding:
    def __init__(self, site: Site) -> None:
        self.site, self.folder = site, site.settings.folder
        self.done, self.clusters = Rebuilt(), Clusters.of(site)
        site.progress.stage("listing the bucket")
        self.there: dict[Slot, Archive] = {}
        for each in archives(site.bucket):
            if each.slot is not None:
                self.there[each.slot] = each
            elif each.sealed:
                self.done.faults.append(f"{site.bucket.uri(each.key)} is named after no backup")
        if not any(each.sealed for each in self.there.values()):
            raise NotFound(
                f"there is no backup in {site.bucket.uri('')}",
                remedy="correct DESBUQUEI_S3_URL, the bucket and its prefix; nothing was changed",
            )

    def run(self) -> Rebuilt:
        """Write the new file beside the old one, which is given its name aside before it loses its own."""
        path = self.folder / FILE
        with disk.aside(path) as partial:
            with (
                closing(Index(self.folder)) as old,
                disk.disk_errors(path),
                partial.open("wb", buffering=1 << 20) as file,
            ):
                for line in self._lines(old):
                    file.write((json.dumps(line, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            if path.exists() and not filecmp.cmp(path, partial, shallow=False):
                self.done.aside = disk.keep_aside(path, "rebuilt")
            backup_logs_behind.forget(self.folder)  # a crash from here on must not leave the table behind
        self.done.faults += self.clusters.faults()
        self.done.notes += self.clusters.notes()
        return self.done

    def _lines(self, old: Index) -> Iterator[Line]:
        """A line for each backup that anybody knows of, by their slots' due times."""
        for backup_id in old:
            if slot_of(backup_id) is None and (line := old.line(backup_id)) is not None:
                self.done.kept += 1
                yield line
        known = (slot_of(backup_id) for backup_id in (*old, *_in_folder(self.folder)))
        slots = {*self.there, *(slot for slot in known if slot is not None)}
        ordered = sorted(slots, key=lambda slot: (slot.due, slot.tier))
        sealed = [slot for slot in ordered if slot in self.there and self.there[slot].sealed]
        self.site.progress.stage("reading manifests", len(sealed), unit="manifests")
        made = side_by_side(lambda slot: catalog_lines.of_archive(self.site, self.there[slot], self.there), sealed)
        for slot in ordered:
            before, archive = old.line(slot.backup_id), self.there.get(slot)
            if archive is not None and archive.sealed:
                self.site.progress.advance(1)
                line = self._of_bucket(next(made), before)
            elif archive is not None and archive.marked:
                self.done.kept += before is not None
                line = catalog_lines.pruned(self.site, slot, before)
            else:
                line = self._of_old(slot, before) if before is not None else self._of_folder(slot)
            if line is not None:
                yield line

    def _of_bucket(self, made: catalog_lines.Made, before: Line | None) -> Line | None:
        """Of a manifest that cannot be read, or is of another database, what the old file says of it, if anything.

        No line is made up: retention keeps a backup that it finds none of, and that it cannot read.
        """
        self.done.faults += made.faults
        if made.manifest is not None:
            self.clusters.add(made.manifest)
        if made.manifest is None or made.line is None or self.clusters.is_other(made.manifest):
            self.done.kept += before is not None
            return before
        self.done.archived += 1
        self.done.proven += bool(made.line["recovery_tested"])
        return catalog_lines.with_cost(made.line, before)

    def _of_old(self, slot: Slot, before: Line) -> Line:
        self.done.kept += 1
        if not before.get("s3_uri"):
            return before
        self.done.faults.append(f"{slot.backup_id} is recorded as archived, and is not in {self.site.bucket.uri('')}")
        return catalog_lines.lost(before)

    def _of_folder(self, slot: Slot) -> Line | None:
        """Of a backup in the folder, sealed or not, that no line speaks of and that was not archived yet."""
        try:
            found = catalog.on_disk(self.folder, slot.backup_id)
        except BackupError as error:
            self.done.faults.append(error.what)
            return None
        if found is None:
            return None
        self.done.found += 1
        return records.line_of_manifest(found.manifest)


def _in_folder(folder: Path) -> Iterator[str]:
    """The ids before the manifests and drafts there."""
    with disk.disk_errors(folder):
        for path in folder.iterdir():
            if path.name.endswith((_MANIFEST, _DRAFT)):
                yield path.name.lstrip(".").removesuffix(_MANIFEST).removesuffix(_DRAFT)
