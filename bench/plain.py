"""What PostgreSQL's own programs take, as anybody would call them: base backups, receiving WAL, and the way back."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.cluster import Served, owner_of, ready
from desbuquei_backups.postgres.cluster import Cluster

WAYS = ("server-zstd:level=1,workers=2", "client-zstd:level=1,workers=2")
_RECEIVED_BY = "bench_plain"
HOLDS = "bench_holds"


def program(server: Served, name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """A program of the server's version, and the environment that connects it."""
    port = urlsplit(server.place.maintenance_url).port
    connected = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "LC_ALL": "C", "PATH": os.defpath}
    return [server.cluster.programs.path(name), *arguments], connected


def base_backup(server: Served, into: Path, way: str, *, since: Path | None = None) -> dict[str, Any]:
    """The cluster as a compressed tar in the new folder `into`. `since`: the manifest of what it is an increment to."""
    options = ["--format=tar", "--wal-method=fetch", "--checkpoint=fast", f"--compress={way}", f"--pgdata={into}"]
    options += [f"--incremental={since}"] if since is not None else []
    command, environment = program(server, "pg_basebackup", *options)
    os.sync()
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    wall = time.perf_counter() - begun
    return {"wall": wall, "bytes": sum(path.stat().st_size for path in into.iterdir())}


def copied_slot(server: Served, name: str) -> None:
    """A slot of that name that begins where the one does that holds all WAL, whatever was made of it before."""
    server.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", name)
    server.execute("select pg_copy_physical_replication_slot(%s, %s)", HOLDS, name)


def receiving(server: Served, into: Path, until: str) -> tuple[list[str], dict[str, str]]:
    """The command that receives all WAL that is held, up to a position."""
    copied_slot(server, _RECEIVED_BY)
    options = [f"--directory={into}", f"--slot={_RECEIVED_BY}", "--no-loop", f"--endpos={until}"]
    return program(server, "pg_receivewal", *options)


def received(server: Served, into: Path, until: str) -> dict[str, Any]:
    """The server's own sending rate: pg_receivewal to disk, and nothing else."""
    command, environment = receiving(server, into, until)
    os.sync()
    begun, before = time.perf_counter(), os.times()
    subprocess.run(command, env=environment, check=True)
    wall, used = time.perf_counter() - begun, os.times()
    cpu = used.children_user + used.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": cpu, "bytes": sum(path.stat().st_size for path in into.iterdir())}


def recovered(server: Served, base: Path, data: Path, *, wal: Path | None = None) -> dict[str, Any]:
    """Untar a base backup and start it, until it accepts connections. `wal`: what is to be replayed to its end."""
    os.sync()
    begun = time.perf_counter()
    data.mkdir(mode=0o700)
    server.ground.give(data)
    with base.open("rb") as packed, subprocess.Popen(["zstd", "-dc"], stdin=packed, stdout=subprocess.PIPE) as plain:
        subprocess.run(["tar", "-xf", "-", "-C", str(data)], stdin=plain.stdout, check=True, **owner_of(server.cluster))
    unpacked = time.perf_counter()
    given = {"listen_addresses": "", "unix_socket_directories": ".", "hot_standby": "off"}
    if wal is not None:
        given |= {"restore_command": f'cp "{wal}/%f" "%p"'}
        (data / "recovery.signal").touch(mode=0o600)
        server.ground.give(data / "recovery.signal")
    begun_start = time.perf_counter()
    log = data.with_name(f"{data.name}.log")
    running = ready(Cluster(data, server.cluster.programs, server.ground.account), log, {**given, **like_ours()})
    accepting = time.perf_counter()
    restored = running.said().count("restored log file")
    running.stop()
    assert wal is None or restored, f"no WAL was replayed:\n{log.read_text()[-2000:]}"
    shutil.rmtree(data)
    return {
        "wall": accepting - begun,
        "unpack": unpacked - begun,
        "start": accepting - begun_start,
        "segments": restored,
    }


def like_ours() -> dict[str, str]:
    """What ours gives the server for replay: it is not settings that are compared."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shared = min(max(memory // 10, 128 << 20), 1 << 30) >> 20
    return {"shared_buffers": f"{shared}MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}


def pgbench(server: Served, database: str, *, seconds: int, options: Sequence[str] = ()) -> None:
    """Its own load, four at a time."""
    given = ["--no-vacuum", "--client=4", "--jobs=2", f"--time={seconds}", "--protocol=prepared", *options, database]
    command, environment = program(server, "pgbench", *given)
    subprocess.run(command, env=environment, capture_output=True, check=True)
