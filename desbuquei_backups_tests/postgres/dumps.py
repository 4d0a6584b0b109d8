"""Dumps as `pg_dump --format=plain --verbose` writes them, made by hand so that a test may spoil them."""

from collections.abc import Sequence

TOKEN = "x" * 63
FOOTER = "--\n-- PostgreSQL database dump complete\n--\n\n"
UNRESTRICT = f"\\unrestrict {TOKEN}\n\n"


def head(token: str | None = TOKEN) -> str:
    restrict = f"\\restrict {token}\n\n" if token else ""
    return f"--\n-- PostgreSQL database dump\n--\n\n{restrict}-- Started on 2026-02-02 02:10:00 UTC\n\nSET x = 0;\n\n"


def entry(number: int, text: str, *, kind: str = "TABLE", name: str = "t", oid: int = 0, class_oid: int = 1259) -> str:
    return (
        f"--\n-- TOC entry {number} (class {class_oid} OID {oid})\n"
        f"-- Name: {name}; Type: {kind}; Schema: public; Owner: postgres\n--\n\n{text}\n\n"
    )


def rows(number: int, oid: int, lines: Sequence[bytes]) -> bytes:
    """The rows of a table as COPY writes them; each line is one row."""
    header = (
        f"--\n-- TOC entry {number} (class 0 OID {oid})\n-- Dependencies: 12\n"
        f"-- Data for Name: t{oid}; Type: TABLE DATA; Schema: public; Owner: postgres\n--\n\n"
        f"COPY public.t{oid} (a) FROM stdin;\n"
    )
    return header.encode() + b"".join(line + b"\n" for line in lines) + b"\\.\n\n\n"


def setval(number: int, name: str, value: int, *, called: bool) -> str:
    text = f"SELECT pg_catalog.setval('{name}', {value}, {str(called).lower()});"
    return entry(number, text, kind="SEQUENCE SET", name="s", class_oid=0)


def whole(*parts: str | bytes) -> bytes:
    """A complete dump of these parts."""
    return b"".join(
        part.encode() if isinstance(part, str) else part
        for part in (head(), *parts, "-- Completed on 2026-02-02 02:10:01 UTC\n\n", FOOTER, UNRESTRICT)
    )
