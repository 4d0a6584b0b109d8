"""A recovered cluster's tablespaces: each below the data directory, or the recovery is refused.

The source's own folders may well be on this machine: a clone that is linked to them writes into its source.
"""

import re
from collections.abc import Sequence

from desbuquei_backups.core.errors import IntegrityError, OutOfReach
from desbuquei_backups.core.recovery import Plan
from desbuquei_backups.core.recovery_windows import Base, Wal, own_end
from desbuquei_backups.core.wal import needed, parse_lsn
from desbuquei_backups.operations.recovery_folder import RecoveryFolder
from desbuquei_backups.postgres.cluster import Cluster
from desbuquei_backups.postgres.waldump import tablespaces_created
from desbuquei_backups.storage.disk import disk_errors

_MAPPED = re.compile(r"(\d+) (.+)")
_MAP = "tablespace_map"


def bring_inside(cluster: Cluster) -> list[str]:
    """Make every tablespace of an unpacked base backup a folder of the data directory; those that were not before.

    IntegrityError if a tablespace's files are not there: the server would link to the source's.
    """
    space = cluster.data / "pg_tblspc"
    mapped = cluster.data / _MAP
    with disk_errors(space):
        outside = {}
        if mapped.exists():
            outside = dict(_MAPPED.findall(mapped.read_text(errors="surrogateescape")))
        outside |= {path.name: str(path.readlink()) for path in space.iterdir() if path.is_symlink()}
        empty = {
            number: where
            for number, where in outside.items()
            if (space / number).is_symlink() or not (space / number).is_dir() or not any((space / number).iterdir())
        }
        if empty:
            said = ", ".join(f"{number} in {where}" for number, where in sorted(empty.items()))
            raise IntegrityError(
                f"the base backup has tablespaces outside the data directory, and not their files: {said}",
                remedy="it was not started: it would write into the source's; restore the dump of the same instant",
            )
        # Without the map the server takes the folders that are there for the tablespaces.
        mapped.unlink(missing_ok=True)
    return [f"tablespace {number} was in {where}; it is in pg_tblspc/{number} now" for number, where in outside.items()]


def refuse_created(cluster: Cluster, folder: RecoveryFolder, plan: Plan, wal: Wal) -> None:
    """OutOfReach if the WAL makes a tablespace outside the data directory: replay would link to the source's own."""
    found = [
        *_created_in_base(cluster, plan.latest, wal),
        *tablespaces_created(cluster.programs, folder.wal, plan.segments),
    ]
    if plan.target.at is None and plan.certain:
        found = [each for each in found if parse_lsn(each[0]) < plan.until]
    if found:
        said = ", ".join(f"{path} at {at}" for at, path in found)
        raise OutOfReach(
            f"the WAL up to the target makes tablespaces outside the data directory: {said}",
            remedy="replay would write into the source's folders. Recover to the position before that, "
            f"--to {found[0][0]}, or from a base backup that was taken after it",
        )


def _created_in_base(cluster: Cluster, base: Base, wal: Wal) -> Sequence[tuple[str, str]]:
    own = needed(base.timeline, base.start, own_end(base, base.timeline, wal), wal.histories, wal.segment_size)
    return tablespaces_created(cluster.programs, cluster.data / "pg_wal", own)
