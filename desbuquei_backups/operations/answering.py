"""Ask a restored copy the user's own invariants: read only, with few rights, in a limited time, and never for long.

Whatever is wrong with a question makes its answer "could not be compared"; the proof goes on.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import LiteralString

import psycopg
from psycopg import sql

from desbuquei_backups.core.answers import Answer, Rows, answer, taken_over, uncompared
from desbuquei_backups.core.comparison import Finding
from desbuquei_backups.core.invariants import Invariant
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.operations.scratch import Scratch, mark
from desbuquei_backups.operations.settings import RESTORE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import connection as pg

# Judges a result by an expectation of Great Expectations, which is not known here.
Judge = Callable[[Invariant, Rows], Finding]
_MOST_ROWS = 100_000
_KEPT_ROWS = 20
_AT_ONCE = 500
_SCHEMAS = "select nspname::text from pg_namespace where nspname not like 'pg\\_%' and nspname <> 'information_schema'"
_GRANTS: tuple[LiteralString, ...] = (
    "grant usage on schema {} to {}",
    "grant select on all tables in schema {} to {}",
    "grant select on all sequences in schema {} to {}",
)


class _TooMuch(Exception):
    pass


def unjudged(invariant: Invariant, found: Rows) -> Finding:  # noqa: ARG001
    """Where Great Expectations is not at hand."""
    return uncompared(invariant, "nobody judged it: Great Expectations was not asked")


def ask_all(site: Site, manifest: Manifest, scratch: Scratch, judged_by: Judge) -> list[Answer]:
    """Ask the restored copy in `scratch` every invariant. SourceUnreachable if its server is lost."""
    invariants = site.settings.invariants
    if not invariants:
        return []
    site.progress.stage("asking the invariants", len(invariants), unit="questions")
    answers = []
    try:
        with _reader(site, scratch) as reader:
            for name, invariant in invariants.items():
                answers.append(_asked(site, name, invariant, manifest, scratch, reader, judged_by))
                site.progress.advance(1)
    except psycopg.errors.InsufficientPrivilege as error:
        why = f"the restore server gives no role that only reads: {_said(error)}"
        return [_unanswered(name, invariant, manifest.taken_at, why) for name, invariant in invariants.items()]
    return answers


def take_over(site: Site, manifest: Manifest, answers: Sequence[Answer], restored: str) -> list[Answer]:
    """What the copy of the same bytes that was restored as that backup answered, for the backup of `manifest`."""
    earlier = {each.name: each for each in answers}
    return [
        taken_over(name, invariant, earlier.get(name), restored, manifest.taken_at)
        for name, invariant in site.settings.invariants.items()
    ]


def _asked(
    site: Site,
    name: str,
    invariant: Invariant,
    manifest: Manifest,
    scratch: Scratch,
    reader: str,
    judged_by: Judge,
) -> Answer:
    taken_at = manifest.taken_at
    # A session of its own: with the database's own settings, and none that another question left.
    with pg.connect(site.settings.restore_url, setting=RESTORE_URL, dbname=scratch.name) as connection:
        try:
            found = replace(_result(connection, invariant, manifest.taken_at, reader), secret=bool(manifest.recipients))
        except psycopg.errors.QueryCanceled:
            why = f"it took longer than {int(invariant.timeout.total_seconds()):,} s"
        except (psycopg.Error, _TooMuch) as error:
            why = _said(error)
        else:
            if invariant.expected is not None:
                return answer(name, invariant, found, taken_at)
            return Answer(name, invariant.sql, invariant.wanted, taken_at, [judged_by(invariant, found)])
    return _unanswered(name, invariant, taken_at, why)


def _unanswered(name: str, invariant: Invariant, taken_at: datetime, why: str) -> Answer:
    return Answer(name, invariant.sql, invariant.wanted, taken_at, [uncompared(invariant, why)])


def _said(error: Exception) -> str:
    """The message on one line, without the rows and values that its DETAIL may quote."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((primary or str(error)).split())


def _result(connection: pg.Connection, invariant: Invariant, taken_at: datetime, reader: str) -> Rows:
    """The result of one query; psycopg's error if there is none, _TooMuch if it has too many rows to be read."""
    path = connection.execute("show search_path").fetchone()
    assert path is not None
    pg.pin(connection)
    connection.execute("select set_config('search_path', %s, false)", path)
    milliseconds = int(invariant.timeout.total_seconds() * 1000)
    until = time.monotonic() + invariant.timeout.total_seconds()
    with connection.transaction(force_rollback=True):
        connection.execute("set transaction read only")
        connection.execute(sql.SQL("set local statement_timeout = {}").format(sql.Literal(milliseconds)))
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(reader)))
        # A cursor takes one query and nothing else: no second statement, no command.
        with connection.cursor(name="invariant") as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(invariant.at(taken_at).encode())
            columns = [column.name for column in cursor.description or ()]
            kept = _MOST_ROWS if invariant.expected is None else _KEPT_ROWS
            rows = list(islice(cursor, kept))
            count = len(rows)
            for _ in cursor:
                count += 1
                if count > _MOST_ROWS:
                    raise _TooMuch(f"it returns more than {_MOST_ROWS:,} rows: let it count them itself")
                if count % _AT_ONCE == 0 and time.monotonic() > until:
                    raise psycopg.errors.QueryCanceled
    return Rows(columns, rows, count)


@contextmanager
def _reader(site: Site, scratch: Scratch) -> Iterator[str]:
    """A role that reads every row of the copy and does nothing else; marked, so that it is dropped if this run dies."""
    name = f"desbuquei_reader_{secrets.token_hex(4)}"
    role = sql.Identifier(name)
    with pg.connect(site.settings.restore_url, setting=RESTORE_URL, dbname=scratch.name) as server:
        # Rows that row-level security hides from it would be rows that it does not find wrong.
        server.execute(sql.SQL("create role {} nologin bypassrls").format(role))
        mark(server, "role", name)
        try:
            # Not pg_read_all_data, which reads the server's password hashes too.
            for (schema,) in server.execute(_SCHEMAS).fetchall():
                for granted in _GRANTS:
                    server.execute(sql.SQL(granted).format(sql.Identifier(schema), role))
            yield name
        finally:
            server.execute(sql.SQL("drop owned by {0}; drop role {0}").format(role))
