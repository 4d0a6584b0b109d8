"""An expectation that passes whatever it is asked is worse than none."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from desbuquei_backups.core.answers import Rows, answer
from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.expectation_names import NAMES
from desbuquei_backups.core.invariants import TAKEN, Invariant
from desbuquei_backups.validation import checks
from desbuquei_backups.validation.expectations import meets

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
AT = datetime(2026, 2, 2, 2, 10, tzinfo=UTC)
ORDERS = Rows(["id", "valor"], [(1, Decimal("2.50")), (2, Decimal("-1")), (2, None)], 3)


def asked(expectation: str, **kwargs: object) -> Invariant:
    return Invariant(sql="select 1", expectation=expectation, kwargs=kwargs)


@pytest.mark.parametrize(
    ("invariant", "verdict", "why"),
    [
        (asked("expect_column_values_to_be_between", column="valor", min_value=-2), Verdict.MATCHES, "0 of 3 values"),
        (
            asked("expect_column_values_to_be_between", column="valor", min_value=0),
            Verdict.DIFFERS,
            "1 of 3 values: -1",
        ),
        (asked("expect_column_values_to_be_unique", column="id"), Verdict.DIFFERS, "2 of 3 values: 2, 2"),
        (asked("expect_column_values_to_not_be_null", column="valor"), Verdict.DIFFERS, "1 of 3 values"),
        (asked("expect_column_sum_to_be_between", column="id", max_value=4), Verdict.DIFFERS, "observed: 5"),
        (asked("expect_table_row_count_to_equal", value=3), Verdict.MATCHES, "observed: 3"),
        (asked("expect_column_values_to_be_unique", column="nome"), Verdict.UNCOMPARED, "nome"),
        (asked("expect_column_values_to_be_unique"), Verdict.UNCOMPARED, "column"),
        (asked("expect_table_row_count_to_equal", value="muitas", rows=1), Verdict.UNCOMPARED, "expect_table"),
    ],
)
def test_great_expectations_judges_the_whole_result(invariant: Invariant, verdict: Verdict, why: str) -> None:
    finding = meets(invariant, ORDERS)
    assert finding.verdict is verdict
    assert why in finding.why
    assert finding.source == invariant.wanted


@pytest.mark.parametrize("expectation", ["expect_column_values_to_be_unique", "expect_column_max_to_be_between"])
def test_of_an_encrypted_backup_no_value_is_repeated(expectation: str) -> None:
    kwargs = {"max_value": 1} if expectation.endswith("between") else {}
    finding = meets(asked(expectation, column="c", **kwargs), Rows(["c"], [(4711,), (4711,)], 2, secret=True))
    assert finding.verdict is Verdict.DIFFERS
    assert "4711" not in repr(finding)


def test_of_an_empty_result_no_column_is_good() -> None:
    nothing = Rows(["valor"], [], 0)
    between = asked("expect_column_values_to_be_between", column="valor", min_value=0)
    assert meets(between, nothing).verdict is Verdict.UNCOMPARED
    assert meets(asked("expect_table_row_count_to_equal", value=0), nothing).verdict is Verdict.MATCHES
    assert meets(asked("expect_table_row_count_to_equal", value=1), nothing).verdict is Verdict.DIFFERS


def test_the_names_that_are_known_at_load_are_great_expectations_own() -> None:
    from great_expectations import expectations

    theirs = {getattr(kind, "expectation_type", None) for kind in vars(expectations).values()}
    assert theirs >= NAMES


def test_no_invariant_may_bear_the_name_of_a_check() -> None:
    assert set(checks.DESCRIPTIONS) <= TAKEN


def test_one_that_does_not_hold_is_untrue_and_one_that_was_never_asked_is_not_true() -> None:
    invariant = Invariant(sql="select 1", expect="0 rows")
    answers = [answer("a", invariant, Rows(["id"], [(7,)], 1), AT), answer("b", invariant, Rows(["id"], [], 0), AT)]
    found = checks.invariants_hold(answers, ["a", "b", "c"])
    assert [(each.check, each.verdict, each.summary) for each in found] == [
        ("a", Verdict.DIFFERS, "0 rows: +1 rows:"),
        ("b", Verdict.MATCHES, "0 rows: 0 rows"),
        ("c", Verdict.UNCOMPARED, "an answer: it was not asked"),
    ]
