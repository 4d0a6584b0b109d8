"""Reading pg_dump's plain format as it streams by: its entries, its COPY blocks, its sequence values, its footer."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from desbuquei_backups.core.manifest import SequenceFacts

_TOC = re.compile(rb"-- TOC entry (\d+) \(class (\d+) OID (\d+)\)")
_DEPENDENCIES = re.compile(rb"-- Dependencies:((?: \d+)+)")
_NAME = re.compile(rb"-- (?:Data for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: (.*)")
_SETVAL = re.compile(r"SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?\d+), (true|false)\);")
_COPY_END = b"\n\\.\n"
# What may open a quoted text in SQL, and what may not: a comment, a name with a dollar in it.
_TOKEN = re.compile(rb"""--|'|"|\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$|[A-Za-z_\x80-\xff][\w$\x80-\xff]*""")
# What pg_dump says between entries, for the entries that follow: it must pass even where an entry is left out.
_SESSION = (b"SET default_tablespace", b"SET default_table_access_method", b"SELECT pg_catalog.set_config(")
_FOOTER = b"-- PostgreSQL database dump complete\n"
# Kinds of entries that hold data: they are compared as data.
DATA_KINDS = frozenset(
    {"TABLE DATA", "SEQUENCE SET", "BLOB", "BLOBS", "BLOB METADATA", "LARGE OBJECT", "MATERIALIZED VIEW DATA"}
)
_CLOCK = (b"-- Started on", b"-- Completed on")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the dump: its number, the catalog and OID of its object, and how the dump names it.

    Rows have class 0 and the OID of their table; comments and grants have neither, and depend on their object's number.
    """

    number: int
    class_oid: int
    oid: int
    dependencies: tuple[int, ...]
    name: str
    kind: str
    schema: str
    owner: str


@dataclass(slots=True)
class Found:
    """What was seen: by table OID, the rows of its COPY blocks; sequences; views refreshed; DDL if asked for.

    `objects`: those that have an entry, by catalog and OID.
    """

    rows: dict[int, int] = field(default_factory=dict)
    sequences: list[SequenceFacts] = field(default_factory=list)
    ddl: list[tuple[Entry, str]] = field(default_factory=list)
    refreshed: list[Entry] = field(default_factory=list)
    objects: set[tuple[int, int]] = field(default_factory=set)
    complete: bool = False


class PlainDumpReader:
    """A streaming reader of `pg_dump --format=plain --verbose`.

    `feed` takes bytes as they come and returns those to pass on: all of them, less the entries that `keep` refuses.
    `found.complete` is true only when the footer was the last thing in the stream, with the head's restrict token.
    Memory stays at one chunk, whatever the length of a row.
    """

    def __init__(
        self,
        *,
        keep: Callable[[Entry], bool] = lambda _: True,
        passing: bool = True,
        count_rows: bool = True,
        collect_ddl: bool = False,
    ) -> None:
        self.found = Found()
        self._keep, self._passing, self._count_rows, self._collect_ddl = keep, passing, count_rows, collect_ddl
        self._passed: list[bytes] = []
        self._line_start = b""  # an unfinished line outside COPY
        self._tail = b""  # the last bytes seen inside COPY, where the end of the block may have begun
        self._copying = False
        self._entry: Entry | None = None
        self._kept = True
        self._quote = b""  # what ends the text that is open: a function's body, a comment; nothing in it is pg_dump's
        self._header: list[bytes] = []
        self._text: list[bytes] = []
        self._tablespace = b""
        self._restrict = self._unrestrict = b""
        self._begun = self._footer = False

    def feed(self, chunk: bytes) -> list[bytes]:
        self._passed, position = [], 0
        while position < len(chunk):
            position = self._rows(chunk, position) if self._copying else self._line(chunk, position)
        return self._passed

    def finish(self) -> None:
        """The stream has ended."""
        self._close_entry()
        whole = self._footer and not self._copying and not self._line_start
        self.found.complete = whole and self._restrict == self._unrestrict

    def _rows(self, chunk: bytes, position: int) -> int:
        data = self._tail + (chunk[position:] if position else chunk)
        end = _find_copy_end(data)
        stop = len(data) if end < 0 else end + len(_COPY_END)
        taken = stop - len(self._tail)
        if self._passing and self._kept:
            self._passed.append(chunk[position : position + taken])
        # Line ends in the new tail are counted with the next chunk; the one that ends the COPY line stands for a row.
        self._tail = data[stop - 3 : stop] if end < 0 and stop > 3 else data if end < 0 else b""
        if self._count_rows and self._entry is not None:
            seen = data.count(b"\n", 0, stop - len(self._tail) if end < 0 else end)
            self.found.rows[self._entry.oid] = self.found.rows.get(self._entry.oid, 0) + seen
        self._copying = end < 0
        return position + taken

    def _line(self, chunk: bytes, position: int) -> int:
        end = chunk.find(b"\n", position) + 1
        if not end:
            self._line_start += chunk[position:]
            return len(chunk)
        line = self._line_start + chunk[position:end]
        self._line_start = b""
        if self._header:
            self._header.append(line)
            if line == b"--\n":
                self._open_entry()
            elif not line.startswith(b"-- ") or len(self._header) > 5:
                self._flush_header()
        elif line == b"--\n" and not self._quote:
            self._header = [line]
        else:
            self._take(line)
        return end

    def _open_entry(self) -> None:
        header = b"".join(self._header)
        if self._header[1] == _FOOTER:
            self._close_entry()
            self._entry, self._kept, self._footer = None, True, True
            self._pass(header)
            self._header = []
            return
        toc, name = _TOC.search(header), _NAME.search(header)
        if toc is None or name is None:
            self._flush_header()
            return
        self._close_entry()
        dependencies = _DEPENDENCIES.search(header)
        named = [group.decode(errors="replace") for group in name.groups()]
        self._entry = Entry(
            number=int(toc[1]),
            class_oid=int(toc[2]),
            oid=int(toc[3]),
            dependencies=tuple(int(number) for number in dependencies[1].split()) if dependencies else (),
            name=named[0],
            kind=named[1],
            schema=named[2],
            owner=named[3],
        )
        if self._entry.class_oid:
            self.found.objects.add((self._entry.class_oid, self._entry.oid))
        self._kept, self._begun, self._footer = self._keep(self._entry), True, False
        if self._kept:
            self._pass(header)
        self._header = []

    def _flush_header(self) -> None:
        lines, self._header = self._header, []
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        quoted, self._quote = bool(self._quote), _quote_after(line, self._quote)
        session = line.startswith(_SESSION) and not quoted
        if self._kept or session:
            self._pass(line)
        # The same words inside an entry, in a function's body say, are not pg_dump's own.
        if line.startswith(b"\\restrict ") and not self._begun:
            self._restrict = line.split()[1]
        elif line.startswith(b"\\unrestrict ") and self._footer:
            self._unrestrict = line.split()[1]
        elif line.strip():
            self._footer = False
        if session or (line.startswith(_CLOCK) and not quoted):
            if line.startswith(b"SET default_tablespace"):
                self._tablespace = line.partition(b"= ")[2].strip(b"\n;'")
        elif self._entry is not None:
            if self._collect_ddl or self._entry.kind == "SEQUENCE SET":
                self._text.append(line)
            if self._entry.kind == "TABLE DATA" and line.endswith(b" FROM stdin;\n"):
                self._copying, self._tail = True, b"\n"
                self.found.rows.setdefault(self._entry.oid, 0)

    def _pass(self, data: bytes) -> None:
        if self._passing:
            self._passed.append(data)

    def _close_entry(self) -> None:
        entry, self._text, text = self._entry, [], b"".join(self._text).decode(errors="replace").strip()
        if entry is None:
            return
        if entry.kind == "MATERIALIZED VIEW DATA":
            self.found.refreshed.append(entry)
        if entry.kind == "SEQUENCE SET" and (found := _SETVAL.search(text)):
            name = found[1].replace("''", "'")
            self.found.sequences.append(
                SequenceFacts(name=name, last_value=int(found[2]), is_called=found[3] == "true")
            )
        if self._collect_ddl and entry.kind not in DATA_KINDS:
            if self._tablespace and entry.kind in ("TABLE", "INDEX", "MATERIALIZED VIEW", "CONSTRAINT"):
                text += f"\n-- in tablespace {self._tablespace.decode(errors='replace')}"
            self.found.ddl.append((entry, text))


def _quote_after(line: bytes, quote: bytes) -> bytes:
    """The quote that is open at the end of a line of SQL: `'`, `"`, `$tag$` or none; `quote` was open at its start.

    A doubled quote closes and opens again; pg_dump doubles the backslashes of E'' too, so that none hides a quote.
    """
    position = 0
    if not quote and line.startswith(b"\\"):
        return b""  # psql's own
    while True:
        if quote:
            end = line.find(quote, position)
            if end < 0:
                return quote
            position, quote = end + len(quote), b""
        found = _TOKEN.search(line, position)
        if found is None or found[0] == b"--":
            return b""
        position = found.end()
        if found[0][:1] in (b"'", b'"', b"$"):
            quote = found[0]


def _find_copy_end(data: bytes) -> int:
    """Where `_COPY_END` begins in `data`, or -1. Backslashes are rare in most data, and found ten times faster."""
    at = -1
    for _ in range(64):
        at = data.find(b"\\", at + 1)
        if at < 0:
            return -1
        if data[at - 1 : at + 3] == _COPY_END:
            return at - 1
    return data.find(_COPY_END, max(at - 3, 0))
