"""A comparison that is generous calls a lost table proven."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.comparison import Finding, Verdict, compare, lines_apart, overall, rows_apart, tally

sides = st.dictionaries(st.sampled_from("abcde"), st.none() | st.integers(0, 3), max_size=5)
reasons = st.dictionaries(st.sampled_from("abcdef"), st.just("no such extension"), max_size=3)


@given(sides, sides, reasons)
def test_only_equal_known_values_match_and_no_subject_is_lost(
    source: dict[str, int | None], restored: dict[str, int | None], uncompared: dict[str, str]
) -> None:
    findings = compare(source, restored, uncompared)
    assert {finding.subject for finding in findings} == {*source, *restored, *uncompared}
    for finding in findings:
        left, right = source.get(finding.subject), restored.get(finding.subject)
        if finding.verdict is Verdict.MATCHES:
            assert left is not None
            assert left == right
            assert not finding.why
        else:
            assert finding.why
        assert (finding.verdict is Verdict.UNCOMPARED) == (finding.subject in uncompared)


def test_unknown_is_never_equal_to_unknown() -> None:
    assert compare({"t": None}, {"t": None}, {})[0].verdict is Verdict.DIFFERS


def test_a_table_on_one_side_only_differs() -> None:
    lost, extra = compare({"a lost": 1}, {"b extra": 1}, {})
    assert (lost.verdict, lost.why) == (Verdict.DIFFERS, "not in the restored copy")
    assert (extra.verdict, extra.why) == (Verdict.DIFFERS, "not in the source")


def test_nothing_compared_proves_nothing() -> None:
    assert compare({}, {}, {}) == []
    assert overall([]) is Verdict.UNCOMPARED
    assert tally([]) == "nothing compared"


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        ([Verdict.MATCHES, Verdict.MATCHES], Verdict.MATCHES),
        ([Verdict.MATCHES, Verdict.UNCOMPARED], Verdict.UNCOMPARED),
        ([Verdict.UNCOMPARED, Verdict.DIFFERS, Verdict.MATCHES], Verdict.DIFFERS),
    ],
)
def test_the_worst_verdict_is_the_whole_one(verdicts: list[Verdict], worst: Verdict) -> None:
    assert overall(Finding("t", "1", "1", verdict) for verdict in verdicts) is worst


def test_a_person_reads_how_much_is_missing() -> None:
    (finding,) = compare({"t": 12_345}, {"t": 12_000}, {}, shown=lambda n: f"{n:,}", difference=rows_apart)
    assert finding == Finding("t", "12,345", "12,000", Verdict.DIFFERS, "-345 rows")
    assert lines_apart("a\nb\nc", "a\nB\nc").splitlines() == ["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]
    findings = compare({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 1}, {"c": "why"})
    assert tally(findings) == "1 match, 1 differ, 1 could not be compared"
