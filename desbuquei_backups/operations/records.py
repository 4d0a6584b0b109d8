"""The records people grep: backup-metadata.jsonl, one line a backup; the table backup_logs mirrors it."""

import fcntl
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import BackupError, IntegrityError, NotFound, RestoreFailed
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import backup_logs
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk

FILE = "backup-metadata.jsonl"
_LOG = logging.getLogger(__name__)
_UNPROVEN: Mapping[str, Any] = {"s3_uri": None, "storage_class": None, "recovery_tested": False}
_LONGEST = 300


def record(site: Site, manifest: Manifest, *, status: str, **changed: Any) -> None:
    """Write the line of a new dump, and let the table catch up.

    Nothing stays of what was said of an earlier dump of this id: but for `changed`, it is neither archived nor proven.
    """
    line = {
        "backup_id": manifest.backup_id,
        "backup_type": manifest.tier,
        "backup_timestamp": _instant(manifest.taken_at),
        "database": manifest.database,
        "status": status,
        "size": manifest.dump.size,
        "file": manifest.dump.name,
        "checksum_md5": manifest.dump.md5,
        "checksum_sha256": manifest.dump.sha256,
        "duration_seconds": manifest.duration_seconds,
        "error": None,
    }
    _write(site, {**_UNPROVEN, **line, **changed})


def change(site: Site, backup_id: str, **changed: Any) -> None:
    """Change what the backup's line says, if it has one here; then let the table catch up."""
    if any(line["backup_id"] == backup_id for line in read(site.settings.folder)):
        _write(site, {"backup_id": backup_id, **changed})


@contextmanager
def record_failures(site: Site, slot: Slot) -> Iterator[None]:
    """Record a step that failed or was stopped, whatever ended it, with its error; that one then goes on unchanged.

    A backup that is archived stays one: the error is only noted beside it, unless bytes are gone or not what they were.
    """
    try:
        yield
    except BaseException as error:
        try:
            _write_failure(site, slot, error)
        except Exception as second:  # noqa: BLE001 - what ended the step must not be hidden by it
            _LOG.warning("the failure of %s could not be recorded: %s", slot.backup_id, _said(second))
        raise


def _write_failure(site: Site, slot: Slot, error: BaseException) -> None:
    # Who stops a run waits for it to end: the table may wait for the next backup.
    mirrored = isinstance(error, Exception)
    there = {line["backup_id"]: line for line in _readable(site.settings.folder)}.get(slot.backup_id)
    if there is not None and there.get("status") == "success":
        kept = there.get("s3_uri") and not isinstance(error, IntegrityError | NotFound | RestoreFailed)
        status = "success" if kept else "failed"
        _write(site, {"backup_id": slot.backup_id, "status": status, "error": _said(error)}, mirrored=mirrored)
    elif there is not None or not isinstance(error, NotFound):  # a step that found nothing to do made no attempt
        failed = {
            "backup_id": slot.backup_id,
            "backup_type": slot.tier,
            "backup_timestamp": _instant(site.now()),
            "database": site.policy.database,
            "size": 0,
            "file": None,
            "checksum_md5": None,
            "checksum_sha256": None,
            "duration_seconds": None,
        }
        line = {**failed, **(there or {}), "status": "failed", "error": _said(error)}
        _write(site, line, mirrored=mirrored)


def _said(error: BaseException) -> str:
    """An error in one line. Of what is not ours, its type and its first line: the rest may quote the data."""
    if isinstance(error, BackupError):
        return error.what
    if not isinstance(error, Exception):  # Ctrl-C, or Dagster's way of ending a step
        return f"stopped before it was done ({type(error).__name__})"
    first = next(iter(str(error).splitlines()), "")
    return re.sub(r"://\S*@", "://***@", f"{type(error).__name__}: {first}".rstrip(": "))[:_LONGEST]


def read(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metadata file, in order. What is no line of ours is left out: a last one torn by a crash."""
    path = folder / FILE
    with disk.disk_errors(path):
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = []
    # Not splitlines(): it also splits at characters that JSON leaves as they are within a name.
    for text_line in filter(None, text.split("\n")):
        try:
            line = json.loads(text_line)
        except ValueError:
            line = None
        if isinstance(line, dict) and isinstance(line.get("backup_id"), str):
            lines.append(line)
        else:
            _LOG.warning("%s: a line that is not JSON, or no backup's, is left out: %.60s", path, text_line)
    return lines


def _readable(folder: Path) -> list[dict[str, Any]]:
    try:
        return read(folder)
    except BackupError:
        return []


def _write(site: Site, line: Mapping[str, Any], *, mirrored: bool = True) -> None:
    folder = site.settings.folder
    disk.prepare(folder)
    with _file_lock(folder):
        lines = {old["backup_id"]: old for old in read(folder)}
        lines[line["backup_id"]] = {**_UNPROVEN, **lines.get(line["backup_id"], {}), **line}
        text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines.values())
        disk.write_file(folder / FILE, text.encode(errors="backslashreplace"))
    if mirrored:
        backup_logs.catch_up(site, list(lines.values()))


@contextmanager
def _file_lock(folder: Path) -> Iterator[None]:
    path = folder / f".{FILE}.lock"
    with disk.disk_errors(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
