"""The same database with pgBackRest, where that is installed: full, incremental and restore, in turn with ours.

Where it refuses the newest server, it is measured on the newest that it takes, and ours on that one as well.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import plain
from bench.cluster import Served, able, cluster_of, ground_of, open_folder, owner_of, ready, served
from bench.databases import Size, made
from bench.place import Place
from bench.procedures import folder
from bench.recovery import Run
from bench.transfers import OURS
from desbuquei_backups.operations.recovery_folder import free_port
from desbuquei_backups.postgres.cluster import Cluster
from desbuquei_backups.postgres.programs import Programs

_TWO: Sequence[str] = ("--process-max=2", "--compress-type=zst", "--compress-level=1")
FULL, INCREMENTAL, RESTORE = "full", "incremental", "restore, and accepting connections"


def measured(place: Place, size: Size, *, rounds: int = 3, seconds: int = 20) -> dict[str, Any]:
    """`version` None: it is not here. `refused`: what it says of servers that it does not take, by version."""
    if shutil.which("pgbackrest") is None:
        return {"version": None}
    said = subprocess.run(["pgbackrest", "version"], capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = {"version": said.split()[-1], "refused": {}, "seconds": seconds}
    for programs in able():
        if (refused := _refused(place, programs)) is not None:
            found["refused"][programs.version] = refused
            continue
        return {**found, "server": programs.version, "rounds": _measured(place, programs, size, rounds, seconds)}
    return found


def _refused(place: Place, programs: Programs) -> str | None:
    with served(place, programs) as server, open_folder(server.ground) as repository:
        done = _Backrest(server.cluster, repository).does("stanza-create", "--no-online")
    if done.returncode == 0:
        return None
    return next((line.strip() for line in done.stdout.splitlines() if "ERROR" in line), done.stdout.strip())


class _Backrest:
    """Its commands, as the user who runs the server, with a repository in a folder of this machine."""

    def __init__(self, cluster: Cluster, repository: Path, port: int | None = None) -> None:
        self._cluster, self._repository = cluster, repository
        self._given = ["pgbackrest", "--no-config", "--stanza=bench", "--log-level-file=off"]
        self._given += [f"--{each}-path={repository}/{each}" for each in ("repo1", "lock")]
        self._online = [f"--pg1-socket-path={cluster.data.parent}", f"--pg1-port={port}"] if port else []

    @property
    def archive_command(self) -> str:
        given = [*self._given, f"--pg1-path={self._cluster.data}", "--compress-type=zst", "--compress-level=1"]
        return f"{' '.join(given)} archive-push %p"

    def backup(self, kind: str) -> None:
        self._must("backup", f"--type={kind}", *_TWO, "--start-fast", "--repo1-retention-full=2", *self._online)

    def restore(self, data: Path) -> None:
        """The newest backup, to the first moment at which it is consistent, as ours to a base backup's own end."""
        options = ["--process-max=2", "--type=immediate", "--target-action=promote"]
        options.append(f"--spool-path={self._repository}/spool")
        fetch = [*self._given, f"--pg1-path={data}", "archive-get"]
        options.append(f'--recovery-option=restore_command={" ".join(fetch)} %f "%p"')
        self._must("restore", *options, data=data)

    def create(self) -> None:
        self._must("stanza-create", *self._online)

    def _must(self, name: str, *options: str, data: Path | None = None) -> None:
        done = self.does(name, *options, data=data)
        if done.returncode:
            raise RuntimeError(f"pgbackrest {name} ended with status {done.returncode}:\n{done.stdout[-4000:]}")

    def does(self, name: str, *options: str, data: Path | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self._given, f"--pg1-path={data or self._cluster.data}", *options, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._repository,
            env={"PATH": os.defpath, "LC_ALL": "C", "PGUSER": "postgres"},
            check=False,
            **owner_of(self._cluster),
        )


def _measured(place: Place, programs: Programs, size: Size, rounds: int, seconds: int) -> list[dict[str, Any]]:
    port = free_port()
    with open_folder(ground_of(place)) as repository, folder(place) as files:
        backrest = _Backrest(cluster_of(place, programs), repository, port)
        archiving = {"archive_mode": "on", "archive_command": backrest.archive_command}
        with served(place, programs, archiving, port=port) as server:
            backrest.create()
            database = made(server.place, "recovery", size)
            run = Run(server, files, rounds)
            return run.in_turn(_steps(server, backrest, run, database, seconds))


def _steps(
    server: Served, backrest: _Backrest, run: Run, database: str, seconds: int
) -> dict[str, Callable[[int], dict[str, Any]]]:
    def full(_: int) -> dict[str, Any]:
        return _timed(lambda: backrest.backup("full"))

    def incremental(_: int) -> dict[str, Any]:
        plain.pgbench(server, database, seconds=seconds)
        return _timed(lambda: backrest.backup("incr"))

    def restore(_: int) -> dict[str, Any]:
        with open_folder(server.ground) as ground:
            return _restored(server, backrest, ground / "data")

    def ours(number: int) -> dict[str, Any]:
        label = f"base-{number}"
        base = run.child(label, "base")
        run.child(label, "archive", base["backup_id"])
        told = {"full": base["streamed"], "full, verified": base["wall"]}
        if server.cluster.programs.major >= 17:
            plain.pgbench(server, database, seconds=seconds)
            told["increment"] = run.child(label, "increment", "1")["streamed"]
        with open_folder(server.ground) as ground:
            return {**run.child(label, "recover", base["backup_id"], str(ground / "data")), **told}

    return {FULL: full, INCREMENTAL: incremental, RESTORE: restore, OURS: ours}


def _restored(server: Served, backrest: _Backrest, data: Path) -> dict[str, Any]:
    data.mkdir(mode=0o700)
    server.ground.give(data)
    os.sync()
    begun = time.perf_counter()
    backrest.restore(data)
    restored = time.perf_counter()
    given = {"listen_addresses": "", "unix_socket_directories": ".", "archive_mode": "off", "hot_standby": "off"}
    log = data.with_name("log")
    running = ready(Cluster(data, server.cluster.programs, server.ground.account), log, {**given, **plain.like_ours()})
    wall = time.perf_counter() - begun
    running.stop()
    return {"wall": wall, "restore": restored - begun}


def _timed(work: Callable[[], object]) -> dict[str, Any]:
    os.sync()
    begun = time.perf_counter()
    work()
    return {"wall": time.perf_counter() - begun}
