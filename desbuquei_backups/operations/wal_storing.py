"""One file of WAL into S3, under its name and once: an equal one that is there is as good, another one is refused."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.tiers import Takes
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bucket import CURRENT_AT, PLAIN_SHA256, PLAIN_SIZE, folder_of
from desbuquei_backups.operations.wal_packing import SUFFIX, pack
from desbuquei_backups.storage import age
from desbuquei_backups.storage.s3 import Lock
from desbuquei_backups.storage.s3_errors import Taken

SUFFIXES = (SUFFIX, f"{SUFFIX}{age.SUFFIX}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is in S3. `new`: it was not there before. Bytes are the file's, and those of its object."""

    new: bool
    plain_size: int
    size: int


def store_wal(
    site: Site, system_identifier: str, path: Path, *, suffix: str | None = None, at: datetime | None = None
) -> Stored:
    """Store the file. `suffix`: that of the object which has its name already, None: none is known of.

    `at`: when its end was current. NotWhole if it is not what it is called; IntegrityError if S3 has another one of
    that name: both stay; StoreError, DiskError.
    """
    packed = pack(path, system_identifier, site.settings.age_recipients)
    # Encrypted or not, there is one of each name.
    there = suffix is not None and suffix != packed.suffix
    with packed.content:
        if not there:
            facts = {PLAIN_SHA256: packed.plain_sha256, PLAIN_SIZE: str(packed.plain_size)}
            try:
                site.bucket.put_stream(
                    f"{folder_of(system_identifier)}{path.name}{packed.suffix}",
                    packed.content,
                    size=packed.size,
                    sha256=packed.sha256,
                    metadata=facts | ({CURRENT_AT: at.isoformat()} if at is not None else {}),
                    tags={"tier": "wal", "database": site.policy.database},
                    lock=lock_of_wal(site),
                )
            except Taken:
                there, suffix = True, packed.suffix
    if there:
        _compare(site, f"{folder_of(system_identifier)}{path.name}{suffix}", path, packed.plain_sha256)
    return Stored(not there, packed.plain_size, packed.size)


def _compare(site: Site, key: str, path: Path, sha256: str) -> None:
    found = site.bucket.head(key)
    theirs = found.metadata.get(PLAIN_SHA256) if found is not None else None
    if theirs != sha256:
        raise IntegrityError(
            f"there are two different files {path.name}: {path} (SHA-256 {sha256}) and "
            f"{site.bucket.uri(key)} ({theirs or 'not told'})",
            remedy="neither was touched. Two servers that archive to one place, a restored clone say, make two WALs of "
            "one name: stop the one that should not, and move its file away; then take a new base backup",
        )


def lock_of_wal(site: Site) -> Lock | None:
    """WAL is locked as the tiers that take increments are, for as long as any second can be recovered to."""
    modes = [tier.object_lock for tier in site.policy.tiers.values() if tier.takes is Takes.INCREMENTAL]
    mode = next((each for each in modes if each is not None), None)
    return Lock(mode, site.now() + site.policy.pitr_window) if mode is not None and site.bucket.has_lock else None
