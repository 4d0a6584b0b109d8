"""Recompute and compare: whether a backup's bytes are still those of its manifest, on disk and in S3."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from desbuquei_backups.core.errors import BackupError, DiskError, IdentityError, NotFound
from desbuquei_backups.core.manifest import FileFacts, Manifest, Role
from desbuquei_backups.postgres.plain_dump import PlainDumpReader
from desbuquei_backups.storage.age_keys import Identity
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.inside import read_inside
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.stream import Checksums, Hasher, checksums_of, read_file
from desbuquei_backups.storage.tar_stream import TarWatcher


def _silent(_: int) -> None:
    pass


def read_back(
    folder: Path, manifest: Manifest, *, progress: Callable[[int], None] = _silent
) -> dict[str, Checksums | str]:
    """Each file of the backup as it is on disk now; what went wrong, where it cannot be read."""
    found: dict[str, Checksums | str] = {}
    for file in manifest.files:
        try:
            found[file.name] = checksums_of(folder / file.name, plain_size=file.plain_size, progress=progress)
        except DiskError as error:
            found[file.name] = error.what
    return found


def checksum_faults(folder: Path, manifest: Manifest, *, progress: Callable[[int], None] = _silent) -> list[str]:
    """What is wrong with the size, MD5 or SHA-256 of each file as read back from disk: `NAME has …`."""
    return differences(manifest, read_back(folder, manifest, progress=progress))


def differences(manifest: Manifest, found: Mapping[str, Checksums | str]) -> list[str]:
    """How each file, as it was found, differs from what the manifest says: `NAME has …`."""
    faults = ((file.name, _fault(file, found[file.name])) for file in manifest.files)
    return [f"{name} {fault}" for name, fault in faults if fault]


def _fault(file: FileFacts, there: Checksums | str) -> str | None:
    return there if isinstance(there, str) else difference(file, there)


def faults_on_disk(
    folder: Path, manifest: Manifest, identity: Identity | None = None, *, progress: Callable[[int], None] = _silent
) -> list[str]:
    """Everything wrong with a backup on disk: its checksums, and whether the dump inside is whole.

    What is encrypted is looked into if there is an `identity`; IdentityError if that has none of the keys.
    """
    wrong = checksum_faults(folder, manifest, progress=progress)
    return wrong or content_faults(manifest, lambda file: read_file(folder / file.name), identity)


def faults_in_bucket(
    bucket: Bucket, manifest: Manifest, identity: Identity | None = None, *, progress: Callable[[int], None] = _silent
) -> list[str]:
    """Everything wrong with a backup in S3, read back whole, as in `faults_on_disk`.

    StoreError if the store cannot be asked.
    """
    wrong = []

    def hashed(file: FileFacts) -> Iterator[bytes]:
        hasher = Hasher()
        for chunk in bucket.read(key_of(file.name)):
            hasher.update(chunk)
            progress(len(chunk))
            yield chunk
        if fault := difference(file, hasher.checksums(plain_size=file.plain_size)):
            wrong.append(f"{file.name} {fault}")

    return content_faults(manifest, hashed, identity) + wrong


def content_faults(
    manifest: Manifest, chunks: Callable[[FileFacts], Iterable[bytes]], identity: Identity | None = None
) -> list[str]:
    """What is wrong inside the files: gzip that breaks off, a dump without its footer or with other row counts.

    All of `chunks` is read. Of what is encrypted nothing is said without an `identity`.
    """
    faults = []
    for file in manifest.files:
        reader = PlainDumpReader(passing=False, count_rows=bool(manifest.tables))
        tar = TarWatcher(lambda _: False)
        stream = iter(chunks(file))
        closed = file.decrypted is not None and identity is None
        try:
            opened = stream if closed else read_inside(stream, file, identity)
            if file.role in (Role.BASE, Role.TABLESPACE) and not closed:
                opened = tar.passing(opened, name=file.name)
            for plain in opened:
                if file.role is Role.DUMP and not closed:
                    reader.feed(plain)
        except NotFound:
            faults.append(f"{file.name} is not there")
            continue
        except BackupError as error:
            if not error.permanent or isinstance(error, IdentityError):
                raise
            faults.append(error.what)
            for _ in stream:  # the checksums of the rest are still wanted
                pass
            continue
        if file.role is Role.DUMP and not closed:
            reader.finish()
            faults += dump_faults(manifest, complete=reader.found.complete, rows=reader.found.rows)
    return faults


def dump_faults(manifest: Manifest, *, complete: bool, rows: dict[int, int]) -> list[str]:
    """What a dump lacks against its manifest: its footer, or rows that the snapshot had."""
    faults = [] if complete else [f"{manifest.dump.name} does not end with pg_dump's footer"]
    for table in manifest.tables:
        found = sum(rows.get(oid, 0) for oid in (table.parts or (table.oid,)))
        if found != table.rows:
            faults.append(f"{table.identity}: the snapshot had {table.rows} rows, the dump has {found}")
    return faults


def difference(file: FileFacts, found: Checksums) -> str | None:
    """How bytes with those checksums differ from what the manifest says of `file`; None if they do not."""
    if found.size != file.size:
        return f"has {found.size:,} bytes, its manifest says {file.size:,}"
    if found.sha256 != file.sha256:
        return f"has SHA-256 {found.sha256}, its manifest says {file.sha256}"
    if found.md5 != file.md5:
        return f"has MD5 {found.md5}, its manifest says {file.md5}"
    return None
