"""Look at a recovered cluster: every database readable, every table counted, every page and index checked."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from desbuquei_backups.core.errors import BackupError, ToolFailed
from desbuquei_backups.core.manifest import Role
from desbuquei_backups.operations.drill_record import DatabaseSeen
from desbuquei_backups.operations.progress import timed
from desbuquei_backups.operations.recovered_copy import Copy
from desbuquei_backups.postgres.connection import Connection, connect, explained
from desbuquei_backups.postgres.globals import superusers

_LONGEST_PATH = 107 - len("/.s.PGSQL.65535.lock")
_SETTING = "the recovered copy"
_MOST_FAULTS = 20
_TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and c.relispopulated and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by 1, 2
"""
_BEATS = "public.recovery_heartbeats"


@dataclass
class Findings:
    """What was looked at, what could not be, what is wrong, and what there is."""

    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    databases: list[DatabaseSeen] = field(default_factory=list)


def look_at_running(copy: Copy, findings: Findings) -> None:
    """Of the running server: read everything, and let pg_amcheck look at every table and index."""
    with _door(copy.folder.work) as host:
        url, role = _superuser(copy, host)
        with timed(copy.seconds, "count"):
            _count(copy, url, findings)
        _look_for_heartbeats(copy, url, findings)
        with timed(copy.seconds, "amcheck"):
            copy.copies.site.progress.stage("checking tables and indexes")
            _amcheck(copy, host, role, findings)


def look_at_stopped(copy: Copy, findings: Findings) -> None:
    """Of the stopped cluster: the checksum of every page."""
    if copy.control.get("Data page checksum version", "0") == "0":
        findings.unchecked.append("page checksums: the cluster has none")
        return
    copy.copies.site.progress.stage("checking page checksums")
    with timed(copy.seconds, "page checksums"):
        try:
            copy.cluster.run("pg_checksums", ["--check", f"--pgdata={copy.cluster.data}"])
        except ToolFailed as error:
            findings.faults.append(error.what)
    findings.checked.append("page checksums")


def _superuser(copy: Copy, host: str) -> tuple[str, str]:
    """A URL, and the role in it: the usual one, or one that the source's globals name."""
    manifests = sorted(copy.copies.manifests.values(), key=lambda each: each.taken_at)
    globals_ = [file for each in manifests for file in each.files if file.role is Role.GLOBALS]
    script = b"".join(copy.copies.read(globals_[-1])).decode() if globals_ else ""
    for role in dict.fromkeys(("postgres", *sorted(superusers(script)))):
        url = conninfo.make_conninfo(host=host, port=copy.port, user=role, dbname="postgres", sslmode="disable")
        try:
            with connect(url, setting=_SETTING) as connection:
                row = connection.execute("select current_setting('is_superuser')").fetchone()
        except BackupError:
            continue
        if row is not None and row[0] == "on":
            return url, role
    raise ToolFailed(
        "no superuser that may log in is known in the recovered copy, by the name postgres or by the backup's globals",
        remedy="see that the backup's role may read pg_authid; without a superuser nothing can be checked",
    )


def _count(copy: Copy, url: str, findings: Findings) -> None:
    with connect(url, setting=_SETTING) as connection, explained("listing the databases"):
        names = [
            name
            for (name,) in connection.execute(
                "select datname::text from pg_database where datallowconn and not datistemplate order by 1"
            ).fetchall()
        ]
    copy.copies.site.progress.stage("counting every table", len(names), unit="databases")
    for name in names:
        try:
            with connect(url, setting=_SETTING, dbname=name) as connection, explained(f"reading {name}"):
                counted = _rows(connection)
        except BackupError as error:
            findings.faults.append(f"database {name}: {error.what}")
            continue
        findings.databases.append(
            DatabaseSeen(name=name, tables=len(counted), rows=sum(counted.values()), counted=counted)
        )
        copy.copies.site.progress.advance(1)
    findings.checked.append("every database read, every table counted")


def _rows(connection: Connection) -> dict[str, int]:
    counted = {}
    for schema, table in connection.execute(_TABLES).fetchall():
        counting = sql.SQL("select count(*) from only {}").format(sql.Identifier(schema, table))
        row = connection.execute(counting).fetchone()
        counted[f"{schema}.{table}"] = int(row[0]) if row else 0
    return counted


def _look_for_heartbeats(copy: Copy, url: str, findings: Findings) -> None:
    """The row of the last restore point that was replayed must be there, and that of the next one must not."""
    points = [point for point in copy.wal.on_the_way(copy.plan.timeline) if point.heartbeat and point.name]
    before = [
        each for each in points if copy.plan.base.stop <= each.position and (each.end or 0) <= copy.reached.position
    ]
    after = [each for each in points if each.position >= copy.reached.position]
    due = {str(each.name): True for each in before[-1:]} | {str(each.name): False for each in after[:1]}
    if not due:
        findings.unchecked.append("heartbeats: no restore point with one is on either side of the target")
        return
    with connect(url, setting=_SETTING, dbname=copy.manifest.server.database) as connection:
        try:
            rows = connection.execute(
                sql.SQL("select name from {} where name = any(%s)").format(sql.Identifier(*_BEATS.split("."))),
                (list(due),),
            ).fetchall()
        except psycopg.errors.UndefinedTable:
            rows = []
    there = {name for (name,) in rows}
    for name, wanted in due.items():
        if (name in there) is not wanted:
            said = "is not there, and was committed before the target" if wanted else "is there, and is later"
            findings.faults.append(f"the heartbeat {name} {said}")
    findings.checked.append(f"heartbeats: {', '.join(due)}")


def _amcheck(copy: Copy, host: str, role: str, findings: Findings) -> None:
    arguments = [f"--host={host}", f"--port={copy.port}", f"--username={role}", "--no-password", "--all"]
    arguments += ["--install-missing", f"--jobs={min(os.cpu_count() or 1, 4)}"]
    try:
        said = copy.cluster.run("pg_amcheck", arguments, statuses=(0, 2))
    except ToolFailed as error:
        findings.unchecked.append(f"pg_amcheck: {error.what}")
        return
    findings.faults += [f"pg_amcheck: {line}" for line in _told(said)]
    findings.checked.append("pg_amcheck, every database")


def _told(said: str) -> Sequence[str]:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    more = [f"… and {len(lines) - _MOST_FAULTS} lines more"] if len(lines) > _MOST_FAULTS else []
    return lines[:_MOST_FAULTS] + more


@contextmanager
def _door(folder: Path) -> Iterator[str]:
    """A way to a socket in that folder which is short enough for the kernel."""
    if len(str(folder)) <= _LONGEST_PATH:
        yield str(folder)
        return
    beside = Path(tempfile.mkdtemp(prefix="desbuquei-"))
    try:
        beside.chmod(0o711)
        (beside / "s").symlink_to(folder)
        yield str(beside / "s")
    finally:
        shutil.rmtree(beside)
