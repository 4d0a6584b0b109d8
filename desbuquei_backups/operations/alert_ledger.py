"""The ledger of alerts, `alerts.json` in the backup folder: who was told what outlives every restart."""

import logging
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from desbuquei_backups.core.alerting import Ledger
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.storage import disk

FILE = "alerts.json"
_LOG = logging.getLogger(__name__)
_LEDGER = TypeAdapter(Ledger)
# What could not be written: the disk that is full, or not there, is what an alert may be about.
_UNWRITTEN: dict[Path, Ledger] = {}


def read(folder: Path) -> Ledger:
    """The ledger as it was written last; one that cannot be read is set aside, and what is wrong is told again."""
    path = folder / FILE
    if (unwritten := _UNWRITTEN.get(path)) is not None:
        return unwritten
    try:
        with disk.disk_errors(path):
            return _LEDGER.validate_json(path.read_bytes()) if path.exists() else Ledger()
    except ValidationError:
        _LOG.warning("%s cannot be read, and is set aside: what is wrong now is told again", path)
    except BackupError as error:
        _LOG.warning("who was told what is not known, what is wrong now is told again: %s", error.what)
        return Ledger()
    try:
        disk.set_aside(path, "unreadable")
    except BackupError as error:
        _LOG.warning("%s", error.what)
    return Ledger()


def write(folder: Path, ledger: Ledger) -> None:
    """Write it whole or not at all; what cannot be written is remembered for as long as this process lives."""
    path = folder / FILE
    try:
        disk.write_file(path, _LEDGER.dump_json(ledger, indent=1) + b"\n")
    except BackupError as error:
        _LOG.warning("who was told what cannot be written down: %s", error.what)
        _UNWRITTEN[path] = ledger
    else:
        _UNWRITTEN.pop(path, None)
