"""A cluster recovered to a moment, a position, a restore point or the end, in a folder of its own, and running."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from desbuquei_backups.core import recovery
from desbuquei_backups.core.errors import IntegrityError, NotFound, OutOfReach, ToolFailed
from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.core.recovery import Plan, Wal
from desbuquei_backups.core.targets import Target
from desbuquei_backups.operations import recovered_configuration as configuration
from desbuquei_backups.operations.combining import Combining
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.in_use import reading
from desbuquei_backups.operations.progress import timed
from desbuquei_backups.operations.recovered_tablespaces import bring_inside, refuse_created
from desbuquei_backups.operations.recovery_catalog import BaseCopies, base_copies
from desbuquei_backups.operations.recovery_fetch import fetch
from desbuquei_backups.operations.recovery_folder import WORK, RecoveryFolder, free_port, recovery_folder, require_room
from desbuquei_backups.operations.replaying import Reached, Replay
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.postgres import physical
from desbuquei_backups.postgres.account import within_reach
from desbuquei_backups.postgres.cluster import Cluster, Server
from desbuquei_backups.postgres.programs import Programs, choose_server

_SPARE = 1.1  # of what is unpacked, for what replay adds


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to recover, from where, and how: the server's later port (None: a free one), libraries that replay needs.

    `timeline`: None for the one begun last. `system_identifier`: needed where a bucket has several clusters.
    `increments`: used where that is quicker than replaying the WAL. `throw_away`: nobody needs the cluster when this
    process has ended.
    """

    target: Target
    place: Place = Place.S3
    port: int | None = None
    timeline: int | None = None
    system_identifier: str | None = None
    preload: Sequence[str] = ()
    increments: bool = True
    throw_away: bool = False


@dataclass
class Copy:
    """A cluster that was recovered, and whose server runs and accepts connections, by a socket in `folder.work`.

    `control`: what pg_controldata said of it before it was started.
    """

    copies: BaseCopies
    cluster: Cluster
    folder: RecoveryFolder
    manifest: Manifest
    plan: Plan
    wal: Wal
    server: Server
    reached: Reached
    control: Mapping[str, str]
    port: int
    notes: list[str]
    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def recovered_copy(site: Site, wanted: Wanted, data: Path) -> Iterator[Copy]:
    """Recover into the empty or absent folder `data`; the server runs until the block ends.

    OutOfReach, with what can be reached, before anything is fetched; TargetRefused if `data` is not empty;
    IntegrityError if a file is not what it should be, or a setting would let the cluster touch its source;
    IdentityError; ToolMissing.
    """
    begun = time.monotonic()
    copies = base_copies(site, wanted.place, wanted.system_identifier)
    site.progress.stage("looking for WAL")
    wal = copies.wal.look(copies.segment_size)
    plan = planned(copies, wal, wanted)
    # Settings and version are those of the backup that replay begins from.
    manifest = copies.manifests[plan.latest.backup_id]
    needed = dict.fromkeys((plan.base.backup_id, manifest.backup_id))
    with naming(manifest.backup_id), reading(site, *needed):
        for each in needed:
            copies.require_readable(copies.manifests[each])
        programs = choose_server(manifest.server.major)
        with recovery_folder(data, doing=f"{wanted.target} from {manifest.backup_id}") as folder:
            yield from _Recovering(begun, copies, manifest, plan, wal, wanted, folder, programs).run()


def planned(copies: BaseCopies, wal: Wal, wanted: Wanted) -> Plan:
    """OutOfReach with what is missing and what can be reached, if the target cannot."""
    in_place = any(manifest.server.major >= physical.LINKING for manifest in copies.manifests.values())
    found = recovery.plan(
        copies.bases,
        wal,
        wanted.target,
        timeline=wanted.timeline,
        increments=wanted.increments,
        combined_in_place=in_place,
    )
    if isinstance(found, Plan):
        return found
    there = "; ".join(window.said() for window in found.windows[-3:])
    raise OutOfReach(
        f"{wanted.target} cannot be recovered to: {found.why}",
        remedy=f"what can be reached: {there}" if there else "restore a logical dump: desbuquei restore",
    )


@dataclass
class _Recovering:
    begun: float
    copies: BaseCopies
    manifest: Manifest
    plan: Plan
    wal: Wal
    wanted: Wanted
    folder: RecoveryFolder
    programs: Programs
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def run(self) -> Iterator[Copy]:
        progress = self.copies.site.progress
        wal_bytes = len(self.plan.segments) * self.wal.segment_size
        require_room(self.folder.data, int(self._unpacked_size() * _SPARE) + 2 * wal_bytes)
        with self._or_without_increment():
            self._fetch_and_combine()
        cluster = self._cluster()
        with timed(self.seconds, "verify"):
            progress.stage("verifying the base backup")
            with ThreadPoolExecutor(1) as beside:
                looked = beside.submit(refuse_created, cluster, self.folder, self.plan, self.wal)
                self._verify(cluster)
                looked.result()
        with timed(self.seconds, "configure"):
            progress.stage("configuring")
            self.notes += bring_inside(cluster)
            own = b"".join(self.copies.read(self.manifest.file(Role.CONFIGURATION)))
            self.folder.give()
            self.notes += configuration.configure(cluster, self.folder, configuration.parse_configuration(own))
            port = self.wanted.port or free_port()
            control = cluster.control()
            replay = self._replay(cluster, control, port)
            replay.configure()
        with timed(self.seconds, "replay"):
            server, reached = replay.run()
        self.seconds["to accepting connections"] = round(time.monotonic() - self.begun, 3)
        try:
            yield Copy(
                self.copies,
                cluster,
                self.folder,
                self.manifest,
                self.plan,
                self.wal,
                server,
                reached,
                control,
                port,
                self.notes,
                self.seconds,
            )
        finally:
            if not server.process.ended.is_set():
                server.stop()

    def _fetch_and_combine(self) -> None:
        combining = Combining(self.folder, self.plan)
        with timed(self.seconds, "fetch and unpack"):
            fetch(self.copies, combining.unpacked, self.plan, self.wal, self.folder)
        if self.plan.increment is not None:
            with timed(self.seconds, "combine"):
                self.copies.site.progress.stage("combining base backup and increment")
                combining.combine(self.programs)

    @contextmanager
    def _or_without_increment(self) -> Iterator[None]:
        """What fails with an increment may go well without it."""
        try:
            yield
        except (IntegrityError, NotFound, ToolFailed) as error:
            if self.plan.increment is not None:
                error.remedy += f"; --no-increments does without {self.plan.increment.backup_id}, and replays more WAL"
            raise

    def _unpacked_size(self) -> int:
        """Bytes: of both, and of what they are combined to, which PostgreSQL 18 links instead of copying it."""
        base, increment = self.plan.base, self.plan.increment
        if increment is None:
            return base.size
        return base.size * (1 if self.programs.major >= physical.LINKING else 2) + 2 * increment.size

    def _cluster(self) -> Cluster:
        """With programs that the account reaches."""
        bin_dir = within_reach(
            Path(self.programs.path("postgres")), self.programs.folder.parent, self.folder.work, self.folder.account
        )
        programs = Programs(bin_dir / self.programs.folder.name, self.programs.version)
        return Cluster(self.folder.data, programs, self.folder.account)

    def _verify(self, cluster: Cluster) -> None:
        if faults := physical.verify(cluster.programs, cluster.data, ignore=[WORK]):
            raise IntegrityError(
                f"pg_verifybackup finds that the base backup is not whole: {'; '.join(faults[:3])}",
                remedy="recover from the copy in the other place (--from), or to a target that another base leads to",
            )

    def _replay(self, cluster: Cluster, control: Mapping[str, str], port: int) -> Replay:
        return Replay(
            cluster,
            self.folder,
            self.plan,
            self.manifest,
            control,
            port,
            self.wanted.preload,
            configuration.transient(self.folder, throw_away=self.wanted.throw_away),
            self.copies.site.progress,
        )
