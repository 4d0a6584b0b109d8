"""pg_basebackup, streamed: a physical copy of the cluster, with the WAL that makes it consistent, as one tar."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from desbuquei_backups.core.errors import BackupError, DiskError, IntegrityError, ToolFailed
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.postgres.connection import Connection, connect
from desbuquei_backups.postgres.logical import run
from desbuquei_backups.postgres.programs import Programs, clean_environment

MANIFEST = "backup_manifest"
_COMPRESSION = "server-zstd:level=1,workers=2"
_LOOK_SECONDS = 0.05
_FULL = ("No space left on device", "Disk quota exceeded")
_LIMITED = f"killed by signal {signal.SIGXFSZ.value}"
_IN_TABLESPACE = re.compile(r"pg_tblspc/(\d+)/")
LINKING = 18  # the first whose pg_combinebackup can link files
CONTROL = "global/pg_control"


@dataclass(frozen=True, slots=True)
class Space:
    """A tablespace; `location` is a path, relative to the data directory if it lies within."""

    oid: int
    name: str
    location: str


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether a server lets its cluster be copied. `refused`: why it does not, None if it does.

    `spaces`: the tablespaces that it has besides its own two. `system_identifier` and `timeline` are the server's;
    empty and 0 where it refuses.
    """

    refused: str | None
    spaces: Sequence[Space] = ()
    system_identifier: str = ""
    timeline: int = 0


def capability(url: str, connection: Connection, *, setting: str) -> Capability:
    """Proven by a replication connection that answers IDENTIFY_SYSTEM, whatever flags the role has; nothing is made."""
    try:
        replica = connect(url, setting=setting, replication="true")
    except BackupError as error:
        if not error.permanent:  # an outage says nothing of what is allowed
            raise
        return Capability(f"replication is refused: {error.what}")
    with replica:
        answer = replica.pgconn.exec_(b"IDENTIFY_SYSTEM")
        if answer.status != psycopg.pq.ExecStatus.TUPLES_OK:
            return Capability(f"replication is refused: {answer.error_message.decode(errors='replace').strip()}")
        system_identifier, timeline = (bytes(answer.get_value(0, column) or b"").decode() for column in (0, 1))
    row = connection.execute("select current_setting('wal_level')").fetchone()
    if row == ("minimal",):
        return Capability("wal_level is minimal: set it to replica, and restart the server")
    return Capability(None, spaces(connection), system_identifier, int(timeline))


def spaces(connection: Connection) -> Sequence[Space]:
    """The cluster's tablespaces besides its own two."""
    rows = connection.execute(
        "select oid::int8, spcname::text, pg_tablespace_location(oid) from pg_tablespace "
        "where spcname not in ('pg_default', 'pg_global') order by 1"
    ).fetchall()
    return [Space(*each) for each in rows]


def base_backup(
    programs: Programs, parameters: Mapping[str, Any], *, label: str, against: Path | None = None
) -> Iterator[bytes]:
    """The cluster as one uncompressed tar, with the WAL that makes it consistent; the manifest is its last member.

    `against`: the manifest of a base backup; then it is an increment of that (PostgreSQL 17, `summarize_wal`).

    The cluster must have no tablespaces of its own: pg_basebackup writes one tar for each, and only one to its output.
    ToolFailed, SourceUnreachable.
    """
    return run(programs, "pg_basebackup", ["--pgdata=-", *_options(label, against)], _replication(parameters))


def base_backup_in(
    programs: Programs,
    parameters: Mapping[str, Any],
    into: Path,
    *,
    label: str,
    against: Path | None = None,
    compressed: bool = False,
) -> Iterator[None]:
    """The same in the empty folder `into`, fsynced: `base.tar`, one by the OID of each tablespace, and the manifest.

    `compressed`: as zstd, by the server (see `compresses`), `.zst` then; less passes on its way here. It comes back now
    and then while they grow. ToolFailed, SourceUnreachable; DiskError if `into` is on a full disk.
    """
    arguments = [f"--pgdata={into}", *_options(label, against), *([f"--compress={_COMPRESSION}"] if compressed else [])]
    try:
        for _ in run(programs, "pg_basebackup", arguments, _replication(parameters), every=_LOOK_SECONDS):
            yield
    except ToolFailed as error:
        # The last is how a limit on a file's size ends it. What the server says of its own disk names no file of ours.
        if (str(into) in error.what and any(words in error.what for words in _FULL)) or _LIMITED in error.what:
            raise DiskError(
                f"{into.parent}: the disk is full", remedy="free space or enlarge the disk, then run again"
            ) from None
        raise


def compresses(connection: Connection) -> bool:
    """Whether the server can compress what it sends as zstd: PostgreSQL 15, if it was built with it."""
    row = connection.execute("select 'zstd' = any(enumvals) from pg_settings where name = 'wal_compression'").fetchone()
    return row == (True,)


def _options(label: str, against: Path | None) -> list[str]:
    return [
        *("--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--manifest-checksums=SHA256"),
        f"--label={label}",
        *([f"--incremental={against}"] if against is not None else []),
    ]


def summarizes(connection: Connection) -> bool:
    """Whether the server keeps the summaries of WAL that increments are made of: PostgreSQL 17, `summarize_wal`."""
    row = connection.execute("select current_setting('summarize_wal', true)").fetchone()
    return row == ("on",)


def combine(programs: Programs, base: Path, increment: Path, into: Path) -> None:
    """The cluster that an increment of an unpacked base backup stands for, in `into`, which must not be there.

    PostgreSQL 18 moves files instead of copying them: `base` is used up then. ToolFailed.
    """
    done = subprocess.run(
        [
            programs.path("pg_combinebackup"),
            *("--no-sync", "--manifest-checksums=SHA256"),
            *(["--link"] if programs.major >= LINKING else []),
            f"--output={into}",
            *(str(base), str(increment)),
        ],
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )
    if done.returncode != 0:
        raise ToolFailed(
            f"pg_combinebackup {programs.version} failed: {' '.join(done.stderr.split())[:1000]}",
            remedy="mend what it names (room on the disk?); then run again",
        )


def _replication(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name != "dbname"}


@dataclass(frozen=True, slots=True)
class Range:
    """The WAL that makes a base backup consistent, as positions on a timeline."""

    timeline: int
    start: int
    stop: int

    def bytes_of_segments(self, segment_size: int) -> int:
        """Of all segments that hold any of it."""
        return (-(-self.stop // segment_size) - self.start // segment_size) * segment_size


def wal_range(manifest: bytes) -> Range:
    """By PostgreSQL's own backup manifest; IntegrityError if it cannot be read.

    https://www.postgresql.org/docs/17/backup-manifest-format.html
    """
    try:
        (found,) = json.loads(manifest)["WAL-Ranges"]
        return Range(int(found["Timeline"]), parse_lsn(found["Start-LSN"]), parse_lsn(found["End-LSN"]))
    except (ValueError, KeyError, TypeError):
        raise _unreadable() from None


def sizes(manifest: bytes) -> dict[int | None, int]:
    """Bytes of the files of each tablespace, by its OID, and of the data directory (None), by the same manifest.

    The WAL that is with them is not among them. IntegrityError as before.
    """
    found: dict[int | None, int] = {None: 0}
    try:
        for file in json.loads(manifest)["Files"]:
            match = _IN_TABLESPACE.match(file.get("Path", ""))
            oid = int(match[1]) if match else None
            found[oid] = found.get(oid, 0) + int(file["Size"])
    except (ValueError, KeyError, TypeError):
        raise _unreadable() from None
    return found


def _unreadable() -> IntegrityError:
    return IntegrityError("the base backup's own manifest cannot be read", remedy="take the base backup again")


def now_of(connection: Connection) -> datetime:
    """What the server's clock says."""
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    at: datetime = row[0]
    return at.astimezone(UTC)


def configuration(connection: Connection) -> dict[str, str]:
    """The server's own configuration files, wherever they lie, as far as the role may read them."""
    found = {}
    for setting in ("config_file", "hba_file", "ident_file"):
        try:
            with connection.transaction():
                row = connection.execute(
                    "select current_setting(%(name)s), pg_read_file(current_setting(%(name)s))", {"name": setting}
                ).fetchone()
        except psycopg.Error:
            continue
        if row is not None:
            found[str(row[0]).rpartition("/")[2]] = str(row[1])
    return found


def verify(programs: Programs, folder: Path, *, ignore: Sequence[str] = (), newer: bool = False) -> list[str]:
    """What pg_verifybackup has against an unpacked base backup; nothing if it is whole.

    The WAL in it is read, too, by pg_waldump. `newer`: the programs are of a newer major version than the server, and
    can read neither the WAL nor pg_control: these are left out. `ignore`: what in the folder is not of the backup.
    """
    ignored = [*ignore, CONTROL] if newer else ignore
    options = [*(["--no-parse-wal"] if newer else []), *(f"--ignore={each}" for each in ignored)]
    done = subprocess.run(
        [programs.path("pg_verifybackup"), "--quiet", *options, str(folder)],
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )
    if done.returncode == 0:
        return []
    said = [line.partition("error: ")[2] or line for line in done.stderr.splitlines() if line.strip()]
    return said or [f"pg_verifybackup ended with status {done.returncode}"]
