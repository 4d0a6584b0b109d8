"""What a recovery drill showed, as an object in the bucket, `drills/<instant>.json`: written once, never changed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.errors import BackupError, NotFound
from desbuquei_backups.core.evidence import Stored, sha256_of
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk

FOLDER = "drills"
ACCEPTING = "to accepting connections"


class DatabaseSeen(BaseModel):
    """One database of the recovered cluster: its tables, and the rows in all of them. `counted`: each table's rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    tables: int
    rows: int
    counted: Mapping[str, int]


class DrillRecord(BaseModel):
    """One drill. `seconds` by stage; sizes are bytes; positions as PostgreSQL shows them.

    `faults`: what is wrong with the recovered copy; `unchecked`: what could not be looked at, and why.
    `increment`: that of `backup_id` which it was combined with. `present_size` is what the source's databases are now,
    None if it was not asked. `dumped_rows`: what the dump of the same slot as the base had, by table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    drilled_at: AwareDatetime
    place: str
    target: str
    backup_id: str
    increment: str | None = None
    system_identifier: str
    server_version: str
    reached: str
    committed_at: AwareDatetime | None
    timeline: int
    base_size: int
    wal_size: int
    present_size: int | None
    seconds: Mapping[str, float]
    databases: Sequence[DatabaseSeen]
    dumped_rows: Mapping[str, int]
    checked: Sequence[str]
    unchecked: Sequence[str]
    faults: Sequence[str]
    notes: Sequence[str]

    @property
    def recovery_seconds(self) -> float:
        """From the first byte fetched to the first connection accepted."""
        return self.seconds[ACCEPTING]

    @property
    def expected_seconds(self) -> float | None:
        """The same for what the source is now: what grows with it, by its size; None if that was not asked."""
        if self.present_size is None or not self.base_size:
            return None
        replay = self.seconds.get("replay", 0.0)
        return round((self.recovery_seconds - replay) * max(self.present_size / self.base_size, 1.0) + replay, 3)


def keep(site: Site, record: DrillRecord) -> Stored:
    """Store a record in the bucket and, where there is one, in the backup folder."""
    content = (record.model_dump_json(indent=1) + "\n").encode()
    name = f"{record.drilled_at:%Y%m%dT%H%M%S%fZ}.json"
    folder = site.settings.folder
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        disk.prepare(folder / FOLDER)
        disk.write_file(folder / FOLDER / name, content)
    key = f"{FOLDER}/{name}"
    site.bucket.put_bytes(key, content, tags={"database": site.policy.database})
    return Stored(key, sha256_of(content))


def newest(site: Site) -> DrillRecord | None:
    """The newest drill in the backup folder, or else in the bucket, that can be read; None if there is none."""
    folder = site.settings.folder / FOLDER
    for path in sorted(folder.glob("*.json"), reverse=True) if folder.is_dir() else ():
        if (found := parsed(_content(path))) is not None:
            return found
    for key in sorted(site.bucket.keys(f"{FOLDER}/"), reverse=True):
        try:
            content = b"".join(site.bucket.read(key))
        except NotFound:
            continue
        if (found := parsed(content)) is not None:
            return found
    return None


def _content(path: Path) -> bytes:
    try:
        with disk.disk_errors(path):
            return path.read_bytes()
    except BackupError:
        return b""


def parsed(content: bytes) -> DrillRecord | None:
    """The record in `content`; None if it cannot be read."""
    try:
        return DrillRecord.model_validate_json(content)
    except ValidationError:
        return None
