"""The table backup_logs: a mirror of backup-metadata.jsonl in the database, for people who query."""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations import backup_logs_behind, metadata_file, own_transactions
from desbuquei_backups.operations.backup_logs_behind import Behind
from desbuquei_backups.operations.backup_logs_table import BATCH, COLUMNS, COUNT, UPSERT, prepare
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.connection import Connection, connect, pin

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 5
_LOCK_TIMEOUT, _STATEMENT_TIMEOUT = "5s", "30s"  # a mirror is never worth a backup that hangs
_REQUIRED = ("backup_type", "backup_timestamp", "size", "status", "database")
_TYPES = {"size": int, "recovery_tested": bool}  # of the others, those that are not text are numbers or instants
_LARGEST = 2**63


def owe(folder: Path, backup_id: str) -> None:
    """Remember that the table is to be told of that backup; call it under the records' lock, before they change."""
    backup_logs_behind.owe(folder, backup_id)


def catch_up(site: Site) -> str | None:
    """Tell backup_logs what it has not been told. It is never the truth: if the database is down, it waits.

    Returns why it is behind; None if it is not.

    Only what changed is sent. Where that does not explain how many backups table and file have, all is sent, and the
    server finds what differs: nothing is read out of the table but its count.
    """
    folder = site.settings.folder
    try:
        with (
            metadata_file.lock(folder, "backup-logs"),  # who comes last reads the lines last, and sends the newest
            connect(
                site.settings.database_url, setting=DATABASE_URL, connect_timeout=str(_CONNECT_SECONDS)
            ) as connection,
        ):
            pin(connection)  # a database with a DateStyle of its own words instants as nobody else reads them
            behind = backup_logs_behind.read(folder)
            lines, rows = _catch_up(connection, folder, behind)
            backup_logs_behind.sent(folder, behind, lines=lines, rows=rows)
    except Exception as error:  # noqa: BLE001 - no fault of a mirror may fail a backup
        reason = error.what if isinstance(error, BackupError) else f"{type(error).__name__}: {error}".split("\n")[0]
        _LOG.warning("backup_logs is behind, it catches up with the next backup: %s", reason)
        return reason
    return None


def _catch_up(connection: Connection, folder: Path, behind: Behind) -> tuple[int, int]:
    """Send what is owed, or all; how many lines and rows there are then."""
    with connection.transaction():
        connection.execute(
            "select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
            (_LOCK_TIMEOUT, _STATEMENT_TIMEOUT),
        )
        prepare(connection)
        before = _count(connection)
        found = metadata_file.find(folder, behind.owed)
        explained = behind.rows == before and behind.lines is not None
        if explained:
            _send(connection, found.lines.values())
            explained = found.counted - (behind.lines or 0) == _count(connection) - before
        if not explained:
            _send(connection, metadata_file.lines(folder))
        written = connection.execute("select txid_current_if_assigned()").fetchone()
        if written and written[0] is not None:
            own_transactions.remember(folder, written[0])  # before anybody can see it
        return found.counted, _count(connection)


def _count(connection: Connection) -> int:
    row = connection.execute(COUNT).fetchone()
    return int(row[0]) if row else 0


def _send(connection: Connection, lines: Iterable[Mapping[str, Any]]) -> None:
    rows: Iterator[dict[str, Any]] = (row for line in lines if (row := _row(line)) is not None)
    # Of two lines of one backup, the later one holds; the server refuses two of them in one statement.
    while batch := {row["backup_id"]: row for row in islice(rows, BATCH)}:
        connection.execute(UPSERT, (json.dumps(list(batch.values()), ensure_ascii=False),))


def _row(line: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of a line; None, and a word about it, if the line was not written by us."""
    values = {"recovery_tested": False, **line}
    lacking = [field for field in _REQUIRED if values.get(field) is None]
    odd = [field for field, kind in _TYPES.items() if field not in lacking and not isinstance(values[field], kind)]
    if not (lacking or odd):
        try:
            taken_at = datetime.fromisoformat(values["backup_timestamp"])
        except (TypeError, ValueError):
            odd = ["backup_timestamp"]
        if abs(values["size"]) >= _LARGEST:
            odd = ["size"]
    if lacking or odd:
        what = f"it has no {', '.join(lacking)}" if lacking else f"its {', '.join(odd)} is none"
        _LOG.warning("the line of %s is not mirrored in backup_logs: %s", line.get("backup_id"), what)
        return None
    # Written without an offset, it is UTC, whatever the database's own time zone is.
    values["backup_timestamp"] = (taken_at if taken_at.tzinfo else taken_at.replace(tzinfo=UTC)).isoformat()
    return {column: _storable(values.get(field)) for column, field in COLUMNS.items()}


def _storable(value: object) -> object:
    """What PostgreSQL takes: its text has no NUL and no half of a surrogate pair, as a file's odd name may have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.replace("\0", "").encode(errors="backslashreplace").decode() if isinstance(value, str) else value
