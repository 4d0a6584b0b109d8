"""A tar as it streams by: its small members are kept, what it unpacks to is counted, its end is seen."""

from collections.abc import Callable, Iterable, Iterator
from tarfile import BLOCKSIZE, TarError, TarInfo

from desbuquei_backups.core.errors import IntegrityError

_END = b"\0" * BLOCKSIZE


class TarWatcher:
    """Watches the bytes of one tar. `kept`: the members that `wanted` names, whole; `unpacked` is bytes of all.

    PostgreSQL writes plain ustar headers, with neither sparse files nor extended ones:
    https://www.postgresql.org/docs/17/protocol-replication.html, BASE_BACKUP.
    """

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self._wanted = wanted
        self._header = bytearray()
        self._member: TarInfo | None = None
        self._left = self._padding = 0
        self._content: bytearray | None = None
        self.kept: dict[str, bytes] = {}
        self.unpacked = 0
        self.ended = False

    def passing(self, chunks: Iterable[bytes], *, name: str) -> Iterator[bytes]:
        """The same chunks; IntegrityError if they are no tar, or if it is cut off."""
        for chunk in chunks:
            try:
                self._feed(memoryview(chunk))
            except TarError as error:
                raise IntegrityError(f"{name} is not a tar: {error}", remedy="take the backup again") from None
            yield chunk
        if not self.ended:
            raise IntegrityError(f"{name} is cut off", remedy="take the backup again")

    def _feed(self, data: memoryview) -> None:
        while data and not self.ended:
            if self._left:
                taken = min(self._left, len(data))
                if self._content is not None:
                    self._content += data[:taken]
                self._left -= taken
                data = data[taken:]
                if not self._left:
                    self._keep()
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
        self._member = TarInfo.frombuf(header, "utf-8", "surrogateescape")
        self._left = self._member.size if self._member.isreg() else 0
        self._padding = -self._left % BLOCKSIZE
        self.unpacked += self._left
        self._content = bytearray() if self._member.isreg() and self._wanted(self._member.name) else None
        if not self._left:
            self._keep()

    def _keep(self) -> None:
        if self._content is not None and self._member is not None:
            self.kept[self._member.name] = bytes(self._content)
        self._content = None
