"""The copies of a backup, in S3 and on disk: found, and read back as plain SQL."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from desbuquei_backups.core.errors import Frozen, IdentityError, IntegrityError, NoDump, NotFound
from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import verify
from desbuquei_backups.operations.archived import read_archived
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import is_on_disk
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.inside import no_identity, read_inside
from desbuquei_backups.storage.s3_errors import THAW
from desbuquei_backups.storage.stream import read_file

Progress = Callable[[int], None]


class Place(StrEnum):
    """Where a copy lies."""

    S3 = "s3"
    SECOND = "second"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a sealed backup."""

    manifest: Manifest
    place: Place
    _open: Callable[[Role, Progress], Iterator[bytes]] = field(repr=False)

    def read(self, role: Role, *, progress: Progress = lambda _: None) -> Iterator[bytes]:
        """The SQL in a file; IntegrityError, at the latest at its end, if it is not the manifest's; IdentityError."""
        return self._open(role, progress)

    def text(self, role: Role) -> str:
        return b"".join(self.read(role)).decode()


def find_copy(site: Site, backup_id: str, place: Place) -> Copy:
    """The copy in S3, at either place, which needs nothing but the bucket; or the one on disk, read and compared first.

    NotFound if it is not there; NoDump if it is of WAL; IntegrityError if a file on disk is not what the manifest says;
    IdentityError if it is encrypted, and no identity is named here that opens it.
    """
    if place is Place.DISK:
        return _on_disk(site, backup_id)
    return _in_s3(site if place is Place.S3 else site.at_second_place, backup_id, place)


def can_open(site: Site, manifest: Manifest) -> bool:
    """Whether what is in the backup's files can be read here: they are not encrypted, or an identity opens them."""
    known = site.identity.recipients if site.identity is not None else ()
    return not manifest.recipients or not set(known).isdisjoint(manifest.recipients)


def refuse_unopenable(site: Site, manifest: Manifest) -> None:
    """IdentityError unless `can_open`."""
    if can_open(site, manifest):
        return
    if site.identity is None:
        raise no_identity()
    raise IdentityError(
        f"it is encrypted, and {site.identity.where} has none of its keys",
        remedy=f"name the identity of one of these: {', '.join(manifest.recipients)}",
    )


def refuse_without_dump(manifest: Manifest) -> None:
    """NoDump of a backup of WAL."""
    if manifest.point is not None:
        raise NoDump(
            "it holds WAL and no dump: recovery drills prove it",
            remedy=f"`desbuquei recover --to {manifest.point.name} --data-dir DIR` recovers the whole cluster to it",
        )


def _in_s3(site: Site, backup_id: str, place: Place) -> Copy:
    tier = Slot.of_id(backup_id).tier
    site.progress.stage("fetching the manifest")
    manifest = catalog.in_bucket(site.bucket, tier, backup_id)
    if manifest is None:
        raise NotFound(
            f"it is not archived in {site.bucket.uri(tier)}",
            remedy="`desbuquei list --remote` shows what is there; --from disk restores the copy in the backup folder",
        )
    refuse_without_dump(manifest)
    refuse_unopenable(site, manifest)
    found = site.bucket.head(key_of(manifest.dump.name))
    if found is not None and found.frozen:
        raise Frozen(f"{found.uri} is in {found.storage_class.value}", remedy=THAW)
    return Copy(
        manifest,
        place,
        lambda role, progress: read_archived(site.bucket, manifest.file(role), site.identity, progress=progress),
    )


def _on_disk(site: Site, backup_id: str) -> Copy:
    folder = site.settings.folder
    Slot.of_id(backup_id)
    found = catalog.on_disk(folder, backup_id)
    if found is None or not found.sealed:
        what = "there is no such backup" if found is None else "it is not sealed: nobody has read it back"
        raise NotFound(
            f"{what} in {folder}", remedy="`desbuquei list` shows what is there; --from s3 restores the archived copy"
        )
    manifest = found.manifest
    refuse_without_dump(manifest)
    if not is_on_disk(folder, manifest):
        raise NotFound(f"none of its files is in {folder}", remedy="restore the archived copy: --from s3")
    refuse_unopenable(site, manifest)
    site.progress.stage("verifying checksums", manifest.size)
    if wrong := verify.checksum_faults(folder, manifest, progress=site.progress.advance):
        raise IntegrityError("; ".join(wrong), remedy="restore the archived copy: --from s3")

    def read(role: Role, progress: Progress) -> Iterator[bytes]:
        def counted(path: str) -> Iterator[bytes]:
            for chunk in read_file(folder / path):
                progress(len(chunk))
                yield chunk

        file = manifest.file(role)
        return read_inside(counted(file.name), file, site.identity)

    return Copy(manifest, Place.DISK, read)
