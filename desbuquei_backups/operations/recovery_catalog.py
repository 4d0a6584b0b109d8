"""The base backups that a recovery may begin from, and their increments: by the manifests in the bucket or folder."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from desbuquei_backups.core.errors import ConfigurationError, Frozen, IntegrityError, NotFound
from desbuquei_backups.core.manifest import FileFacts, Manifest, Role
from desbuquei_backups.core.recovery import Base
from desbuquei_backups.core.slots import slot_of
from desbuquei_backups.core.wal import DEFAULT_SEGMENT_SIZE
from desbuquei_backups.operations.archived import read_archived
from desbuquei_backups.operations.copies import Place, refuse_unopenable
from desbuquei_backups.operations.inventory import sealed_slots
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bases import base_of
from desbuquei_backups.operations.wal_source import WAL_ARCHIVE, WalArchive, WalFolder, WalSource
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.inside import read_inside
from desbuquei_backups.storage.s3_errors import THAW
from desbuquei_backups.storage.stream import OTHER_COPY, read_file

Progress = Callable[[int], None]
_BASES = (".base.tar.zst", ".incr.tar.zst")
_AT_ONCE = 4
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BaseCopies:
    """One cluster's base backups and increments in one place, by id, and the WAL there. `segment_size` is bytes.

    `site` is the one at that place: of the second one, its bucket is that of no other.
    """

    site: Site
    place: Place
    system_identifier: str
    manifests: dict[str, Manifest]
    wal: WalSource
    segment_size: int

    @property
    def bases(self) -> list[Base]:
        return [base for manifest in self.manifests.values() if (base := base_of(manifest)) is not None]

    def read(self, file: FileFacts, *, progress: Progress = lambda _: None) -> Iterator[bytes]:
        """What is in a file of a base backup; IntegrityError, at the latest at its end; IdentityError; NotFound."""
        if self.place is Place.DISK:
            return _read_disk(self.site, file, progress)
        return read_archived(self.site.bucket, file, self.site.identity, progress=progress)

    def require_readable(self, manifest: Manifest) -> None:
        """IdentityError if nothing here opens it; Frozen if S3 must thaw it first."""
        refuse_unopenable(self.site, manifest)
        if self.place is Place.DISK:
            return
        found = self.site.bucket.head(catalog.key_of(manifest.file(Role.BASE).name))
        if found is not None and found.frozen:
            raise Frozen(f"{found.uri} is in {found.storage_class.value}", remedy=THAW)


def base_copies(site: Site, place: Place, system_identifier: str | None = None) -> BaseCopies:
    """All base backups in `place` of the one cluster that has any there.

    NotFound if there is none; ConfigurationError, which names them, if there are several clusters and none is chosen,
    or if there is no second place.
    """
    if place is Place.SECOND:
        site = site.at_second_place
    site.progress.stage("looking for base backups")
    manifests = _on_disk(site) if place is Place.DISK else _in_bucket(site)
    clusters = {manifest.server.system_identifier or "" for manifest in manifests}
    chosen = _chosen(clusters, system_identifier, where=_where(site, place))
    own = [each for each in manifests if each.server.system_identifier == chosen]
    wal: WalSource = (
        WalFolder(site.settings.folder / WAL_ARCHIVE)
        if place is Place.DISK
        else WalArchive(site.bucket, chosen, site.identity)
    )
    size = int(own[-1].server.settings.get("wal_segment_size", DEFAULT_SEGMENT_SIZE))
    return BaseCopies(site, place, chosen, {each.backup_id: each for each in own}, wal, size)


def _where(site: Site, place: Place) -> str:
    return str(site.settings.folder) if place is Place.DISK else site.bucket.uri("")


def _chosen(clusters: set[str], wanted: str | None, *, where: str) -> str:
    if not clusters or (wanted is not None and wanted not in clusters):
        of = f" of the cluster {wanted}" if wanted is not None else ""
        raise NotFound(
            f"there is no base backup{of} in {where}",
            remedy="`desbuquei list --remote` shows what is there; a logical dump is restored by `desbuquei restore`",
        )
    if wanted is None and len(clusters) > 1:
        raise ConfigurationError(
            f"{where} has base backups of {len(clusters)} clusters: {', '.join(sorted(clusters))}",
            remedy="say which one: --system-identifier, which pg_controldata shows",
        )
    return wanted or next(iter(clusters))


def _in_bucket(site: Site) -> list[Manifest]:
    """By the names of their files first, so that of years of backups only those are read that have a base."""
    found = set()
    for tier in site.policy.tiers:
        for key in site.bucket.keys(f"{tier}/"):
            slot = slot_of(key.rpartition("/")[2].partition(".")[0])
            if any(each in key for each in _BASES) and slot is not None and slot.tier == tier:
                found.add(slot)

    def read(backup_id: str, tier: str) -> Manifest | None:
        return _readable(partial(catalog.in_bucket, site.bucket, tier, backup_id))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        slots = sorted(found)
        read_ones = pool.map(read, [slot.backup_id for slot in slots], [slot.tier for slot in slots])
        return [each for each in read_ones if each is not None and each.base is not None]


def _on_disk(site: Site) -> list[Manifest]:
    folder = site.settings.folder
    if not folder.is_dir():
        return []
    ids = [slot.backup_id for slot in sorted(sealed_slots(folder))]
    there = [_readable(partial(_sealed, folder, each)) for each in ids if any(folder.glob(f"{each}.*.tar.zst*"))]
    return [each for each in there if each is not None and each.base is not None]


def _sealed(folder: Path, backup_id: str) -> Manifest | None:
    found = catalog.on_disk(folder, backup_id)
    return found.manifest if found is not None and found.sealed else None


def _readable(read: Callable[[], Manifest | None]) -> Manifest | None:
    """One manifest that cannot be read stands in the way of no other."""
    try:
        return read()
    except IntegrityError as error:
        _LOG.warning("%s", error.what)
        return None


def _read_disk(site: Site, file: FileFacts, progress: Progress) -> Iterator[bytes]:
    """Hashed as it is read: a base backup is large, and is read once."""
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in read_file(site.settings.folder / file.name):
            digest.update(chunk)
            progress(len(chunk))
            yield chunk

    yield from read_inside(hashed(), file, site.identity)
    if digest.hexdigest() != file.sha256:
        raise IntegrityError(
            f"{file.name} is not what the manifest says: its SHA-256 is {digest.hexdigest()}, not {file.sha256}",
            remedy=OTHER_COPY,
        )
