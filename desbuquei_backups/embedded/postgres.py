"""PostgreSQL: make a cluster once, start it, and know when it answers."""

import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from desbuquei_backups.embedded import supabase
from desbuquei_backups.embedded.endpoints import PostgresServer, Server
from desbuquei_backups.embedded.errors import EmbeddedError, log_tail
from desbuquei_backups.embedded.home import Home, locked
from desbuquei_backups.embedded.place import Place, link_tree
from desbuquei_backups.embedded.ports import LOOPBACK, pick
from desbuquei_backups.embedded.programs import postgres_folder
from desbuquei_backups.postgres.process import Process

__all__ = ["start", "stop"]

_ATTEMPTS = 5
_START_PATIENCE = 120.0
_STOP_PATIENCE = 20.0

_COMMON = {
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # A failed CREATE ROLE … PASSWORD must not leave its text in the log.
    "log_min_error_statement": "panic",
}


@dataclass(frozen=True, slots=True)
class _Cluster:
    """What tells one server from another."""

    user: str = "postgres"
    database: str = "postgres"
    hba: str = "host all all 127.0.0.1/32 scram-sha-256\n"
    settings: Mapping[str, str] = field(default_factory=dict)
    throw_away: bool = False


_CLUSTERS = {
    Server.SOURCE: _Cluster(
        database="desbuquei",
        hba="host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n",
        # summarize_wal: an incremental base backup needs the summaries.
        settings={
            "wal_level": "replica",
            "summarize_wal": "on",
            "max_wal_size": "2GB",
            "max_slot_wal_keep_size": "4GB",
        },
    ),
    Server.PLATFORM: _Cluster(database="dagster"),
    Server.SCRATCH: _Cluster(
        # Nothing here outlives its purpose, so durability is given up for speed: after a power cut the cluster may be
        # broken, and is then made anew. Never copy these settings to a server with data in it.
        settings={
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "autovacuum": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "max_wal_size": "4GB",
        },
        throw_away=True,
    ),
    Server.SUPABASE: _Cluster(
        user=supabase.SUPERUSER,
        # No line for replication, whatever the roles' flags say.
        hba="hostssl all all 127.0.0.1/32 scram-sha-256\n",
        settings={"ssl": "on", "ssl_cert_file": "../server.crt", "ssl_key_file": "../server.key"},
    ),
}


def start(server: Server, home: Home, place: Place) -> tuple[Process, PostgresServer]:
    """Start the server, its cluster made if need be; return when it accepts connections. EmbeddedError if it won't."""
    cluster = _CLUSTERS[server]
    folder = place.folder(server)
    log = home.log(server)
    original = postgres_folder()
    programs = place.within_reach(original / "bin" / "postgres", original)
    certificate = None
    with locked(home.lock(server), _STOP_PATIENCE) as lock:
        if server is Server.SUPABASE:
            link_tree(programs, folder / "pgsql")
            programs = folder / "pgsql"
            supabase.add_extensions(programs)
            certificate = supabase.ensure_certificate(home, place, folder)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        run = _Run(server, cluster, home, place, folder, programs / "bin", log, lock)
        run.ensure_cluster()
        try:
            process, port = run.start()
        except EmbeddedError:
            if not cluster.throw_away:
                raise
            shutil.rmtree(run.data)
            run.ensure_cluster()
            process, port = run.start()
    return process, PostgresServer(
        host=LOOPBACK,
        port=port,
        user=cluster.user,
        password=home.secret(server),
        database=cluster.database,
        sslmode="verify-full" if certificate else "disable",
        sslrootcert=certificate,
        data_dir=run.data,
        bin_dir=run.bin_dir,
    )


def stop(process: Process) -> None:
    """A fast shutdown: connections are ended, nothing is lost."""
    process.stop(signal.SIGINT, _STOP_PATIENCE)


@dataclass(frozen=True, slots=True)
class _Run:
    server: Server
    cluster: _Cluster
    home: Home
    place: Place
    folder: Path
    bin_dir: Path
    log: Path
    lock: int

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def ensure_cluster(self) -> None:
        if not self.data.exists():
            fresh = self.folder / "data.new"  # renamed when complete: an interrupted start leaves no half cluster
            if fresh.exists():
                shutil.rmtree(fresh)
            password = self.folder / "password"
            self.place.write(password, self.home.secret(self.server) + "\n")
            try:
                # With an empty environment initdb would pick SQL_ASCII, and no checksums.
                locale = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
                options = ["--data-checksums", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
                self._do(["initdb", "-D", str(fresh), "-U", self.cluster.user, *locale, *options, "--no-instructions"])
            finally:
                password.unlink(missing_ok=True)
            if self.cluster.database != "postgres":
                self._do(
                    ["postgres", "--single", "-D", str(fresh), "postgres"],
                    commands=f"CREATE DATABASE {self.cluster.database}\n",
                )
            fresh.rename(self.data)
        settings = (f"{name} = '{value}'\n" for name, value in {**_COMMON, **self.cluster.settings}.items())
        self.place.write(self.data / "postgresql.conf", "".join(settings))
        self.place.write(self.data / "pg_hba.conf", self.cluster.hba)

    def start(self) -> tuple[Process, int]:
        ports = list(self.home.read("ports").get(self.server, ()))
        for _ in range(_ATTEMPTS):
            ports = pick(1, ports)
            # The lock says that no process of the server is left, whatever a killed one's file says.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            # On the command line, so that no ALTER SYSTEM can open the server to the network.
            address = ["-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories=", "-p", str(ports[0])]
            # SIGQUIT, should this process die: the server takes its children with it and recovers at the next start.
            process = self._process(["postgres", "-D", str(self.data), *address], last_signal=signal.SIGQUIT)
            if self._answers(process):
                self.home.write("ports", {self.server: ports})
                return process, ports[0]
            if "Address already in use" not in self.log.read_text(errors="replace"):
                break
            ports = []
        raise self._error("did not start")

    def _answers(self, process: Process) -> bool:
        deadline = time.monotonic() + _START_PATIENCE
        while not process.ended.wait(0.02):
            if self._status() == [str(process.pid), "ready"]:
                return True
            if time.monotonic() > deadline:
                stop(process)
        return False

    def _status(self) -> list[str]:
        """The postmaster's process id and status, as pg_ctl reads them from its file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [lines[0], lines[7].strip()] if len(lines) > 7 else []

    def _do(self, command: list[str], commands: str = "") -> None:
        process = self._process(command, commands=commands)
        process.ended.wait()
        if process.returncode:
            raise self._error(f"could not be made: {command[0]} ended with {process.returncode}")

    def _process(
        self, command: list[str], *, last_signal: signal.Signals = signal.SIGKILL, commands: str = ""
    ) -> Process:
        return Process(
            [str(self.bin_dir / command[0]), *command[1:]],
            folder=self.folder,
            log=self.log,
            lock=self.lock,
            account=self.place.account,
            last_signal=last_signal,
            commands=commands,
        )

    def _error(self, what: str) -> EmbeddedError:
        return EmbeddedError(
            f"The embedded PostgreSQL server '{self.server}' {what}. {log_tail(self.log)}",
            remedy="Mend what the log names (disk space, memory, permissions) and try again; "
            f"to begin anew with empty servers, move {self.home.path} away.",
        )
