"""Where a backup's bytes are: in the folder, under its own keys in S3, or in the backup that it is a copy of."""

from collections.abc import Mapping
from pathlib import Path

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.manifest import FileFacts, Manifest
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.connection import parse
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.s3 import StoredObject


def is_on_disk(folder: Path, manifest: Manifest) -> bool:
    """Whether any of its dump's files is in `folder`: of a backup that is kept in S3 alone, only the manifest is."""
    return any((folder / file.name).exists() for file in manifest.logical)


def is_in_s3_alone(site: Site, manifest: Manifest) -> bool:
    """Whether none of its files is on disk and none need be: of copies, and of tiers that are kept in S3 alone."""
    if is_on_disk(site.settings.folder, manifest):
        return False
    tier = site.policy.tiers.get(manifest.tier)
    return manifest.origin is not None or (tier is not None and tier.kept_on_disk is None)


def refuse_other_database(site: Site, manifest: Manifest) -> None:
    """ConfigurationError if a backup found under a slot's id is of another database than the one to be backed up."""
    wanted = parse(site.settings.database_url, setting=DATABASE_URL).get("dbname")
    if wanted is not None and manifest.server.database != wanted:
        raise ConfigurationError(
            f"{manifest.backup_id} in this folder or bucket is of the database {manifest.server.database}, "
            f"not of {wanted}",
            remedy="give each database a backup folder and an S3 prefix of its own: DESBUQUEI_BACKUP_DIR, "
            "DESBUQUEI_S3_URL; nothing was changed",
        )


def source_key(manifest: Manifest, file: FileFacts) -> str | None:
    """The key of the object that a copy's file is to be copied from; None if it is no copy, or was taken beside it."""
    if manifest.copy_of is None or file.role.physical:
        return None
    return key_of(file.name.replace(manifest.backup_id, manifest.copy_of, 1))


def stored(site: Site, manifest: Manifest) -> dict[str, StoredObject | None]:
    """What the store says of each file, by name."""
    return {file.name: site.bucket.head(key_of(file.name)) for file in manifest.files}


def stored_anywhere(site: Site, manifest: Manifest) -> dict[str, StoredObject | None]:
    """The same; for a file that was not yet copied, what the store says of the object that it is to be copied from."""
    found = stored(site, manifest)
    for file in manifest.files:
        if found[file.name] is None and (key := source_key(manifest, file)) is not None:
            found[file.name] = site.bucket.head(key)
    return found


def faults_in_store(manifest: Manifest, there: Mapping[str, StoredObject | None]) -> list[str]:
    """What is wrong with each object, as far as asking tells: `NAME …`."""
    faults = []
    for file in manifest.files:
        found = there[file.name]
        if found is None:
            faults.append(f"{file.name} is not in S3")
        elif not found.is_whole(file):
            faults.append(f"{file.name} is not what S3 has under {found.uri}")
    return faults
