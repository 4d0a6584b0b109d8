"""What the sensor could not finish by itself: written beside the backups, so that it can be told without Dagster."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import DiskError
from desbuquei_backups.core.slots import slot_of
from desbuquei_backups.operations.missed import missed_conditions
from desbuquei_backups.operations.protection import recorded_since
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unfinished import look
from desbuquei_backups.storage import disk

_FILE = ".unfinished.json"
_LOG = logging.getLogger(__name__)


def conditions(site: Site) -> list[Condition]:
    """The slots that were missed, and what is not finished and will not be by itself. DiskError.

    What was told of a slot that somebody has finished or missed since is not told any more.
    """
    still = {each.slot for each in look(site, recorded_since(site.settings) or site.now()).unfinished}
    told = [each for each in _read(site.settings.folder) if (slot := slot_of(each.subject)) is None or slot in still]
    return [*missed_conditions(site), *told]


def tell(site: Site, unfinished: Sequence[Condition]) -> None:
    """Write down what `conditions` is to tell, in the place of what was written before.

    A disk that is full is only logged: what makes room on it must be asked for all the same.
    """
    folder = site.settings.folder
    try:
        if folder.is_dir() and list(unfinished) != _read(folder):
            said = [{**asdict(each), "since": each.since.isoformat()} for each in unfinished]
            disk.write_file(folder / _FILE, (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode())
    except DiskError as error:
        _LOG.warning("what is not finished cannot be written down: %s", error.what)


def _read(folder: Path) -> list[Condition]:
    path = folder / _FILE
    with disk.disk_errors(path):
        if not path.exists():
            return []
        content = path.read_bytes()
    try:
        return [
            Condition(
                **{
                    **each,
                    "since": datetime.fromisoformat(each["since"]),
                    "severity": Severity(each["severity"]),
                }
            )
            for each in json.loads(content)
        ]
    except (ValueError, TypeError, KeyError):
        return []  # it was not written by us: the next tick writes it again
