"""Whether the backup folder can be written to, and its disk has room."""

import os
from collections.abc import Iterator

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.forecast import said
from desbuquei_backups.operations import disk_history
from desbuquei_backups.operations.disk_use import DISK_THRESHOLD_PERCENT, disk_use
from desbuquei_backups.operations.noticing import noticed
from desbuquei_backups.operations.site import Site

FOLDER = "backup_folder_unusable"
_CRITICAL_PERCENT = 95


def disk_conditions(site: Site) -> Iterator[Condition]:
    """A folder that is not there, and a disk that is 80 % full; how full it is is remembered for the forecast."""
    folder, now = site.settings.folder, site.now()
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield noticed(
            site,
            Severity.CRITICAL,
            FOLDER,
            f"the backup folder {folder} is not there, or may not be written to",
            str(folder),
            command="desbuquei doctor  # once its disk is mounted",
        )
        return
    use = disk_use(folder)
    if use is None:
        return
    disk_history.try_to_note(folder, use, now)
    if use.full:
        when = said(disk_history.foreseen(folder, use, now), now)
        yield noticed(
            site,
            Severity.CRITICAL if use.percent >= _CRITICAL_PERCENT else Severity.WARNING,
            "disk_filling",
            f"the disk of {folder} is {use.percent} % full (threshold {DISK_THRESHOLD_PERCENT} %), "
            f"{use.free / 1e9:,.1f} GB free; {when}",
            str(folder),
            tried="retention removes every day what the policy no longer keeps",
            command="desbuquei prune --dry-run  # then enlarge the disk, or keep fewer days on it",
        )
