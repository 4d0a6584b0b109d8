"""Load a dump into an empty database, around what that server lacks."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from desbuquei_backups.postgres import logical
from desbuquei_backups.postgres.contents import PG_CLASS
from desbuquei_backups.postgres.globals import statements
from desbuquei_backups.postgres.plain_dump import Entry, Found, PlainDumpReader
from desbuquei_backups.postgres.programs import Programs
from desbuquei_backups.postgres.target import Unmet, skipped_objects

_HEADER = b"--\n-- TOC entry "


@dataclass
class Around:
    """Decides, entry by entry, what is restored; remembers what was not, and why."""

    lacking: Sequence[Unmet]
    skipped: dict[int, str] = field(default_factory=dict)
    entries: list[tuple[Entry, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._objects = skipped_objects(self.lacking)
        self._extensions = {u.requirement.name: u.why for u in self.lacking if u.requirement.kind == "extension"}
        self._names: dict[tuple[str, str], str] = {}
        self._seen: set[int] = set()

    def keep(self, entry: Entry) -> bool:
        self._seen.add(entry.number)
        why = self._why_not(entry)
        if why is None:
            return True
        self.skipped[entry.number] = why
        self.entries.append((entry, why))
        if entry.class_oid == PG_CLASS:
            self._names[entry.schema, entry.name] = why
        return False

    def _why_not(self, entry: Entry) -> str | None:
        if entry.kind == "EXTENSION":
            return self._extensions.get(entry.name)
        if entry.class_oid:
            return self._objects.get((entry.class_oid, entry.oid))
        if entry.oid and (why := self._objects.get((PG_CLASS, entry.oid))):
            return why  # its rows, its row security
        if entry.kind in ("TABLE ATTACH", "INDEX ATTACH"):
            return self._names.get((entry.schema, entry.name))
        if entry.kind == "ACL" and self._extensions and self._of_some_extension(entry):
            return "it grants on an object of some extension, and the restore server has not all of them"
        return next((self.skipped[number] for number in entry.dependencies if number in self.skipped), None)

    def _of_some_extension(self, entry: Entry) -> bool:
        """Whether these are grants on an object that no entry before made, nor every new database has."""
        elsewhere = entry.dependencies and not self._seen.intersection(entry.dependencies)
        return bool(elsewhere) and entry.schema != "pg_catalog" and not entry.name.startswith("SCHEMA ")


class Keeps(Protocol):
    """Decides which entries of a dump are restored."""

    def keep(self, entry: Entry) -> bool: ...


def load(
    programs: Programs,
    parameters: Mapping[str, Any],
    plain: Iterable[bytes],
    around: Keeps,
    *,
    without_tablespaces: bool = False,
    before_rows: bytes = b"",
) -> Found:
    """Run the dump's SQL, stopping at the first error; returns what was read, DDL of left-out entries included.

    `before_rows` is SQL to run once, between the tables and their first rows.
    """
    reader = PlainDumpReader(keep=around.keep, collect_ddl=True)

    def passed() -> Iterator[bytes]:
        waiting = before_rows
        for chunk in plain:
            for piece in reader.feed(chunk):
                if waiting and piece.startswith(_HEADER) and b"; Type: TABLE DATA; " in piece:
                    yield waiting
                    waiting = b""
                if without_tablespaces and piece.startswith(b"SET default_tablespace"):
                    yield b"SET default_tablespace = '';\n"
                else:
                    yield piece
        reader.finish()

    logical.load(programs, parameters, passed())
    return reader.found


def property_statements(script: str, old_name: str, name: str) -> list[str]:
    """The statements of `<id>.database.sql.gz` for a database that is called `name` now, but for its creation."""
    reader = PlainDumpReader(passing=False, collect_ddl=True)
    reader.feed(script.encode())
    reader.finish()
    old, new = _identifier(old_name), '"' + name.replace('"', '""') + '"'
    pattern = re.compile(rf"\bDATABASE {old}(?=[ ;])")
    return [
        pattern.sub(lambda _: f"DATABASE {new}", statement, count=1)
        for _, text in reader.found.ddl
        for statement in statements(text)
        if statement.startswith(("ALTER ", "COMMENT ", "GRANT ", "REVOKE ", "SECURITY LABEL "))
    ]


def _identifier(name: str) -> str:
    quoted = re.escape('"' + name.replace('"', '""') + '"')
    return f"(?:{re.escape(name)}|{quoted})"
