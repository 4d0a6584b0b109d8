"""Unpack a base backup into a folder, as it streams, and let PostgreSQL's own program verify it."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.manifest import FileFacts, Manifest, Role
from desbuquei_backups.operations.copies import can_open
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import physical
from desbuquei_backups.postgres.programs import choose
from desbuquei_backups.storage import disk
from desbuquei_backups.storage.ahead import ahead
from desbuquei_backups.storage.inside import read_inside
from desbuquei_backups.storage.stream import OTHER_COPY, read_file
from desbuquei_backups.storage.tar_stream import TarReader, TarWriter

_UNPACKED = ".unpacked-"
_SPARE = 1.1  # of the cluster's size, that must be free to unpack it


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What pg_verifybackup showed: `faults`, none if it is whole; `unread`: why not all of it could be read here."""

    version: str
    faults: Sequence[str] = ()
    unread: str = ""


def unpacked_and_verified(site: Site, manifest: Manifest) -> Unpacked:
    """Unpack the base backup on disk beside itself, let pg_verifybackup compare every file, and remove it again.

    Where it is encrypted and nothing here opens it, the disk has no room for it, or the programs are of a newer version
    than the server, that is said instead. Without room, it is seen that the tars are whole.
    """
    assert manifest.base is not None
    programs = choose(manifest.server.major)
    if not can_open(site, manifest):
        return Unpacked(programs.version, unread="it is encrypted, and no identity is named that opens it")
    folder = site.settings.folder
    tars = tars_of(manifest)
    site.progress.stage("verifying the base backup", sum(file.size for file, _ in tars))

    def read(file: FileFacts) -> Iterator[bytes]:
        def counted() -> Iterator[bytes]:
            for chunk in read_file(folder / file.name):
                site.progress.advance(len(chunk))
                yield chunk

        return read_inside(counted(), file, site.identity)

    try:
        if (free := shutil.disk_usage(folder).free) < manifest.base.size * _SPARE:
            for file, _ in tars:
                for _chunk in TarReader().passing(read(file), name=file.name, remedy=OTHER_COPY):
                    pass
            size = f"{manifest.base.size / 1e9:.1f} GB"
            return Unpacked(
                programs.version, unread=f"unpacking it takes {size}, and {folder} has {free / 1e9:.1f} GB free"
            )
        with beside(folder) as place:
            for file, below in tars:
                unpack(read(file), place / below, name=file.name)
            own = manifest.file(Role.BASE_MANIFEST)
            write_manifest(read_inside(read_file(folder / own.name), own, site.identity), place)
            newer = programs.major > manifest.server.major
            faults = physical.verify(programs, place, newer=newer)
    except IntegrityError as error:
        return Unpacked(programs.version, [error.what])
    if faults or not newer:
        return Unpacked(programs.version, faults)
    return Unpacked(
        programs.version,
        unread=f"every file is whole but for {physical.CONTROL} and the WAL, which pg_verifybackup {programs.version} "
        f"cannot read: install postgresql-client-{manifest.server.major}",
    )


def tars_of(manifest: Manifest) -> list[tuple[FileFacts, str]]:
    """The tars of a base backup, the data directory's first, each with where it goes below that."""
    assert manifest.base is not None
    oids = {space.file: space.oid for space in manifest.base.tablespaces}
    spaces = [(file, f"pg_tblspc/{oids[file.name]}") for file in manifest.files if file.role is Role.TABLESPACE]
    return [(manifest.file(Role.BASE), ""), *spaces]


def write_manifest(chunks: Iterable[bytes], into: Path) -> None:
    """PostgreSQL's own manifest beside what it speaks of: where the server compressed, no tar has it."""
    path = into / physical.MANIFEST
    with disk.disk_errors(path):
        path.write_bytes(b"".join(chunks))


def unpack(chunks: Iterable[bytes], into: Path, *, name: str) -> None:
    """Write what is in a tar, the file `name`, to the folder `into`, which is made if need be.

    IntegrityError if it is no tar or leads out of the folder; DiskError.
    """
    with disk.disk_errors(into):
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
    writer = TarWriter(into)
    try:
        with disk.disk_errors(into):
            for _ in writer.passing(ahead(chunks), name=name, remedy=OTHER_COPY):
                pass
    finally:
        writer.close()


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """A folder in `folder`, gone afterwards; what a killed run left is removed first."""
    for left in folder.glob(f"{_UNPACKED}*"):
        shutil.rmtree(left, ignore_errors=True)
    with disk.disk_errors(folder):
        place = Path(mkdtemp(prefix=_UNPACKED, dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
