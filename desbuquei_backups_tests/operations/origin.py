"""A cluster of the tests' own to be recovered: it archives its WAL with `cp`, as the guide has it."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from desbuquei_backups.core.wal import parse_lsn, show_lsn
from desbuquei_backups.core.wal_points import RecoveryPoint
from desbuquei_backups.operations.recovery_folder import free_port
from desbuquei_backups.postgres.account import CANDIDATES, Account, first_of
from desbuquei_backups.postgres.cluster import Cluster, Server
from desbuquei_backups.postgres.programs import choose_server, clean_environment

SEGMENT = 1024 * 1024
_COMMIT = re.compile(r"tx:\s+(\d+), lsn: ([0-9A-F/]+),.*desc: COMMIT (\S+ \S+) UTC")


@contextmanager
def ground(above: Path | None) -> Iterator[Path]:
    """A folder that whoever runs the servers reaches; gone afterwards. None: where temporary files lie."""
    path = Path(tempfile.mkdtemp(prefix="recovery-", dir=above))
    path.chmod(0o755)
    if (account := account_here()) is not None:
        account.give(path)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def account_here() -> Account | None:
    return first_of(CANDIDATES) if os.geteuid() == 0 else None


@dataclass
class Origin:
    """The running source."""

    cluster: Cluster
    archive: Path
    port: int
    log: Path
    given: dict[str, str]
    server: Server | None = None
    lock: int = field(default=-1)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def start(self) -> None:
        self.server = self.cluster.start(self.log, self.given, self.lock)

    def stop(self) -> None:
        assert self.server is not None
        self.server.stop()

    def switch(self) -> int:
        """End the segment; where it ended. All of it is archived when this returns."""
        with self.connect() as connection:
            (text,) = connection.execute("select pg_switch_wal()::text").fetchone()
            end = -(-parse_lsn(text) // SEGMENT) * SEGMENT
            name = connection.execute("select pg_walfile_name(%s::pg_lsn - 1)", (show_lsn(end),))
            (name,) = name.fetchone()
        archived = self.archive / name
        done = self.cluster.data / "pg_wal" / "archive_status" / f"{name}.done"
        patience = threading.Event()
        for _ in range(3000):
            if archived.exists() and done.exists():
                return end
            patience.wait(0.01)
        raise AssertionError(f"{name} was not archived")

    def beat(self, name: str) -> RecoveryPoint:
        """A restore point as the hourly run makes it: its heartbeat behind it, and then the end of the segment."""
        with self.connect() as connection:
            (at,) = connection.execute("select clock_timestamp()").fetchone()
            (lsn,) = connection.execute("select pg_create_restore_point(%s)::text", (name,)).fetchone()
            connection.execute("insert into recovery_heartbeats values (%s, clock_timestamp())", (name,))
            (system,) = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
        return RecoveryPoint(
            name=name,
            system_identifier=system,
            timeline=1,
            lsn=lsn,
            end=show_lsn(self.switch()),
            segment_size=SEGMENT,
            at=at,
            transaction=0,
            heartbeat=True,
        )

    def write(self, rows: int, *, writers: int = 2) -> None:
        """Rows of a ledger, each committed by itself, by several sessions at once, with other writes between."""

        def one(writer: int) -> None:
            with self.connect() as connection:
                for number in range(rows):
                    with connection.transaction():
                        connection.execute(
                            "insert into ledger values (txid_current(), %s, repeat(md5(%s), 200))",
                            (writer, str(number)),
                        )
                        connection.execute("update accounts set balance = balance + 1 where id = %s", (number % 100,))

        threads = [threading.Thread(target=one, args=(writer,)) for writer in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@contextmanager
def origin(folder: Path) -> Iterator[Origin]:
    """A source in `folder`, with a ledger to be written to."""
    account = account_here()
    data, archive = folder / "origin", folder / "backups" / "wal_archive"
    for path in (data, archive):
        path.mkdir(parents=True, mode=0o700)
    if account is not None:
        account.give(folder)
    cluster = Cluster(data, choose_server(17), account)
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums", "--no-sync"]
    cluster.run("initdb", ["-D", str(data), *options, f"--wal-segsize={SEGMENT >> 20}"])
    port = free_port()
    given = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "shared_buffers": "32MB",
        "log_timezone": "UTC",
    }
    found = Origin(cluster, archive, port, folder / "origin.log", given)
    found.log.touch()
    found.lock = os.open(folder, os.O_RDONLY)
    found.start()
    try:
        with found.connect() as connection:
            # As an administrator would: these beat every postgresql.conf, a clone's own included.
            connection.execute("alter system set archive_mode = on")
            connection.execute(f"alter system set archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f'")
            connection.execute("alter system set autovacuum = off")
            connection.execute(
                "create table ledger (xid bigint, writer int, payload text);"
                "alter table ledger alter payload set storage external;"
                "create table recovery_heartbeats (name text primary key, at timestamptz not null);"
                "create table unchanged as select i from generate_series(1, 1000) i;"
                "create table accounts (id int primary key, balance bigint);"
                "insert into accounts select i, 0 from generate_series(0, 99) i"
            )
        found.stop()
        found.start()
        yield found
    finally:
        if found.server is not None and not found.server.process.ended.is_set():
            found.stop()
        os.close(found.lock)


@dataclass(frozen=True, slots=True, order=True)
class Commit:
    """One commit record, by pg_waldump: nothing of ours."""

    position: int
    xid: int
    at: datetime


def commits(archive: Path) -> list[Commit]:
    """Every commit in an archive, in the order of the WAL."""
    names = sorted(path.name for path in archive.iterdir() if len(path.name) == 24)
    said = subprocess.run(
        [choose_server(17).path("pg_waldump"), "--rmgr=Transaction", f"--path={archive}", names[0], names[-1]],
        capture_output=True,
        text=True,
        env=clean_environment(TZ="UTC"),
        check=False,
    ).stdout
    return [
        Commit(parse_lsn(lsn), int(xid), datetime.fromisoformat(at).replace(tzinfo=UTC))
        for xid, lsn, at in _COMMIT.findall(said)
    ]
