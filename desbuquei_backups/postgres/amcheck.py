"""pg_amcheck over one database: every page of every table and index as the server itself would read it."""

import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import psycopg

from desbuquei_backups.core.errors import ToolFailed
from desbuquei_backups.postgres.connection import Connection, environment
from desbuquei_backups.postgres.programs import Programs, clean_environment

_JOBS = 4
# Of what is unsound pg_amcheck names the object on a line of its own; how, on those after it.
_NAMED = re.compile(r'(?:heap table|btree index) "(?P<name>[^\n]*?)"(?:, [^\n]*)?:')
_CORRUPT = 2
_INVALID = """
select format('%I.%I', n.nspname, c.relname), format('%I.%I', tn.nspname, t.relname)
  from pg_index i
  join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_class t on t.oid = i.indrelid join pg_namespace tn on tn.oid = t.relnamespace
 where c.relkind = 'i' and not (i.indisvalid and i.indisready and i.indislive)
 order by 1
"""
_INDEXES = """
select count(*) from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""


def invalid_indexes(connection: Connection) -> dict[str, str]:
    """The indexes that the server does not use, or does not keep up to date, each with its table.

    A partitioned index is none itself: it is invalid for as long as one partition has none, also at the source.
    """
    return dict(connection.execute(_INVALID).fetchall())


def count_indexes(connection: Connection) -> int:
    """How many indexes there are that are not the system's own."""
    row = connection.execute(_INDEXES).fetchone()
    return row[0] if row else 0


def install(connection: Connection) -> str:
    """Give the database the extension that pg_amcheck needs, if it has it not; why not, if that cannot be."""
    try:
        connection.execute("create extension if not exists amcheck with schema pg_catalog")
    except psycopg.Error as error:
        return f"the server has not the extension amcheck: {error.diag.message_primary or error}"
    return ""


def check(programs: Programs, parameters: Mapping[str, Any]) -> dict[str, str]:
    """What is unsound in the database, by name, and how. ToolFailed if pg_amcheck is not there, or cannot say."""
    program = programs.path("pg_amcheck")
    if not os.access(program, os.X_OK):
        raise ToolFailed("pg_amcheck is not installed here", remedy="install PostgreSQL's client programs whole")
    done = subprocess.run(
        [program, "--no-password", f"--jobs={min(os.cpu_count() or 1, _JOBS)}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=clean_environment(**environment(parameters)),
    )
    if done.returncode == 0:
        return {}
    found = unsound(done.stdout)
    if done.returncode != _CORRUPT or not found:
        told = " ".join(done.stderr.split())[:300] or f"exit status {done.returncode}"
        raise ToolFailed(f"pg_amcheck {programs.version}: {told}", remedy="see what it names, and run again")
    return found


def unsound(said: str) -> dict[str, str]:
    """What pg_amcheck says of each object, by its name without the database's."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in said.splitlines():
        if named := _NAMED.match(line):
            lines = found.setdefault(named["name"].partition(".")[2], [])
        elif line.strip():
            lines.append(line.strip())
    return {name: "\n".join(each) for name, each in found.items()}
