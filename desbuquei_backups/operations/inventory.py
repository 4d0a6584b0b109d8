"""What backups there are, and where: manifests on disk and in the bucket, and the attempts that failed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import BackupError, ConfigurationError, IntegrityError
from desbuquei_backups.core.manifest import Manifest, manifest_name, parse_manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.s3 import Bucket

_SUFFIX = manifest_name("")


@dataclass(frozen=True, slots=True)
class Held:
    """One slot's backup, or its failed attempt. None: not known from here. `size` is bytes of all its files.

    `status` is sealed, unsealed or failed: a sealed backup whose archive failed is failed too. `error` is why, or what
    went wrong later with a backup that is archived; one line.
    """

    slot: Slot
    taken_at: datetime | None
    size: int | None
    rows: int | None
    on_disk: bool | None
    archived: bool | None
    proven: bool | None
    status: str
    error: str | None = None

    @property
    def backup_id(self) -> str:
        return self.slot.backup_id

    @property
    def where(self) -> list[str]:
        return [name for name, there in (("disk", self.on_disk), ("s3", self.archived)) if there]


def local(site: Site) -> tuple[list[Held], list[str]]:
    """Backups by the folder's manifests and its metadata file, newest first; and what there cannot be read, and why."""
    folder = site.settings.folder
    lines = {line["backup_id"]: line for line in records.read(folder)}
    manifests, faults = manifests_on_disk(folder)
    held = [_of_manifest(each, lines, on_disk=True) for each in manifests]
    seen = {each.backup_id for each in held}
    for backup_id, line in lines.items():
        if backup_id not in seen and (slot := _slot(backup_id)) is not None:
            held.append(_of_line(slot, line))
    return _newest_first(held), faults


def remote(site: Site, tiers: Iterable[str]) -> tuple[list[Held], list[str]]:
    """Backups by the bucket's manifests alone, newest first; and what there cannot be read, and why."""
    held, faults = [], []
    for tier in tiers:
        for key in _manifest_keys(site.bucket, tier):
            try:
                manifest = _parsed(b"".join(site.bucket.read(key)), where=site.bucket.uri(key))
            except BackupError as error:
                if not error.permanent:
                    raise
                faults.append(error.what)
            else:
                held.append(_of_manifest(manifest, {}, archived=True))
    return _newest_first(held), faults


def archived_slots(bucket: Bucket, tier: str) -> list[Slot]:
    """The slots of a tier that have a manifest in the bucket, newest first; StoreError if it cannot be asked."""
    names = (key.rpartition("/")[2].removesuffix(_SUFFIX) for key in _manifest_keys(bucket, tier))
    return sorted((slot for name in names if (slot := _slot(name)) is not None), reverse=True)


def sealed_slots(folder: Path) -> list[Slot]:
    """The slots that have a manifest in `folder`, whether it can be read or not."""
    names = (path.name.removesuffix(_SUFFIX) for path in _manifest_paths(folder))
    return sorted((slot for name in names if (slot := _slot(name)) is not None), reverse=True)


def manifests_on_disk(folder: Path) -> tuple[list[Manifest], list[str]]:
    """Every sealed manifest in `folder` that can be read; and why the others cannot."""
    manifests, faults = [], []
    for path in _manifest_paths(folder):
        try:
            with disk_errors(path):
                content = path.read_bytes()
            manifests.append(_parsed(content, where=str(path)))
        except BackupError as error:
            faults.append(error.what)
    return manifests, faults


def _parsed(content: bytes, *, where: str) -> Manifest:
    """The manifest found at `where`; IntegrityError if it cannot be read, or is not of the backup it is named after."""
    manifest = parse_manifest(content, where=where)
    if where.rpartition("/")[2] != manifest_name(manifest.backup_id) or _slot(manifest.backup_id) is None:
        raise IntegrityError(
            f"the manifest {where} is that of {manifest.backup_id!r:.60}: it was renamed or altered",
            remedy="take the copy that is in the other place (disk or S3)",
        )
    return manifest


def _manifest_paths(folder: Path) -> list[Path]:
    with disk_errors(folder):
        return sorted(folder.glob(f"[!.]*{_SUFFIX}")) if folder.exists() else []


def _manifest_keys(bucket: Bucket, tier: str) -> Iterator[str]:
    return (key for key in bucket.keys(f"{tier}/") if key.endswith(_SUFFIX))


def _of_manifest(
    manifest: Manifest,
    lines: Mapping[str, Mapping[str, Any]],
    *,
    on_disk: bool | None = None,
    archived: bool | None = None,
) -> Held:
    line = lines.get(manifest.backup_id)
    if archived is None and line is not None:
        archived = bool(line.get("s3_uri"))
    return Held(
        slot=Slot.of_id(manifest.backup_id),
        taken_at=manifest.taken_at,
        size=manifest.size,
        rows=manifest.rows if manifest.tables else None,
        on_disk=on_disk,
        archived=archived,
        proven=bool(line.get("recovery_tested")) if line is not None else None,
        status="failed" if line is not None and line.get("status") == "failed" else "sealed",
        error=_error(line) if line is not None else None,
    )


def _of_line(slot: Slot, line: Mapping[str, Any]) -> Held:
    """A backup that is not, or no longer, sealed on disk: all that is known is its line."""
    failed = line.get("status") != "success"
    archived = bool(line.get("s3_uri"))
    size = line.get("size") if archived else None
    return Held(
        slot=slot,
        taken_at=_instant(line.get("backup_timestamp")),
        size=size if isinstance(size, int) else None,
        rows=None,
        on_disk=False,
        archived=archived,
        proven=bool(line.get("recovery_tested")),
        status="failed" if failed else "sealed" if archived else "unsealed",
        error=_error(line) or ("unknown reason" if failed else None),
    )


def _error(line: Mapping[str, Any]) -> str | None:
    return " ".join(str(line.get("error") or "").split()) or None


def _instant(written: object) -> datetime | None:
    """The instant in a line, aware; None if it was written by hand and is none."""
    try:
        instant = datetime.fromisoformat(str(written))
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _slot(backup_id: str) -> Slot | None:
    try:
        return Slot.of_id(backup_id)
    except ConfigurationError:
        return None


def _newest_first(held: Iterable[Held]) -> list[Held]:
    return sorted(held, key=lambda each: (each.slot.due, each.slot.tier), reverse=True)
