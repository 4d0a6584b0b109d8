"""What backups there are: manifests are the truth, on disk and in the bucket."""

from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import Manifest, manifest_name, parse_manifest
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.s3 import Bucket

_SUFFIX = ".manifest.json"
_LOOKED_AT = 10


def draft_path(folder: Path, backup_id: str) -> Path:
    """Where a dump's facts wait until they are sealed in its manifest."""
    return folder / f".{backup_id}.draft.json"


def manifest_path(folder: Path, backup_id: str) -> Path:
    return folder / manifest_name(backup_id)


def key_of(file_name: str) -> str:
    """The key of a backup's file in the bucket, below its prefix: in the folder of the tier that it is named after."""
    return f"{Slot.of_id(file_name.partition('.')[0]).tier}/{file_name}"


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A backup as it lies in the folder: sealed by its manifest, or a draft that waits for it."""

    manifest: Manifest
    sealed: bool


def on_disk(folder: Path, backup_id: str) -> OnDisk | None:
    """The backup of that id in `folder`, or None; IntegrityError if its manifest cannot be read."""
    for path, sealed in ((manifest_path(folder, backup_id), True), (draft_path(folder, backup_id), False)):
        with disk_errors(path):
            if path.exists():
                return OnDisk(parse_manifest(path.read_bytes(), where=str(path)), sealed)
    return None


def last_sealed(folder: Path, *, but: str) -> bytes | None:
    """The bytes of the manifest sealed last, other than that of the backup `but`: the link before the next one."""
    newest: tuple[str, bytes] | None = None
    with disk_errors(folder):
        paths = [path for path in folder.glob(f"[!.]*{_SUFFIX}") if path.name != manifest_name(but)]
        # Each is written once, when it is sealed; there may be years of them.
        paths = sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)[:_LOOKED_AT]
        contents = [path.read_bytes() for path in paths]
    for content in contents:
        try:
            sealed_at = str(parse_manifest(content, where="").sealed_at)
        except IntegrityError:
            continue  # `list` and `verify` name it; it must not keep the next backup from being sealed
        if newest is None or newest[0] < sealed_at:
            newest = sealed_at, content
    return newest[1] if newest else None


def in_bucket(bucket: Bucket, tier: str, backup_id: str) -> Manifest | None:
    """The archived backup's manifest, or None. It is stored last: where it is, the whole archive is."""
    try:
        return read_manifest(bucket, f"{tier}/{manifest_name(backup_id)}")
    except NotFound:
        return None


def read_manifest(bucket: Bucket, key: str) -> Manifest:
    """The manifest under a key of the bucket; NotFound; StoreError; IntegrityError as of `named_manifest`."""
    return named_manifest(b"".join(bucket.read(key)), where=bucket.uri(key))


def named_manifest(content: bytes, *, where: str) -> Manifest:
    """The manifest found at `where`; IntegrityError if it cannot be read, or is not of the backup it is named after."""
    manifest = parse_manifest(content, where=where)
    if where.rpartition("/")[2] != manifest_name(manifest.backup_id) or slot_of(manifest.backup_id) is None:
        raise IntegrityError(
            f"the manifest {where} is that of {manifest.backup_id!r:.60}: it was renamed or altered",
            remedy="take the copy that is in the other place (disk or S3)",
        )
    return manifest
