"""PostgreSQL servers of a test's own: to be restarted, failed over, or filled up, which the shared ones must not be."""

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "wal_level": "replica",
    "max_wal_size": "1GB",
    "autovacuum": "off",
    "shared_buffers": "16MB",
}
_SINCE_17 = {"summarize_wal": "on"}


@dataclass
class Cluster:
    """One cluster in `data`, run by the owner of `folder` with the programs in `bin_dir`; it asks for no password."""

    folder: Path
    bin_dir: Path
    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = 0

    @property
    def data(self) -> Path:
        return self.folder / self.name

    @property
    def major(self) -> int:
        return int((self.data / "PG_VERSION").read_text())

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def make(self) -> "Cluster":
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-k", "-N", "-E", "UTF8")
        return self

    def copy(self, name: str) -> "Cluster":
        """The same cluster once more; this one must be stopped."""
        other = Cluster(self.folder, self.bin_dir, name, self.settings)
        self._run("/bin/cp", "-r", str(self.data), str(other.data))
        return other

    def start(self) -> "Cluster":
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        # The last of two holds: a copied cluster's own settings come first.
        own = {**_SETTINGS, **(_SINCE_17 if self.major >= 17 else {}), **self.settings}
        lines = "".join(f"{name} = '{value}'\n" for name, value in own.items())
        conf = self.data / "postgresql.conf"
        conf.write_text(conf.read_text() + lines + f"port = {self.port}\n")
        self._run("pg_ctl", "-D", str(self.data), "-l", f"{self.data}.log", "-w", "-t", "60", "start")
        return self

    def stop(self, how: str = "fast") -> None:
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-m", how, "stop")

    def restart(self) -> None:
        self.stop()
        self.start()

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def standby(self, name: str) -> "Cluster":
        """A standby of this server, started."""
        other = Cluster(self.folder, self.bin_dir, name, self.settings)
        options = ["-X", "stream", "-c", "fast", "-R", "--no-sync"]
        self._run("pg_basebackup", "-D", str(other.data), "-d", self.url, *options)
        return other.start()

    def promote(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "promote")

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.data, ignore_errors=True)
        Path(f"{self.data}.log").unlink(missing_ok=True)

    def _run(self, program: str, *arguments: str) -> None:
        owner = self.folder.stat()
        other = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [str(self.bin_dir / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program != "pg_ctl" else subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            check=False,
            **other,
        )
        log = Path(f"{self.data}.log")
        told = (done.stdout or b"").decode() + (log.read_text()[-2000:] if done.returncode and log.exists() else "")
        assert done.returncode == 0, f"{program}: {told}"
