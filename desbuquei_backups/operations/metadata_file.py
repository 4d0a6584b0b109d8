"""backup-metadata.jsonl, one JSON object a line, one line a backup: it may have 100,000, and is never held whole."""

import fcntl
import json
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from desbuquei_backups.storage import disk

FILE = "backup-metadata.jsonl"
_LOG = logging.getLogger(__name__)
_ID = re.compile(rb'"backup_id": "([^"\\]+)"')

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The lines that were looked for, by backup id, and how many lines there are in all."""

    lines: Mapping[str, Line]
    counted: int


def lines(folder: Path) -> Iterator[Line]:
    """Each line in order, parsed. What is no line of ours is left out: a last one torn by a crash.

    Of two lines of one backup, the later one holds.
    """
    for raw in _raw(folder):
        if (line := _parsed(raw)) is not None:
            yield line
        else:
            _warn(folder, raw)


def find(folder: Path, backup_ids: Collection[str]) -> Found:
    """The lines of those backups, the others being counted and not parsed."""
    wanted = {backup_id.encode(errors="surrogatepass") for backup_id in backup_ids}
    found: dict[str, Line] = {}
    counted = 0
    for raw in _raw(folder):
        counted += 1
        told = _ID.search(raw)
        if told is None or told[1] in wanted:
            line = _parsed(raw)
            if line is not None and line["backup_id"] in backup_ids:
                found[line["backup_id"]] = line
    return Found(found, counted)


def chosen(folder: Path, wanted: Callable[[str], bool]) -> Iterator[Line]:
    """The lines of the backups whose ids are `wanted`, in order; the others are not parsed."""
    for raw in _raw(folder):
        told = _id(raw)
        if told is not None and wanted(told) and (line := _parsed(raw)) is not None:
            yield line


class Index:
    """Where each backup's line is in the file as it is now, so that 100,000 lines need not be held to look at them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._at: dict[str, int] = {}
        at = 0
        for raw in _raw(folder, blank=True):
            if raw != b"\n":
                if (told := _id(raw)) is None:
                    _warn(folder, raw)
                else:
                    self._at[told] = at
            at += len(raw)
        self._file = self._path.open("rb") if self._at else None

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def line(self, backup_id: str) -> Line | None:
        """The backup's line, None if it has none; of two, the later one."""
        if self._file is None or (at := self._at.get(backup_id)) is None:
            return None
        self._file.seek(at)
        return _parsed(self._file.readline())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def replace(folder: Path, line: Mapping[str, Any]) -> None:
    """Write the line in the place of the backup's old one, or at the end; call it under `lock`.

    The file is made anew beside the old one: a crash leaves one or the other. What is no line of ours is dropped.
    """
    path = folder / FILE
    pending = (json.dumps(line, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
    with disk.aside(path) as partial, disk.disk_errors(path), partial.open("wb", buffering=1 << 20) as file:
        for raw in _raw(folder):
            told = _id(raw)
            if told is None:
                _warn(folder, raw)
            elif told != line["backup_id"]:
                file.write(raw if raw.endswith(b"\n") else raw + b"\n")
            else:
                file.write(pending)
                pending = b""
        file.write(pending)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def lock(folder: Path, name: str = FILE) -> Iterator[None]:
    """Keep other processes from writing it meanwhile; it dies with the process."""
    path = folder / f".{name}.lock"
    with disk.disk_errors(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _raw(folder: Path, *, blank: bool = False) -> Iterator[bytes]:
    path = folder / FILE
    with disk.disk_errors(path):
        if not path.exists():
            return
        with path.open("rb", buffering=1 << 20) as file:
            # Split at line feeds alone: JSON leaves other line ends as they are within a name.
            yield from (raw for raw in file if blank or raw != b"\n")


def _id(raw: bytes) -> str | None:
    """The id of the backup whose line it is; None if it is no line of ours. One that we wrote is not parsed for it."""
    told = _ID.search(raw)
    if told is None or not (raw.startswith(b"{") and raw.endswith(b"}\n")):
        line = _parsed(raw)
        return None if line is None else str(line["backup_id"])
    return told[1].decode(errors="replace")


def _parsed(raw: bytes) -> Line | None:
    try:
        line = from_json(raw)
    except ValueError:
        line = _leniently(raw)
    return line if isinstance(line, dict) and isinstance(line.get("backup_id"), str) else None


def _leniently(raw: bytes) -> object:
    """JSON with bytes that are not UTF-8, or with half of a surrogate pair, as a file's odd name may have."""
    try:
        return json.loads(raw.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _warn(folder: Path, raw: bytes) -> None:
    text = raw.decode(errors="replace").rstrip("\n")
    _LOG.warning("%s: a line that is not JSON, or no backup's, is left out: %.60s", folder / FILE, text)
