"""What the way back costs: base backups, WAL into S3, and recovery, beside PostgreSQL's own programs, in turn."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench import plain
from bench.cluster import Served, able, open_folder, served
from bench.databases import Size, made
from bench.place import ROOT, Place
from bench.procedures import folder
from bench.transfers import OURS
from desbuquei_backups.core.wal import parse_lsn, show_lsn
from desbuquei_backups.postgres.wal import slot_name

BOTO3, RECEIVED = "zstd and boto3", "pg_receivewal alone"
_SLOT = slot_name("desbuquei")
BASE, BASE_BY_HAND = "recovery from S3, the base alone", "untar and start, the base alone"
ALL, ALL_BY_HAND = "recovery from S3, all WAL", "untar and start, all WAL by cp"
_Round = dict[str, dict[str, Any]]


def measured(
    place: Place, size: Size, *, rounds: int = 3, wal_bytes: int = 2 << 30, seconds: int = 20
) -> dict[str, Any]:
    """On a server of its own, of the version of the bench's own programs. `wal_bytes`: so much is replayed."""
    with served(place, able()[0], {"max_slot_wal_keep_size": "-1"}) as server, folder(place) as files:
        database = made(server.place, "recovery", size)
        run = Run(server, files, rounds)
        server.execute("checkpoint")
        server.execute("select pg_create_physical_replication_slot(%s, immediately_reserve => true)", plain.HOLDS)
        bases = run.bases()
        plain.pgbench(server, database, seconds=seconds)
        increments = run.increments() if server.cluster.programs.major >= 17 else []
        run.write(database, wal_bytes)
        drains = run.drains()
        recoveries = run.recoveries()
        return {
            "server": server.cluster.programs.version,
            "bytes": bases[-1][OURS]["bytes"],
            "pgbench_seconds": seconds,
            "bases": bases,
            "increments": increments,
            "drains": drains,
            "recoveries": recoveries,
        }


class Run:
    """One run: `last` is the folder and label of the base backup that is archived, and recovered from."""

    def __init__(self, server: Served, files: Path, rounds: int) -> None:
        self.server, self.files, self.rounds = server, files, rounds
        self.backup_id = ""
        self.label = f"base-{rounds}"

    def bases(self) -> list[_Round]:
        """The cluster, streamed to disk; the last of ours is archived, and the last plain one kept."""

        def ours(number: int) -> dict[str, Any]:
            return self.child(f"base-{number}", "base")

        def by(way: str) -> Callable[[int], dict[str, Any]]:
            return lambda _: plain.base_backup(self.server, self._new(way), way)

        found = self.in_turn({OURS: ours, **{way: by(way) for way in plain.WAYS}})
        self.backup_id = found[-1][OURS]["backup_id"]
        self.child(self.label, "archive", self.backup_id)
        return found

    def increments(self) -> list[_Round]:
        """What has changed since the last base backup, each against its own."""

        def ours(number: int) -> dict[str, Any]:
            return self.child(self.label, "increment", str(number))

        def by(way: str) -> Callable[[int], dict[str, Any]]:
            since = self.files / way / "backup_manifest"
            return lambda _: plain.base_backup(self.server, self._new(f"{way}-since"), way, since=since)

        return self.in_turn({OURS: ours, **{way: by(way) for way in plain.WAYS}})

    def write(self, database: str, size: int) -> None:
        """Until so much WAL is held."""
        while self._held() < size:
            self.server.execute("checkpoint")
            plain.pgbench(self.server, database, seconds=5, options=["--client=8"])

    def drains(self) -> list[_Round]:
        """The same WAL each time: it is held by a slot of its own. At last it comes to the base backup, too."""

        def ours(number: int) -> dict[str, Any]:
            plain.copied_slot(self.server, _SLOT)
            return self.child(f"drain-{number}", "drain", f"bench-{number}")

        def received(_: int) -> dict[str, Any]:
            return plain.received(self.server, self._new(RECEIVED), self._end())

        def boto3(number: int) -> dict[str, Any]:
            into = self._new(BOTO3)
            command, environment = plain.receiving(self.server, into, self._end())
            return self.child(f"boto3-{number}", "boto3", str(into), *command, environment=environment)

        found = self.in_turn({RECEIVED: received, OURS: ours, BOTO3: boto3})
        plain.copied_slot(self.server, _SLOT)
        self.child(self.label, "drain", "bench")
        return found

    def recoveries(self) -> list[_Round]:
        """To the end of the base backup, and to the end of all WAL."""
        base = self.files / plain.WAYS[0]

        def ours(target: str) -> Callable[[int], dict[str, Any]]:
            def recover(_: int) -> dict[str, Any]:
                with open_folder(self.server.ground) as ground:
                    return self.child(self.label, "recover", target, str(ground / "data"))

            return recover

        def by_hand(replayed: Path | None) -> Callable[[int], dict[str, Any]]:
            def recover(_: int) -> dict[str, Any]:
                with open_folder(self.server.ground) as ground:
                    return plain.recovered(self.server, base / "base.tar.zst", ground / "data", wal=replayed)

            return recover

        with open_folder(self.server.ground) as kept:
            wal = Path(shutil.move(self.files / RECEIVED, kept))
            if (account := self.server.ground.account) is not None:
                account.give(wal)
            return self.in_turn(
                {
                    BASE: ours(self.backup_id),
                    BASE_BY_HAND: by_hand(None),
                    ALL: ours("latest"),
                    ALL_BY_HAND: by_hand(wal),
                }
            )

    def in_turn(self, steps: dict[str, Callable[[int], dict[str, Any]]]) -> list[_Round]:
        """Every other round runs backwards."""
        found = []
        for number in range(1, self.rounds + 1):
            each = {}
            for name in steps if number % 2 else reversed(steps):
                self.server.execute("checkpoint")  # or the first would pay for the load before it
                each[name] = steps[name](number)
                click.echo(f"round {number}  {name:<34} {each[name]['wall']:7.2f} s")
            found.append(each)
        return found

    def _held(self) -> int:
        held = "select pg_current_wal_lsn() - restart_lsn from pg_replication_slots where slot_name = %s"
        return int(self.server.execute(held, plain.HOLDS))

    def _end(self) -> str:
        """The last position of what was written, for pg_receivewal to end at."""
        size = 16 << 20
        switched = parse_lsn(self.server.execute("select pg_switch_wal()::text"))
        return show_lsn(-(-switched // size) * size - 1)

    def _new(self, name: str) -> Path:
        """An empty folder; what was in it goes."""
        path = self.files / name.replace("/", "-")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def child(self, label: str, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
        home = self.files / label
        home.mkdir(exist_ok=True)
        os.sync()
        done = subprocess.run(
            [sys.executable, "-m", "bench.recovering", *arguments],
            env=self.server.place.environment("postgres", home, label) | (environment or {}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} ended with status {done.returncode}:\n{done.stderr[-4000:]}")
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said
