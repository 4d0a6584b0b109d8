"""The spool `wal_archive/`: WAL that came and is not in S3 yet, and where the server was when.

An archive_command leaves files in the folder itself. pg_receivewal has a folder of its own below it: it goes on after
the last file that it finds there, and would pass over what an archive_command had left out before that.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from desbuquei_backups.core.wal import Segment, kind_of, parse_lsn, show_lsn
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.wal import Position
from desbuquei_backups.storage import disk
from desbuquei_backups.storage.stream import read_file

FOLDER, STREAMED = "wal_archive", "streamed"
_POSITIONS, _CLUSTER, _PLACEHOLDER, _LOST = ".positions", ".system-identifier", ".placeholder", ".lost-after"
_MOST_POSITIONS = 4_000
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Spool:
    """The folder; `streamed` is pg_receivewal's own."""

    folder: Path

    @property
    def streamed(self) -> Path:
        return self.folder / STREAMED

    def prepare(self) -> None:
        for each in (self.folder, self.streamed):
            disk.prepare(each)

    def files(self) -> list[Path]:
        """What was received whole, as far as its name tells, in the order of names."""
        found: dict[str, list[Path]] = {}
        for folder in (self.folder, self.streamed):
            with disk.disk_errors(folder):
                if folder.is_dir():
                    for entry in os.scandir(folder):
                        if (
                            kind_of(entry.name) is not None
                            and entry.is_file()
                            and entry.name != self._passed_over(folder)
                        ):
                            found.setdefault(entry.name, []).append(Path(entry.path))
        return [path for name in sorted(found) for path in found[name]]

    def _passed_over(self, folder: Path) -> str | None:
        marker = folder / _PLACEHOLDER
        return marker.read_text() if marker.exists() else None

    @contextmanager
    def after(self, last: Segment | None) -> Iterator[None]:
        """Let pg_receivewal go on after that segment: it does so if it finds a file of that name. It is an empty one.

        Nothing, where the folder has WAL already, by which it goes.
        """
        folder = self.streamed
        if last is None or self.partial() or any(kind_of(path.name) for path in folder.iterdir()):
            yield
            return
        placeholder = folder / last.name
        disk.write_file(folder / _PLACEHOLDER, last.name.encode())
        try:
            with disk.disk_errors(placeholder), placeholder.open("wb") as file:
                file.truncate(last.size)
            yield
        finally:
            placeholder.unlink(missing_ok=True)
            (folder / _PLACEHOLDER).unlink(missing_ok=True)

    @property
    def lost_after(self) -> tuple[str, str] | None:
        """The last segment before what was found to be lost, and why; None if nothing is to be declared."""
        path = self.folder / _LOST
        with disk.disk_errors(path):
            name, _, why = path.read_text().partition("\n") if path.exists() else ("", "", "")
        return (name, why) if name else None

    def note_loss(self, after: Segment | None, why: str) -> None:
        """Write down that what comes after that segment will never come, until it is declared; None: it is."""
        if after is None:
            (self.folder / _LOST).unlink(missing_ok=True)
        elif self.lost_after is None:
            disk.write_file(self.folder / _LOST, f"{after.name}\n{why}".encode())

    def mend_partial(self, segment_size: int) -> None:
        """Remove what a full disk left of a segment that was being laid out: pg_receivewal would refuse it for ever.

        Call it while nothing receives. It is zeros, since WAL is written only into a file that has its whole length;
        anything else is set aside.
        """
        for path in self.partial():
            with disk.disk_errors(path):
                if path.stat().st_size in (0, segment_size):
                    continue
                if any(chunk.strip(b"\0") for chunk in read_file(path)):
                    disk.set_aside(path, "odd-length")
                else:
                    path.unlink()

    def begin_anew(self) -> None:
        """What was begun cannot be gone on with, the server has it no longer: it is set aside, and what is whole made
        room for, so that pg_receivewal begins where the slot does.
        """
        for path in self.partial():
            disk.set_aside(path, "not-finished")
        with disk.disk_errors(self.streamed):
            for path in self.streamed.iterdir():
                if kind_of(path.name) is not None and not (self.folder / path.name).exists():
                    path.rename(self.folder / path.name)

    def names(self) -> set[str]:
        return {path.name for path in self.files()}

    def partial(self) -> list[Path]:
        """What pg_receivewal has of the segments that are not whole yet."""
        with disk.disk_errors(self.streamed):
            return sorted(self.streamed.glob(f"*{_PARTIAL}"))

    @property
    def size(self) -> int:
        """Bytes of all that waits."""
        return sum(path.stat().st_size for path in [*self.files(), *self.partial()])

    def rejected(self) -> list[str]:
        """The names of what was set aside: proven bad, and kept."""
        return sorted(path.name for folder in (self.folder, self.streamed) for path in (folder / "rejected").glob("*"))

    @property
    def system_identifier(self) -> str | None:
        """The cluster that it is of, if that was ever known."""
        path = self.folder / _CLUSTER
        with disk.disk_errors(path):
            return path.read_text().strip() if path.exists() else None

    def belongs_to(self, system_identifier: str) -> None:
        """Write down whose it is, so that it can be archived while the database is down."""
        if self.system_identifier != system_identifier:
            disk.write_file(self.folder / _CLUSTER, f"{system_identifier}\n".encode())

    def remember(self, found: Position) -> None:
        """Write down where the server was: it tells of each segment when its end was current."""
        line = {
            "at": found.at.isoformat(),
            "timeline": found.timeline,
            "position": show_lsn(found.position),
            "snapshot": found.snapshot,
        }
        path = self.folder / _POSITIONS
        with disk.disk_errors(path):
            descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            try:
                os.write(descriptor, f"{json.dumps(line)}\n".encode())
            finally:
                os.close(descriptor)

    def positions(self) -> list[Position]:
        """Where the server was, as far as anybody looked, oldest first; a line that was cut off is passed over."""
        path = self.folder / _POSITIONS
        with disk.disk_errors(path):
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return list(_positions(lines))

    def trim(self) -> None:
        """Keep what is written down of the server from growing for ever."""
        path = self.folder / _POSITIONS
        with disk.disk_errors(path):
            lines = path.read_text(errors="replace").splitlines(keepends=True) if path.exists() else []
        if len(lines) > 2 * _MOST_POSITIONS:
            disk.write_file(path, "".join(lines[-_MOST_POSITIONS:]).encode())

    @contextmanager
    def locked(self, name: str, wait_seconds: float) -> Iterator[None]:
        """One at a time, on this host; the lock dies with the process. Busy after that time."""
        with disk.lock(self.folder, name, doing=name, wait_seconds=wait_seconds):
            yield


def spool_of(site: Site) -> Spool:
    return Spool(site.settings.folder / FOLDER)


def _positions(lines: list[str]) -> Iterator[Position]:
    for line in lines:
        try:
            told = json.loads(line)
            at = datetime.fromisoformat(told["at"])
            position = parse_lsn(told["position"])
            yield Position(int(told["timeline"]), position, at.astimezone(UTC), str(told["snapshot"]))
        except (ValueError, KeyError, TypeError):
            continue
