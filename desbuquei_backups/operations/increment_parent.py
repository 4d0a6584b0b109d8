"""What an increment is taken against: the newest base backup of the cluster, and PostgreSQL's own manifest of it."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.manifest import FileFacts, Manifest, Role
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.operations.archived import read_archived
from desbuquei_backups.operations.copies import can_open
from desbuquei_backups.operations.inventory import sealed_slots
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bases import full_bases
from desbuquei_backups.operations.wal_slot import Cluster
from desbuquei_backups.storage import catalog, disk
from desbuquei_backups.storage.inside import read_inside
from desbuquei_backups.storage.stream import read_file

_LOG = logging.getLogger(__name__)
_KEPT, _MOST = ".base_manifest", 3


def keep_manifest(site: Site, backup_id: str, own: bytes) -> None:
    """Keep a base backup's own manifest as it is, where its file is encrypted and nothing here opens it.

    The next increments need it. It names files and their checksums, and holds no data.
    """
    if not site.settings.age_recipients:
        return
    folder = site.settings.folder
    disk.write_file(_kept(folder, backup_id), own)
    for path in sorted(folder.glob(f".*{_KEPT}"), key=lambda path: path.stat().st_mtime)[:-_MOST]:
        path.unlink(missing_ok=True)


def newest_base(site: Site, cluster: Cluster) -> Manifest | None:
    """The newest full base backup that leads to where the cluster is now, on disk, or else in S3. StoreError."""
    for found in (_on_disk(site), full_bases(site, cluster.system_identifier)):
        ours = [each for each in found if _leads(each, cluster) and _is_there(site, each)]
        if ours:
            return max(ours, key=_stopped_at)
    return None


def own_manifest(site: Site, manifest: Manifest) -> bytes | None:
    """PostgreSQL's manifest of that base backup, as the server wrote it; None if it is nowhere, or cannot be opened."""
    file = manifest.file(Role.BASE_MANIFEST)
    folder = site.settings.folder
    ways: list[Callable[[], bytes]] = [_kept(folder, manifest.backup_id).read_bytes]
    if can_open(site, manifest):
        ways.append(lambda: b"".join(read_inside(read_file(folder / file.name), file, site.identity)))
        ways.append(lambda: b"".join(read_archived(site.bucket, file, site.identity)))
    for way in ways:
        try:
            content = way()
        except (BackupError, OSError):
            continue
        if _is(content, file):
            return content
        _LOG.warning("a copy of %s is not what was written", file.name)
    return None


def _is(content: bytes, file: FileFacts) -> bool:
    wanted = file.decrypted.sha256 if file.decrypted is not None else file.sha256
    return hashlib.sha256(content).hexdigest() == wanted


def _kept(folder: Path, backup_id: str) -> Path:
    return folder / f".{backup_id}{_KEPT}"


def _on_disk(site: Site) -> Iterator[Manifest]:
    folder = site.settings.folder
    for slot in sealed_slots(folder):
        if any(folder.glob(f"{slot.backup_id}.base.tar.zst*")):
            try:
                found = catalog.on_disk(folder, slot.backup_id)
            except BackupError as error:
                _LOG.warning("%s", error.what)
                continue
            if found is not None and found.sealed:
                yield found.manifest


def _leads(manifest: Manifest, cluster: Cluster) -> bool:
    base = manifest.base
    return (
        base is not None
        and manifest.parent is None
        and manifest.server.system_identifier == cluster.system_identifier
        and cluster.histories.holds(cluster.timeline, base.timeline, parse_lsn(base.stop_lsn))
    )


def _is_there(site: Site, manifest: Manifest) -> bool:
    """Whether its files are, as far as their sizes tell: on disk, or in S3. An outage of that disproves nothing."""
    files = [file for file in manifest.files if file.role in (Role.BASE, Role.TABLESPACE)]
    paths = [(site.settings.folder / file.name, file.size) for file in files]
    if all(path.exists() and path.stat().st_size == size for path, size in paths):
        return True
    heads = [(site.bucket.head(catalog.key_of(file.name)), file) for file in files]
    return all(found is not None and found.is_whole(file) for found, file in heads)


def _stopped_at(manifest: Manifest) -> datetime:
    assert manifest.base is not None
    return manifest.base.stopped_at
