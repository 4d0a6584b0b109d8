"""Recover the cluster to any second, into a data directory of its own that is ready to start."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.recovery import Plan
from desbuquei_backups.operations import recovered_configuration as configuration
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.progress import timed
from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy
from desbuquei_backups.operations.replaying import Reached
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.programs import Programs, choose_server


@dataclass(frozen=True, slots=True)
class Recovered:
    """A cluster that was recovered. `seconds` by stage; `notes` are worth knowing before it is started."""

    data: Path
    manifest: Manifest
    plan: Plan
    place: Place
    reached: Reached
    port: int
    programs: Programs
    notes: Sequence[str]
    seconds: dict[str, float]


def recover(site: Site, wanted: Wanted, data: Path) -> Recovered:
    """Recover into the empty or absent folder `data`, and leave a stopped cluster, ready to start.

    Raises what `recovered_copy` raises.
    """
    with recovered_copy(site, wanted, data) as copy:
        with timed(copy.seconds, "stop"):
            site.progress.stage("stopping the server")
            copy.server.stop()
        configuration.to_stay(copy.cluster, copy.folder, copy.control, port=copy.port, preload=wanted.preload)
        copy.folder.finish()
        return Recovered(
            copy.folder.data,
            copy.manifest,
            copy.plan,
            wanted.place,
            copy.reached,
            copy.port,
            choose_server(copy.manifest.server.major),
            copy.notes,
            copy.seconds,
        )
