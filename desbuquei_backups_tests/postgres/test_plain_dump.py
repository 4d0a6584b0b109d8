"""If a dump is read wrong, half a dump passes for a whole one, or rows are lost from a restored copy unseen."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.manifest import SequenceFacts
from desbuquei_backups.postgres.plain_dump import Found, PlainDumpReader
from desbuquei_backups_tests.postgres.dumps import FOOTER, UNRESTRICT, entry, head, rows, setval, whole

# What COPY can write in a row: no newline, and a backslash only before another character.
_PIECES = [b"a", b"\t", b"\\\\", b"\\\\.", b"\\N", b"\\n", b".", b"\\.x", b"--", b"COPY t FROM stdin;", "é🗄".encode()]
lines = st.lists(st.sampled_from(_PIECES), max_size=6).map(b"".join).filter(lambda line: line != b"\\.")
tables = st.lists(st.lists(lines, max_size=6), max_size=4)
cuts = st.lists(st.integers(0, 4000), max_size=12)


def read(chunks: Iterable[bytes], **options: object) -> tuple[Found, bytes]:
    reader = PlainDumpReader(collect_ddl=True, **options)
    passed = b"".join(piece for chunk in chunks for piece in reader.feed(chunk))
    reader.finish()
    return reader.found, passed


def split(data: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


@given(tables, cuts)
def test_rows_are_counted_and_passed_on_however_the_stream_is_cut(
    content: list[list[bytes]], places: list[int]
) -> None:
    dump = whole(*(rows(number, number + 100, table) for number, table in enumerate(content)))
    found, passed = read(split(dump, places))
    assert found.complete
    assert found.rows == {number + 100: len(table) for number, table in enumerate(content)}
    assert passed == dump


@given(cuts)
def test_what_is_found_is_the_same_however_the_stream_is_cut(places: list[int]) -> None:
    dump = whole(
        entry(1, "CREATE TABLE public.t (\n    a integer\n);"),
        setval(2, "public.s", -7, called=True),
        rows(3, 100, [b"1", b"2"]),
        entry(4, "REFRESH MATERIALIZED VIEW public.v;", kind="MATERIALIZED VIEW DATA", class_oid=0, oid=9),
        entry(5, "CREATE INDEX i ON public.t (a);", kind="INDEX"),
    )
    assert read(split(dump, places)) == read([dump])


@given(cuts, st.sets(st.sampled_from([1, 2, 3])))
def test_an_entry_left_out_takes_all_of_itself_and_nothing_else(places: list[int], refused: set[int]) -> None:
    parts = {1: entry(1, "CREATE TABLE public.a ();"), 2: rows(2, 100, [b"1", b"\\\\."]), 3: entry(3, "SELECT 1;")}
    found, passed = read(split(whole(*parts.values()), places), keep=lambda entry: entry.number not in refused)
    expected = whole(*(part for number, part in parts.items() if number not in refused))
    if 3 in refused:  # the line before the footer stands in the last entry
        expected = expected.replace(b"-- Completed on 2026-02-02 02:10:01 UTC\n\n", b"")
    assert passed == expected
    assert found.complete


def test_a_dump_truncated_at_any_byte_is_not_complete() -> None:
    dump = whole(entry(1, "CREATE TABLE public.t ();"), rows(2, 100, [b"1"]), setval(3, "public.s", 1, called=True))
    # The last newline after the token carries nothing.
    for length in range(len(dump) - 1):
        found, _ = read([dump[:length]])
        assert not found.complete, dump[:length][-60:]
    assert read([dump])[0].complete


@pytest.mark.parametrize(
    ("dump", "complete"),
    [
        (head(None) + FOOTER, True),  # before August 2025 there was no token
        (head() + FOOTER + UNRESTRICT, True),
        (head() + FOOTER, False),
        (head() + FOOTER + UNRESTRICT.replace("x", "y"), False),
        (head(None) + FOOTER + UNRESTRICT, False),
        (head() + FOOTER + UNRESTRICT + "more\n", False),
        (head() + FOOTER + UNRESTRICT + entry(1, "SELECT 1;"), False),
        (head() + FOOTER + UNRESTRICT + "no line end", False),
        ("", False),
        (FOOTER, True),
    ],
)
def test_only_the_footer_with_the_heads_token_at_the_very_end_is_an_end(dump: str, complete: bool) -> None:
    assert read([dump.encode()])[0].complete is complete


BODY = """CREATE FUNCTION public.f() RETURNS text AS $$
COPY public.t (a) FROM stdin;
1
\\.
--
-- PostgreSQL database dump complete
--
\\unrestrict abc
\\restrict abc
SELECT pg_catalog.setval('public.fake', 9, true);
--
-- TOC entry 99 (class 0 OID 555)
-- Dependencies: 12
-- Data for Name: fake; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.fake (a) FROM stdin;
$$;"""


@given(cuts)
def test_a_function_body_that_looks_like_a_dump_is_only_a_body(places: list[int]) -> None:
    dump = whole(entry(1, BODY, kind="FUNCTION", class_oid=1255), rows(2, 100, [b"1"]))
    found, passed = read(split(dump, places))
    assert (found.rows, found.sequences, found.complete, passed) == ({100: 1}, [], True, dump)
    assert found.ddl[0][1] == BODY
    cut, _ = read([dump[: dump.index(b"\\unrestrict abc")]])
    assert not cut.complete


@pytest.mark.parametrize(
    "text",
    [
        "COMMENT ON TABLE public.t IS 'it''s\n{fake}';",
        "COMMENT ON TABLE public.t IS E'a \\\\\n{fake}';",
        'CREATE VIEW public.v AS SELECT 1 AS "odd ""\n{fake}";',
        "CREATE FUNCTION public.f() AS $_$ it's $$ \"\n{fake}$_$;",
        "CREATE FUNCTION public.a$b$() AS $ação$ $\n{fake}$ação$;",
        "-- it's a comment\nCOMMENT ON TABLE public.t IS '\n{fake}';",
    ],
)
def test_no_quoted_text_passes_for_an_entry(text: str) -> None:
    fake = (
        "--\n-- TOC entry 9 (class 0 OID 5)\n-- Data for Name: x; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n"
        "COPY x (a) FROM stdin;\n"
    )
    dump = whole(entry(1, text.replace("{fake}", fake), kind="COMMENT"), rows(2, 100, [b"1"]))
    found, passed = read([dump])
    assert (found.rows, found.complete, passed) == ({100: 1}, True, dump)
    assert [one.number for one, _ in found.ddl] == [1]


def test_a_quote_in_the_name_of_an_object_opens_no_text() -> None:
    dump = whole(entry(1, "SELECT 1;", name="d'água $$ \""), rows(2, 100, [b"1"]))
    assert read([dump])[0].rows == {100: 1}


def test_tables_without_rows_or_columns_are_counted_too() -> None:
    # A table without columns writes one empty line for each row.
    dump = whole(rows(1, 100, []), rows(2, 101, [b"", b"", b""]))
    assert read([dump])[0].rows == {100: 0, 101: 3}


def test_sequences_are_read_with_names_negatives_and_unused_ones() -> None:
    dump = whole(
        setval(1, "public.\"d''água; x\"", 12, called=True),
        setval(2, "public.s", -9_223_372_036_854_775_808, called=False),
    )
    assert read([dump])[0].sequences == [
        SequenceFacts(name='public."d\'água; x"', last_value=12, is_called=True),
        SequenceFacts(name="public.s", last_value=-9_223_372_036_854_775_808, is_called=False),
    ]


def test_session_settings_pass_where_their_entry_does_not() -> None:
    setting = "SET default_tablespace = frio;\n"
    dump = whole(entry(1, "CREATE TABLE public.a ();\n\n" + setting), entry(2, "CREATE TABLE public.b ();"))
    found, passed = read([dump], keep=lambda entry: entry.number != 1)
    assert setting.encode() in passed
    assert b"public.a" not in passed
    assert found.ddl[-1][1].endswith("-- in tablespace frio")


def test_the_ddl_of_a_left_out_entry_is_still_known() -> None:
    found, _ = read([whole(entry(1, "CREATE TABLE public.a ();"))], keep=lambda _: False)
    assert [text for _, text in found.ddl] == ["CREATE TABLE public.a ();"]


def test_a_row_longer_than_any_chunk_is_one_row() -> None:
    dump = whole(rows(1, 100, [b"x" * 5_000_000, b"\\\\" * 500_000, b"y"]))
    found, passed = read(split(dump, range(0, len(dump), 65_536)))
    assert found.rows == {100: 3}
    assert passed == dump
