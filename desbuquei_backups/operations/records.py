"""What people grep of each backup: its line in backup-metadata.jsonl; the table backup_logs mirrors it."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import BackupError, IdentityError, IntegrityError, NoDump, NotFound, RestoreFailed
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import backup_logs, metadata_file
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.metadata_file import FILE, Line, lines
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk

__all__ = [
    "FILE",
    "Line",
    "change",
    "empty_line",
    "failed_in",
    "line_of",
    "line_of_manifest",
    "lines",
    "miss",
    "record",
    "record_failures",
    "record_found",
    "says_archived",
    "skip",
]

_LOG = logging.getLogger(__name__)
_UNPROVEN: Mapping[str, Any] = {
    **dict.fromkeys(("s3_uri", "storage_class")),
    "recovery_tested": False,
    **dict.fromkeys(("restore_seconds", "restored_at")),
}
_UNKNOWN = (
    *("rows", "file", "checksum_md5", "checksum_sha256", "duration_seconds"),
    *("copy_of", "same_as", "parent", "operator", "reason"),
)
_LONGEST = 300
_Merge = Callable[[Line | None], Mapping[str, Any] | None]


def record(site: Site, manifest: Manifest, *, status: str, read: int = 0, **changed: Any) -> None:
    """Write the line of a new dump, for which `read` bytes of SQL came out of the database; let the table catch up.

    Nothing stays of what was said of an earlier dump of this id, but what reading it cost, which adds up in
    `egress_bytes`: but for `changed`, it is neither archived nor proven.
    """
    line = {**line_of_manifest(manifest, status=status, read=read), **changed}
    _write(site, manifest.backup_id, lambda old: {**line, "egress_bytes": line["egress_bytes"] + _egress(old)})


def line_of_manifest(manifest: Manifest, *, status: str = "success", read: int | None = None) -> Line:
    """The line of a backup that is neither archived nor proven; `read` None: what it cost is what its files say."""
    if read is None:
        read = 0 if manifest.origin or manifest.point else sum(file.plain_size for file in manifest.logical)
    return {
        "backup_id": manifest.backup_id,
        "backup_type": manifest.tier,
        "backup_timestamp": _instant(manifest.taken_at),
        "database": manifest.database,
        "status": status,
        "size": manifest.dump.size if manifest.point is None else manifest.size,
        "total_size": manifest.size,
        "rows": manifest.rows if manifest.tables else None,
        "egress_bytes": read,
        "dump_bytes": read,
        "file": manifest.dump.name,
        "checksum_md5": manifest.dump.md5,
        "checksum_sha256": manifest.dump.sha256,
        **_UNPROVEN,
        "duration_seconds": manifest.duration_seconds,
        "copy_of": manifest.copy_of,
        "same_as": manifest.same_as,
        "parent": manifest.parent,
        "operator": manifest.operator,
        "reason": manifest.reason,
        "error": None,
        "failed_in": None,
    }


def change(site: Site, backup_id: str, **changed: Any) -> None:
    """Change what the backup's line says, if it has one here; then let the table catch up."""
    if line_of(site.settings.folder, backup_id) is not None:
        _write(site, backup_id, lambda old: None if old is None else _changed(old, changed))


def record_found(site: Site, manifest: Manifest) -> None:
    """Write the line of a backup that was found, if it has none: its run was killed, or the records were lost."""

    def found(old: Line | None) -> Mapping[str, Any] | None:
        if old is not None and old.get("file"):
            return None
        line = line_of_manifest(manifest)
        return {**line, "egress_bytes": line["egress_bytes"] + _egress(old)}

    if found(line_of(site.settings.folder, manifest.backup_id)) is not None:
        _write(site, manifest.backup_id, found)


def skip(site: Site, slot: Slot, why: str) -> None:
    """Record a slot that is left empty on purpose, and why; a backup that is there already stays what it is."""

    def skipped(old: Line | None) -> Line | None:
        if old is not None and old.get("status") == "success":
            return None
        return {**empty_line(site, slot), "status": "skipped", "egress_bytes": _egress(old), "error": why}

    _write(site, slot.backup_id, skipped)


def miss(site: Site, slot: Slot) -> None:
    """Record a slot that closed empty, with what its last attempt said; what is not empty stays what it is.

    The table is told with the next backup: the database may be down.
    """

    def missed(old: Line | None) -> Line | None:
        if old is not None and (old.get("s3_uri") or old.get("status") in ("missed", "skipped", "pruned")):
            return None
        kept = old or {}
        error = kept.get("error") or "nothing was taken while the slot was open"
        line = {**empty_line(site, slot), "status": "missed", "egress_bytes": _egress(old), "error": error}
        return {**line, **{name: kept[name] for name in ("failed_in", "operator", "reason") if kept.get(name)}}

    _write(site, slot.backup_id, missed, mirrored=False)


@contextmanager
def record_failures(
    site: Site, slot: Slot, step: str, *, egress: Callable[[], int] = lambda: 0, asked: Asked | None = None
) -> Iterator[None]:
    """Record a step that failed or was stopped, whatever ended it, with its error; that one then goes on unchanged.

    A backup that is archived stays one: the error is only noted beside it, unless bytes are gone or not what they were.
    `egress` says how many bytes of SQL were read for nothing: they were paid for all the same. `asked`: who wanted it.
    """
    try:
        yield
    except BaseException as error:
        try:
            _write_failure(site, slot, step, error, egress(), asked)
        except Exception as second:  # noqa: BLE001 - what ended the step must not be hidden by it
            _LOG.warning("the failure of %s could not be recorded: %s", slot.backup_id, _said(second))
        raise


def _write_failure(site: Site, slot: Slot, step: str, error: BaseException, read: int, asked: Asked | None) -> None:
    # Elsewhere, with the identity, it goes well; a backup of WAL is as it should be: nothing is said of the backup.
    if isinstance(error, IdentityError | NoDump):
        return
    found_nothing = isinstance(error, NotFound)  # a step that found nothing to do made no attempt

    def failed(old: Line | None) -> Mapping[str, Any] | None:
        told = {"egress_bytes": _egress(old) + read, "error": site.settings.told(_said(error)), "failed_in": step}
        status = old.get("status") if old is not None else None
        if old is not None and status == "success":
            kept = old.get("s3_uri") and not isinstance(error, IntegrityError | NotFound | RestoreFailed)
            return _changed(old, {**told, "status": "success" if kept else "failed"})
        if found_nothing and not read and (old is None or status == "skipped"):
            return None
        who = {"operator": asked.operator, "reason": asked.reason} if asked is not None else {}
        return {**empty_line(site, slot), **(old or {}), **who, **told, "status": "failed"}

    if found_nothing and not site.settings.folder.exists():
        return
    # Who stops a run waits for it to end: the table may wait for the next backup.
    _write(site, slot.backup_id, failed, mirrored=isinstance(error, Exception))


def line_of(folder: Path, backup_id: str) -> Line | None:
    """The backup's line, the others not being parsed; None if it has none."""
    return metadata_file.find(folder, {backup_id}).lines.get(backup_id)


def says_archived(folder: Path, backup_id: str) -> bool:
    """Whether the backup's line says that S3 has it."""
    line = line_of(folder, backup_id)
    return line is not None and bool(line.get("s3_uri"))


def failed_in(folder: Path, backup_id: str, step: str) -> bool:
    """Whether the backup's line says that it failed in that step."""
    line = line_of(folder, backup_id)
    return line is not None and (line.get("status"), line.get("failed_in")) == ("failed", step)


def _write(site: Site, backup_id: str, merge: _Merge, *, mirrored: bool = True) -> None:
    """Put what `merge` makes of the old line in its place; nothing is written if that is None."""
    folder = site.settings.folder
    disk.prepare(folder)
    with metadata_file.lock(folder):
        line = merge(line_of(folder, backup_id))
        if line is None:
            return
        backup_logs.owe(folder, backup_id)  # first: a crash in between must not leave the table behind
        metadata_file.replace(folder, line)
    if mirrored:
        backup_logs.catch_up(site)


def _changed(old: Line, changed: Mapping[str, Any]) -> Line:
    """The old line, in its order, with what one written by hand may lack."""
    return {**dict.fromkeys(old), **_UNPROVEN, **old, **changed}


def empty_line(site: Site, slot: Slot) -> Line:
    """The line of a slot that no dump fills."""
    return {
        "backup_id": slot.backup_id,
        "backup_type": slot.tier,
        "backup_timestamp": _instant(site.now()),
        "database": site.policy.database,
        "status": "failed",
        "size": 0,
        "total_size": 0,
        "egress_bytes": 0,
        "dump_bytes": 0,
        **dict.fromkeys(_UNKNOWN),
        **_UNPROVEN,
        "error": None,
        "failed_in": None,
    }


def _egress(line: Mapping[str, Any] | None) -> int:
    recorded = line.get("egress_bytes") if line is not None else None
    return recorded if isinstance(recorded, int) else 0


def _said(error: BaseException) -> str:
    """An error in one line. Of what is not ours, its type and its first line: the rest may quote the data."""
    if isinstance(error, BackupError):
        return error.what
    if not isinstance(error, Exception):  # Ctrl-C, or Dagster's way of ending a step
        return f"stopped before it was done ({type(error).__name__})"
    first = next(iter(str(error).splitlines()), "")
    return re.sub(r"://\S*@", "://***@", f"{type(error).__name__}: {first}".rstrip(": "))[:_LONGEST]


def _instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
