"""What the checks of a backup found, as JSON beside its manifest in S3: once for each step that ran, never overwritten.

Each is written on this disk first, and goes to S3 once the backup is archived there: an outage loses none.
"""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.evidence import sha256_of
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import last_verdicts, metadata_file
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.s3_errors import Taken

PART = ".checks-"
_LOG = logging.getLogger(__name__)
_OWED = "checks-owed"
# Of a backup that was not archived by then, the chain of evidence alone has the verdicts.
_AWAITED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of check results, as it will be in S3."""

    name: str
    sha256: str


def keep(site: Site, backup_id: str, step: str, results: Sequence[Mapping[str, Any]]) -> Kept:
    """Write down what the checks of a step found; DiskError."""
    now = site.now()
    name = f"{backup_id}{PART}{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.json"
    content = {
        "schema_version": 1,
        "database": site.policy.database,
        "backup_id": backup_id,
        "step": step,
        "at": now.isoformat(),
        "checks": list(results),
    }
    data = (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
    folder = site.settings.folder / _OWED
    disk.prepare(folder)
    disk.write_file(folder / name, data)
    last_verdicts.remember(site, f"{backup_id.partition('-')[0]}/{step}", backup_id, results)
    return Kept(name, sha256_of(data))


def try_to_send(site: Site) -> None:
    """Store what belongs to archived backups beside their manifests; what stands in the way is said, and waits."""
    folder = site.settings.folder
    try:
        owed = _owed(folder / _OWED)
        lines = metadata_file.find(folder, {slot.backup_id for slot, _ in owed}).lines if owed else {}
        for slot, path in owed:
            if (lines.get(slot.backup_id) or {}).get("s3_uri"):
                _store(site, slot, path)
            elif site.now() - slot.due < _AWAITED:
                continue
            with disk.disk_errors(path):
                path.unlink(missing_ok=True)
    except BackupError as error:
        _LOG.warning("check results are stored in S3 later: %s", error.what)


def _owed(folder: Path) -> list[tuple[Slot, Path]]:
    with disk.disk_errors(folder):
        paths = sorted(folder.glob(f"*{PART}*.json")) if folder.exists() else []
    return [(slot, path) for path in paths if (slot := slot_of(path.name.partition(".")[0])) is not None]


def _store(site: Site, slot: Slot, path: Path) -> None:
    with disk.disk_errors(path):
        content = path.read_bytes()
    tags = {"backup-id": slot.backup_id, "tier": slot.tier, "database": site.policy.database}
    with suppress(Taken):  # by a try of ours that was killed
        site.bucket.put_if_absent(key_of(path.name), content, tags=tags)
