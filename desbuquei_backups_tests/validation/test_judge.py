"""A judge that is fooled by an empty frame, a NULL or a lost table would turn a lost backup green."""

import pytest

from desbuquei_backups.core.comparison import Finding, Verdict, compare
from desbuquei_backups.core.transport import Transport
from desbuquei_backups.operations.chain_audit import Audited
from desbuquei_backups.validation.checks import connection_is_encrypted, evidence_is_unbroken
from desbuquei_backups.validation.judge import judge

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.mark.parametrize(
    ("source", "restored", "verdict"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, Verdict.MATCHES),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, Verdict.DIFFERS),
        ({"a": 1, "b": 2}, {"a": 1}, Verdict.DIFFERS),
        ({"a": 1}, {"a": 1, "b": 2}, Verdict.DIFFERS),
        ({"a": 1, "b": None}, {"a": 1, "b": None}, Verdict.DIFFERS),
        ({}, {}, Verdict.UNCOMPARED),
    ],
    ids=["equal", "changed", "lost", "surplus", "null on both sides", "nothing at all"],
)
def test_only_what_is_there_and_equal_on_both_sides_matches(
    source: dict[str, object], restored: dict[str, object], verdict: Verdict
) -> None:
    judgement = judge("row_counts_match", compare(source, restored, {}))
    assert judgement.verdict is verdict


@pytest.mark.parametrize(("links", "verdict"), [(0, Verdict.UNCOMPARED), (1, Verdict.MATCHES)])
def test_a_chain_in_which_nothing_was_ever_said_is_not_called_unbroken(links: int, verdict: Verdict) -> None:
    assert evidence_is_unbroken(Audited(start=1, links=links)).verdict is verdict


def test_great_expectations_finds_the_difference_by_itself() -> None:
    judgement = judge("row_counts_match", compare({"a": 1, "b": 2}, {"a": 1, "b": 3}, {}))
    assert judgement.record["success"] is False
    failed = [result for result in judgement.record["results"] if not result["success"]]
    assert [result["expectation_config"]["type"] for result in failed] == ["expect_column_pair_values_to_be_equal"]


def test_what_could_not_be_compared_is_neither_good_nor_bad() -> None:
    findings = compare({"a": 1, "b": 2}, {"a": 1}, {"b": "the server lacks an extension"})
    judgement = judge("content_matches", findings)
    assert judgement.verdict is Verdict.UNCOMPARED
    assert judgement.summary == "1 match, 1 could not be compared"


def test_a_difference_outweighs_what_could_not_be_compared() -> None:
    findings = compare({"a": 1, "b": 2}, {"a": 9}, {"b": "the server lacks an extension"})
    assert judge("content_matches", findings).verdict is Verdict.DIFFERS


def test_two_judges_that_disagree_are_never_green() -> None:
    lying = [Finding("a", "1", "2", Verdict.MATCHES)]
    assert judge("content_matches", lying).verdict is Verdict.DIFFERS


def test_a_subject_counted_twice_is_not_taken_for_two() -> None:
    twice = [Finding("a", "1", "1", Verdict.MATCHES), Finding("a", "1", "1", Verdict.MATCHES)]
    assert judge("content_matches", twice).verdict is Verdict.MATCHES


def test_a_suite_that_cannot_run_takes_back_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = {"success": False, "results": [{"exception_info": {"raised_exception": True, "exception_message": "no"}}]}
    monkeypatch.setattr("desbuquei_backups.validation.judge._validate", lambda check, compared: raised)
    assert judge("checksums_match", compare({"a": 1}, {"a": 2}, {})).verdict is Verdict.DIFFERS
    unsure = judge("checksums_match", compare({"a": 1}, {"a": 1}, {}))
    assert unsure.verdict is Verdict.UNCOMPARED
    assert "could not validate: no" in unsure.summary


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        (Transport.TLS, Verdict.MATCHES),
        (Transport.LOCAL, Verdict.MATCHES),
        (Transport.CLEAR, Verdict.DIFFERS),
        (None, Verdict.UNCOMPARED),
    ],
)
def test_only_a_connection_that_nobody_can_read_is_green(how: Transport | None, verdict: Verdict) -> None:
    assert connection_is_encrypted("S3", how).verdict is verdict
