"""A tar as it streams by: read without holding more than a chunk, its end seen, watched or written out."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from tarfile import BLOCKSIZE, TarError, TarInfo

from desbuquei_backups.core.errors import IntegrityError

_END = b"\0" * BLOCKSIZE


class TarReader:
    """Reads the bytes of one tar; what becomes of its members is for those who inherit. `unpacked` is bytes of all.

    PostgreSQL writes plain ustar headers, with neither sparse files nor extended ones:
    https://www.postgresql.org/docs/17/protocol-replication.html, BASE_BACKUP.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = self._padding = 0
        self.unpacked = 0
        self.ended = False

    def begin(self, member: TarInfo) -> None:
        """A member begins."""

    def data(self, piece: "memoryview[int]") -> None:
        """A piece of the member that began last."""

    def end(self) -> None:
        """It is over."""

    def passing(self, chunks: Iterable[bytes], *, name: str, remedy: str = "take the backup again") -> Iterator[bytes]:
        """The same chunks; IntegrityError if they are no tar, or if it is cut off."""
        for chunk in chunks:
            try:
                self._feed(memoryview(chunk))
            except TarError as error:
                raise IntegrityError(f"{name} is not a tar: {error}", remedy=remedy) from None
            yield chunk
        if not self.ended:
            raise IntegrityError(f"{name} is cut off", remedy=remedy)

    def _feed(self, data: "memoryview[int]") -> None:
        while data and not self.ended:
            if self._left:
                taken = min(self._left, len(data))
                self.data(data[:taken])
                self._left -= taken
                data = data[taken:]
                if not self._left:
                    self.end()
            elif self._padding:
                taken = min(self._padding, len(data))
                self._padding -= taken
                data = data[taken:]
            else:
                taken = min(BLOCKSIZE - len(self._header), len(data))
                self._header += data[:taken]
                data = data[taken:]
                if len(self._header) == BLOCKSIZE:
                    self._begin(bytes(self._header))
                    self._header.clear()

    def _begin(self, header: bytes) -> None:
        if header == _END:
            self.ended = True
            return
        member = TarInfo.frombuf(header, "utf-8", "surrogateescape")
        self._left = member.size if member.isreg() else 0
        self._padding = -self._left % BLOCKSIZE
        self.unpacked += self._left
        self.begin(member)
        if not self._left:
            self.end()


class TarWatcher(TarReader):
    """Watches a tar. `kept`: the members that `wanted` names, whole."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        super().__init__()
        self._wanted = wanted
        self._name = ""
        self._content: bytearray | None = None
        self.kept: dict[str, bytes] = {}

    def begin(self, member: TarInfo) -> None:
        self._name = member.name
        self._content = bytearray() if member.isreg() and self._wanted(member.name) else None

    def data(self, piece: "memoryview[int]") -> None:
        if self._content is not None:
            self._content += piece

    def end(self) -> None:
        if self._content is not None:
            self.kept[self._name] = bytes(self._content)
        self._content = None


class TarWriter(TarReader):
    """Writes a tar's files and folders to the folder `into`, for their owner alone. Anything else in it is refused."""

    def __init__(self, into: Path) -> None:
        super().__init__()
        self._into = into
        self._file = -1

    def begin(self, member: TarInfo) -> None:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\0" in member.name:
            raise TarError(f"{member.name!r} leads out of the folder")
        target = self._into / path
        if member.isdir():
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif member.isreg():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never through a link, should one be there.
            self._file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        else:
            raise TarError(f"{member.name!r} is neither a file nor a folder")

    def data(self, piece: "memoryview[int]") -> None:
        while piece:
            piece = piece[os.write(self._file, piece) :]

    def end(self) -> None:
        self.close()

    def close(self) -> None:
        """However it ended."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
