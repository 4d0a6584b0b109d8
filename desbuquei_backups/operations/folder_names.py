"""The names in the backup folder, each looked at once: what has a manifest there, and which dumps there are."""

import os
from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.storage import age
from desbuquei_backups.storage.disk import disk_errors

MANIFEST = manifest_name("")
DUMPS = ("sql.gz", "point.json.gz")


@dataclass(frozen=True, slots=True)
class Names:
    """`sealed`: what is before `.manifest.json`, a backup's id if nobody renamed it. `dumps`: names of dump files,
    and of what stands in their place where WAL was taken.
    """

    sealed: frozenset[str]
    dumps: frozenset[str]


def names(folder: Path) -> Names:
    """What is in `folder`; nothing, if it is not there."""
    sealed, dumps = set(), set()
    with disk_errors(folder):
        if folder.exists():
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith("."):
                        continue
                    if name.endswith(MANIFEST):
                        sealed.add(name.removesuffix(MANIFEST))
                    elif name.removesuffix(age.SUFFIX).partition(".")[2] in DUMPS:
                        dumps.add(name)
    return Names(frozenset(sealed), frozenset(dumps))
