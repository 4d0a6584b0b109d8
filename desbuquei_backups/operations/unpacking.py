"""Unpack a base backup into a folder, as it streams, and let PostgreSQL's own program verify it."""

import io
import shutil
import tarfile
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
from desbuquei_backups.storage.inside import read_inside
from desbuquei_backups.storage.stream import read_file

_UNPACKED = ".unpacked-"
_SPARE = 1.1  # of the cluster's size, that must be free to unpack it


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What pg_verifybackup showed: `faults`, none if it is whole; `unread`: why it could not be unpacked here."""

    version: str
    faults: Sequence[str] = ()
    unread: str = ""


def unpacked_and_verified(site: Site, manifest: Manifest) -> Unpacked:
    """Unpack the base backup on disk beside itself, let pg_verifybackup compare every file, and remove it again.

    Where it is encrypted and nothing here opens it, or the disk has no room for it, that is said instead.
    """
    assert manifest.base is not None
    programs = choose(manifest.server.major)
    if not can_open(site, manifest):
        return Unpacked(programs.version, unread="it is encrypted, and no identity is named that opens it")
    folder = site.settings.folder
    tars = [file for file in manifest.files if file.role in (Role.BASE, Role.TABLESPACE)]
    if (free := shutil.disk_usage(folder).free) < manifest.base.size * _SPARE:
        return Unpacked(
            programs.version,
            unread=f"unpacking it takes {manifest.base.size / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB free",
        )
    site.progress.stage("verifying the base backup", sum(file.size for file in tars))
    oids = {space.file: space.oid for space in manifest.base.tablespaces}

    def counted(file: FileFacts) -> Iterator[bytes]:
        for chunk in read_file(folder / file.name):
            site.progress.advance(len(chunk))
            yield chunk

    try:
        with beside(folder) as place:
            for file in tars:
                into = place if file.role is Role.BASE else place / "pg_tblspc" / str(oids[file.name])
                unpack(read_inside(counted(file), file, site.identity), into)
            # Of several tars none has it.
            with disk.disk_errors(place):
                own = manifest.file(Role.BASE_MANIFEST)
                (place / physical.MANIFEST).write_bytes(
                    b"".join(read_inside(read_file(folder / own.name), own, site.identity))
                )
            return Unpacked(programs.version, physical.verify(programs, place))
    except IntegrityError as error:
        return Unpacked(programs.version, [error.what])


def unpack(chunks: Iterable[bytes], into: Path) -> None:
    """Write what is in a tar to the folder `into`, which is made if need be.

    IntegrityError if it is no tar or leads out of the folder; DiskError.
    """
    with disk.disk_errors(into):
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with tarfile.open(fileobj=_Readable(chunks), mode="r|", bufsize=1 << 20) as tar:
                tar.extractall(into, filter="data", numeric_owner=True)
        except tarfile.TarError as error:
            raise IntegrityError(
                f"the base backup cannot be unpacked: {error}",
                remedy="take the copy in the other place, or another",
            ) from None


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


class _Readable(io.RawIOBase):
    """Chunks as a file; what they raise is raised."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._left = iter(chunks), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        count = min(len(self._left), len(buffer))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
