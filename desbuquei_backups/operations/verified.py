"""When each copy in S3 was last verified: a line for each time, in a small file beside the records."""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic_core import from_json

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.operations.held import instant
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk

_FILE, _SECOND_FILE = ".verified-in-s3.jsonl", ".verified-in-second-place.jsonl"
_LOOSE = 1000  # lines that may be out of date before they are dropped
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verification:
    """That a backup in S3 was verified at that moment (aware UTC), and whether it was whole.

    `read_bytes`: how much was read; of what is frozen nothing is, its checksum is compared.
    """

    backup_id: str
    at: datetime
    whole: bool
    read_bytes: int

    def body(self) -> dict[str, object]:
        return {
            "backup_id": self.backup_id,
            "verified_at": self.at.isoformat(),
            "whole": self.whole,
            "read_bytes": self.read_bytes,
        }


@dataclass(frozen=True, slots=True)
class Oldest:
    """Of so many `backups`: how many were `never` found whole, and which of the others it is the longest ago for."""

    backups: int
    never: int
    backup_id: str | None
    at: datetime | None

    def said(self) -> str:
        """In one line, for a person."""
        if self.at is None:
            return f"none of {self.backups:,}"
        never = f"{self.never:,} of {self.backups:,} never, " if self.never else ""
        return f"{never}the longest ago {self.backup_id} on {self.at:%Y-%m-%d}"


def remember(site: Site, done: Verification) -> None:
    """Write it down. No fault of this memory is one of the backup: it is logged."""
    path = _path(site)
    try:
        disk.prepare(path.parent)
        with metadata_file.lock(path.parent, path.name), disk.disk_errors(path), path.open("ab", buffering=0) as file:
            # On a line of its own, whatever a crash left of the last one.
            disk.write_all(file, b"\n" + json.dumps(done.body()).encode())
            os.fsync(file.fileno())
    except BackupError as error:
        _LOG.warning("%s: that it was verified is not remembered: %s", done.backup_id, error.what)


def last_whole(site: Site) -> Mapping[str, datetime]:
    """When each backup was last found whole, by its id. One that was found otherwise since is as one never verified."""
    path, found, lines = _path(site), dict[str, datetime](), 0
    if not path.exists():
        return found
    try:
        with metadata_file.lock(path.parent, path.name):
            with disk.disk_errors(path), path.open("rb") as file:
                for raw in file:
                    lines += 1
                    _note(found, raw)
            if lines > 2 * len(found) + _LOOSE:
                kept = (Verification(backup_id, at, whole=True, read_bytes=0) for backup_id, at in found.items())
                disk.write_file(path, b"".join(b"\n" + json.dumps(each.body()).encode() for each in kept))
    except BackupError as error:
        _LOG.warning("what was verified is not known: %s", error.what)
    return found


def oldest(known: Mapping[str, datetime], backup_ids: Iterable[str]) -> Oldest:
    """Which of those backups was verified the longest ago."""
    ids = list(backup_ids)
    there = [(known[backup_id], backup_id) for backup_id in ids if backup_id in known]
    at, backup_id = min(there, default=(None, None))
    return Oldest(len(ids), len(ids) - len(there), backup_id, at)


def _note(found: dict[str, datetime], raw: bytes) -> None:
    try:
        line = from_json(raw)
        backup_id, at = line["backup_id"], instant(line["verified_at"])
    except (ValueError, TypeError, KeyError):  # a last line torn by a crash
        return
    if line.get("whole") is True and at is not None:
        found[backup_id] = at
    else:
        found.pop(backup_id, None)


def _path(site: Site) -> Path:
    return site.settings.folder / (_FILE if site.first is None else _SECOND_FILE)
