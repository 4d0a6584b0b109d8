"""What the recovery tests recover: a base backup and the WAL of a write load after it, on disk and in the bucket."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import psycopg
from zstandard import ZstdCompressor

from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.core.wal_points import RecoveryPoint
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.base_backup import take_base_backup
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.recovered_copy import Copy
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import DATABASE_URL, S3_URL, Settings
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import age
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import SLOT, Clock, Endpoints
from desbuquei_backups_tests.operations.origin import Commit, Origin, commits

POINT = "antes_da_migracao"


@dataclass
class Story:
    """A source that still runs, its backup `slot`, and every commit after it, by the WAL itself.

    `point` is the position of the restore point POINT; `beats` are two others, before it and after. The
    site's folder holds the base backup and the WAL.
    """

    ground: Path
    origin: Origin
    site: Site
    slot: Slot
    manifest: Manifest
    commits: list[Commit]
    point: int
    end: int
    beats: list[RecoveryPoint]

    @property
    def archive(self) -> Path:
        return self.site.settings.folder / "wal_archive"

    @property
    def segments(self) -> list[Path]:
        return sorted(path for path in self.archive.iterdir() if len(path.name) == 24)

    @property
    def ledger(self) -> set[int]:
        """The transactions that wrote a row, of all that there are."""
        with self.origin.connect() as connection:
            return {xid for (xid,) in connection.execute("select xid from ledger").fetchall()}

    def before(self, position: int) -> set[int]:
        """Those that were committed before a position."""
        return {each.xid for each in self.commits if each.position < position} & self.ledger

    @contextmanager
    def changed(self) -> Iterator["Story"]:
        """The same with a folder of its own, whose files may be replaced (not written to)."""
        folder = self.ground / f"changed-{uuid.uuid4().hex[:8]}"
        shutil.copytree(self.site.settings.folder, folder, copy_function=os.link)
        settings = replace(self.site.settings, backup_dir=folder)
        try:
            yield replace(self, site=replace(self.site, settings=settings))
        finally:
            shutil.rmtree(folder)

    def free(self) -> Path:
        """A data directory that is not there yet."""
        return self.ground / f"recovered-{uuid.uuid4().hex[:8]}"


def site_over(url: str, ground: Path, endpoints: Endpoints) -> Site:
    """A site over that database, with folders below `ground` and a prefix of its own."""
    settings = Settings(
        policy=load_policy(),
        backup_dir=ground / "backups",
        home=ground / "home",
        urls={DATABASE_URL: url, S3_URL: f"s3://{endpoints.bucket}/tests/{uuid.uuid4().hex[:12]}"},
        aws=endpoints.aws,
    )
    return Site(settings, now=Clock())


def tell(origin: Origin, ground: Path, endpoints: Endpoints) -> Story:
    """Take the backup, and let the source be written to."""
    site = site_over(origin.url, ground, endpoints)
    settings = site.settings
    origin.write(20)
    manifest = taken(site, SLOT)
    origin.write(60)
    beats = [origin.beat("hourly-before")]
    origin.write(60)
    with origin.connect() as connection:
        (point,) = connection.execute("select pg_create_restore_point(%s)::text", (POINT,)).fetchone()
    origin.write(60)
    beats.append(origin.beat("hourly-after"))
    origin.write(60)
    end = origin.switch()
    # The source goes on; what it archives later is another story.
    told = replace(site, settings=replace(settings, backup_dir=ground / "told"))
    shutil.copytree(settings.folder, told.settings.folder)
    story = Story(ground, origin, told, SLOT, manifest, commits(origin.archive), parse_lsn(point), end, beats)
    store_wal(told.bucket, manifest, story.segments)
    return story


def taken(site: Site, slot: Slot) -> Manifest:
    take_dump(site, slot)
    found = take_base_backup(site, slot)
    assert found.verified is not None
    assert not found.verified.faults
    seal(site, slot)
    return archive(site, slot).manifest


def store_wal(
    bucket: Bucket,
    manifest: Manifest,
    segments: Iterable[Path],
    *,
    recipients: tuple[str, ...] = (),
    current_at: datetime | None = None,
) -> None:
    """As the WAL archive has them."""
    for path in segments:
        plain = path.read_bytes()
        stored = ZstdCompressor(level=1, write_checksum=True).compress(plain)
        key = f"wal/{manifest.server.system_identifier}/{path.name}.zst"
        if recipients:
            pieces: list[bytes] = []
            age.encrypt([stored], recipients, pieces.append)
            stored, key = b"".join(pieces), f"{key}.age"
        name, whole = bucket.where(key)
        metadata = {"plain-sha256": hashlib.sha256(plain).hexdigest()}
        metadata |= {"current-at": current_at.isoformat()} if current_at is not None else {}
        bucket.client.put_object(Bucket=name, Key=whole, Body=stored, Metadata=metadata)


def ledger_of(copy: Copy) -> set[int]:
    """The transactions whose rows a recovered copy has."""
    with connected(copy) as connection:
        return {xid for (xid,) in connection.execute("select xid from ledger").fetchall()}


def connected(copy: Copy) -> psycopg.Connection:
    return psycopg.connect(host=str(copy.folder.work), port=copy.port, user="postgres", dbname="postgres")


def digest(*folders: Path) -> dict[str, str]:
    """The SHA-256 of every file below, by path."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
