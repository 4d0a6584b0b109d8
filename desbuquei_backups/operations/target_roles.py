"""The roles that a backup needs and a server has not: made as they were; those that are there are never altered."""

import re
from collections.abc import Collection, Sequence

import psycopg
from psycopg import sql

from desbuquei_backups.core.manifest import LeftOut
from desbuquei_backups.postgres import target
from desbuquei_backups.postgres.connection import Connection
from desbuquei_backups.postgres.globals import concerning, created_roles

_GRANTOR = re.compile(r' GRANTED BY (?:"(?:[^"]|"")+"|[^\s;"]+)(?=;)')
# PostgreSQL 16 and newer: who is no superuser may not even say that a role is to be none.
_POWERLESS = re.compile(r" NO(?:SUPERUSER|REPLICATION|BYPASSRLS)\b")


def missing_roles(connection: Connection, script: str, *, but: Collection[str] = ()) -> list[str]:
    """The roles of the backup's globals that this server has not; `but` are a platform's own."""
    there = target.roles(connection)
    return [name for name in created_roles(script) if name not in there and name not in but]


def make_roles(connection: Connection, script: str, missing: Sequence[str]) -> list[LeftOut]:
    """Create them with their attributes, passwords, settings, comments and memberships; returns what was refused.

    A role that cannot be created is an error of psycopg; a grant or a setting that is refused is left, and said.
    """
    left = []
    row = connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    powerful = bool(row and row[0])
    for statement in concerning(script, missing):
        wanted = statement if powerful else _POWERLESS.sub("", statement)
        creating = wanted.startswith("CREATE ROLE ")
        tries = [wanted, _GRANTOR.sub("", wanted)] if _GRANTOR.search(wanted) else [wanted]
        for number, text in enumerate(tries, 1):
            try:
                with connection.transaction():
                    connection.execute(text.encode())
                break
            except psycopg.Error as error:
                if creating:
                    raise
                if number == len(tries):
                    # The statement itself may hold a password's hash.
                    what = " ".join(statement.split()[:3])
                    why = error.diag.message_primary or type(error).__name__
                    left.append(LeftOut(kind="role", identity=what, reason=why))
    return left


def drop_roles(connection: Connection, names: Sequence[str]) -> None:
    """Take back roles that were made for a restore that failed; one that something needs by now stays."""
    for name in names:
        try:
            connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(name)))
        except psycopg.Error:
            continue
