"""A file that another program is writing, hashed as it grows: it is still in memory then, and nobody waits for it."""

from io import FileIO
from pathlib import Path

from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.stream import CHUNK, Checksums, Hasher


class Growing:
    """The file at `path`, which need not be there yet, and to which is only appended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None
        self._hasher = Hasher()

    def read(self) -> int:
        """Hash what has come since the last time; how many bytes that is. DiskError."""
        size = 0
        with disk_errors(self.path):
            if self._file is None:
                if not self.path.exists():
                    return 0
                self._file = self.path.open("rb", buffering=0)
            while chunk := self._file.read(CHUNK):
                self._hasher.update(chunk)
                size += len(chunk)
        return size

    def checksums(self, *, plain_size: int) -> Checksums:
        """Of all of it, when it is whole; `plain_size` is taken over as given. DiskError if there is none."""
        self.read()
        with disk_errors(self.path):
            self.path.stat()
        self.close()
        return self._hasher.checksums(plain_size=plain_size)

    def close(self) -> None:
        """However it ended."""
        if self._file is not None:
            self._file.close()
            self._file = None
