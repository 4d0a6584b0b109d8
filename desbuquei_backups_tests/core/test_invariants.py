"""A question that is misread, or judged generously, is an alarm that never rings."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from desbuquei_backups.core.answers import Rows, answer, taken_over
from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.invariants import Invariant, load_invariants
from desbuquei_backups_tests.invariants import asked

AT = datetime(2026, 2, 2, 2, 10, 5, tzinfo=UTC)


def judged(expect: str, *rows: tuple[object, ...], count: int | None = None) -> tuple[Verdict, str]:
    columns = [f"c{number}" for number in range(len(rows[0]) if rows else 1)]
    found = Rows(columns, rows, len(rows) if count is None else count)
    (finding,) = answer("all_is_well", Invariant(sql="select 1", expect=expect), found, AT).findings
    return finding.verdict, finding.why


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[invariants.Bad]\nsql = 'select 1'\nexpect = '1'", "line 1, invariants.Bad"),
        ("[invariants.schema_matches]\nsql = 'select 1'\nexpect = '1'", "line 1, .*has already"),
        ("[invariants.a]\nsql = 'select 1'\nexpect = 'few rows'", "line 3, invariants.a.expect: .*write it like"),
        ("[invariants.a]\nsql = 'select 1'\nexpect = 'between 3 and 1'", "line 3, .*nothing is between 3 and 1"),
        ("[invariants.a]\nsql = 'select 1'\nexpect = 'no older than 2 months'", "line 3, .*calendar period"),
        ("[invariants.a]\nsql = 'select 1'", "line 1, invariants.a: .*either expect or expectation"),
        ("[invariants.a]\nsql = 'select 1'\nexpect = '1'\nexpectation = 'expect_column_to_exist'", "line 1, .*either"),
        ("[invariants.a]\nsql = 'select 1'\nexpectation = 'expect_wonders'", "line 3, .*none of that name"),
        ("[invariants.a]\nsql = 'select 1'\nexpect = '1'\nkwargs = { a = 1 }", "line 1, .*kwargs are an expectation's"),
        ("[invariants.a]\nsql = ' '\nexpect = '1'", "line 2, .*no question"),
        ("[invariants.a]\nsql = 'select now()'\nexpect = '1'", "line 2, .*now is when it is restored.*:taken_at"),
        ("[invariants.a]\nsql = 'select CURRENT_DATE - 1'\nexpect = '1'", "line 2, .*CURRENT_DATE"),
        ("[invariants.a]\nsql = 'select 1'\nexpect = '1'\nexpects = '1'", "line 4, invariants.a.expects"),
        ("[invariants.a]\nsql = 'select 1'\nexpect = '1'\ntimeout = 'soon'", "line 4, .*number and a unit"),
        ("[invariants]", "line 1, invariants: .*at least 1"),
        ("invariants\n", "not TOML.*line 1"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_reason(tmp_path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){words}") as caught:
        asked(tmp_path, text)
    assert "invariants.toml" in caught.value.what


def test_a_file_that_is_not_there_names_the_setting(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere") as caught:
        load_invariants(tmp_path / "nowhere")
    assert "DESBUQUEI_INVARIANTS" in caught.value.remedy


@pytest.mark.parametrize(
    ("expect", "rows", "verdict", "why"),
    [
        ("0 rows", [], Verdict.MATCHES, "0 rows"),
        ("0 rows", [(7,), (None,)], Verdict.DIFFERS, "+2 rows:\nc0=7\nc0=NULL"),
        ("1 row", [(7,)], Verdict.MATCHES, "1 row"),
        (">= 2 rows", [(7,)], Verdict.DIFFERS, "-1 rows:\nc0=7"),
        ("between 1 and 2 rows", [(1,), (2,), (3,)], Verdict.DIFFERS, "+1 rows:\nc0=1\nc0=2\nc0=3"),
        (">= 1000", [(1000,)], Verdict.MATCHES, "1000"),
        ("> 1000", [(1000,)], Verdict.DIFFERS, "+0"),
        ("<= 5", [(Decimal("7.25"),)], Verdict.DIFFERS, "+2.25"),
        ("< 5", [(4.5,)], Verdict.MATCHES, "4.5"),
        ("between -1.5 and 10", [(-2,)], Verdict.DIFFERS, "-0.5"),
        ("12", [(12,)], Verdict.MATCHES, "12"),
        ("= 12", [(13,)], Verdict.DIFFERS, "+1"),
        (">= 0", [(Decimal("NaN"),)], Verdict.DIFFERS, "it is not a number"),
        (">= 0", [(None,)], Verdict.DIFFERS, "it returned no value"),
        (">= 0", [], Verdict.DIFFERS, "it returned no value"),
        (">= 0", [("12",)], Verdict.UNCOMPARED, "12 is no number"),
        (">= 0", [(True,)], Verdict.UNCOMPARED, "True is no number"),
        (">= 0", [(1,), (2,)], Verdict.UNCOMPARED, "it returned 2 rows of 1 column, and one value is asked for"),
        (">= 0", [(1, 2)], Verdict.UNCOMPARED, "it returned 1 row of 2 columns, and one value is asked for"),
        ("no older than 25 hours", [(AT - timedelta(hours=25),)], Verdict.MATCHES, "1 d 1 h old at the snapshot"),
        ("no older than 25 hours", [(AT - timedelta(hours=27, minutes=4),)], Verdict.DIFFERS, "2 h 4 min too old"),
        ("no older than 25 hours", [(datetime(2026, 2, 2, 1),)], Verdict.MATCHES, "1 h 10 min old"),  # noqa: DTZ001
        ("no older than 25 hours", [(date(2026, 1, 31),)], Verdict.DIFFERS, "2 d 2 h old"),
        ("no older than 1 hour", [(AT + timedelta(days=1),)], Verdict.MATCHES, "in the future"),
        ("no older than 1 hour", [(None,)], Verdict.DIFFERS, "it returned no value"),
        ("no older than 1 hour", [("yesterday",)], Verdict.UNCOMPARED, "no instant"),
    ],
)
def test_each_verdict_says_by_how_much(expect: str, rows, verdict: Verdict, why: str) -> None:
    found = judged(expect, *rows)
    assert found[0] is verdict
    assert why in found[1]


def test_of_many_rows_the_first_are_shown_and_all_are_counted() -> None:
    verdict, why = judged("0 rows", *((number, "x" * 100) for number in range(20)), count=1234)
    assert verdict is Verdict.DIFFERS
    assert why.startswith("+1,234 rows:\nc0=0, c1=xxx")
    assert why.endswith("… and 1,214 more")
    assert max(map(len, why.splitlines())) < 100


def test_of_an_encrypted_backup_no_row_is_repeated_where_it_would_be_kept_in_the_clear() -> None:
    found = Rows(["nome"], [("Ana",)], 1, secret=True)
    (finding,) = answer("a", Invariant(sql="select 1", expect="0 rows"), found, AT).findings
    assert (finding.verdict, finding.restored) == (Verdict.DIFFERS, "1 row")
    assert "Ana" not in repr(finding)


def test_the_instant_of_the_snapshot_is_written_where_it_is_asked_for_and_nowhere_else() -> None:
    sql = """select ':taken_at', "a:taken_at", x::taken_at, $$ :taken_at $$ -- :taken_at
    from t where a < :taken_at and b > :taken_at - interval '1 day' /* now() */ and c = 'now()'"""
    invariant = Invariant(sql=sql, expect="0 rows")
    assert invariant.speaks_of_the_snapshot
    literal = "'2026-02-02T02:10:05+00:00'::timestamptz"
    before, after = sql.split("from t")
    assert invariant.at(AT) == f"{before}from t{after.replace(':taken_at', literal)}"
    assert not Invariant(sql="select ':taken_at'", expect="1").speaks_of_the_snapshot


def test_what_was_found_of_the_same_rows_is_taken_over_and_an_age_is_judged_anew() -> None:
    newest = Invariant(sql="select max(em) from pedidos", expect="no older than 25 hours")
    first = answer("novo", newest, Rows(["max"], [(AT - timedelta(hours=24),)], 1), AT)
    assert first.findings[0].verdict is Verdict.MATCHES
    later = taken_over("novo", newest, first, "hourly-x", AT + timedelta(hours=3))
    assert (later.findings[0].verdict, "2 h too old" in later.findings[0].why) == (Verdict.DIFFERS, True)
    assert taken_over("novo", newest, first, "hourly-x", AT) == first


@pytest.mark.parametrize(
    ("invariant", "hours", "why"),
    [
        (Invariant(sql="select 2", expect="1"), 0, "asked otherwise"),
        (Invariant(sql="select 1", expect="2"), 0, "asked otherwise"),
        (Invariant(sql="select 1 where :taken_at > '2026-01-01'", expect="1"), 1, "whose snapshot is of 2026-02-02"),
    ],
)
def test_nothing_is_claimed_of_a_question_that_was_another_one(invariant: Invariant, hours: int, why: str) -> None:
    known = invariant if hours else Invariant(sql="select 1", expect="1")
    earlier = answer("a", known, Rows(["c"], [(1,)], 1), AT)
    found = taken_over("a", invariant, earlier, "daily-x", AT + timedelta(hours=hours)).findings[0]
    assert found.verdict is Verdict.UNCOMPARED
    assert why in found.why
    never = taken_over("a", invariant, None, "daily-x", AT).findings[0]
    assert (never.verdict, "not asked yet when daily-x" in never.why) == (Verdict.UNCOMPARED, True)
