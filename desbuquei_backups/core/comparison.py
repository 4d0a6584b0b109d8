"""Source against restored copy: three verdicts, told apart."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a comparison found. UNCOMPARED is neither good nor bad: it says why nothing can be said."""

    MATCHES = "matches"
    DIFFERS = "does not match"
    UNCOMPARED = "could not be compared"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing compared. `source` and `restored` are as a person reads them; None is: not there."""

    subject: str
    source: str | None
    restored: str | None
    verdict: Verdict
    why: str = ""


def compare(
    source: Mapping[str, object],
    restored: Mapping[str, object],
    uncompared: Mapping[str, str],
    *,
    shown: Callable[[object], str] = str,
    difference: Callable[[object, object], str] = lambda left, right: "differs",  # noqa: ARG005
) -> list[Finding]:
    """Each subject of either side, in order; `uncompared` says which cannot be compared, and why.

    A subject that is on one side only differs, and so does one whose value is None: nothing unknown is equal. `shown`
    writes a value for a person, `difference` says how two of them differ.
    """
    findings = []
    for subject in sorted({*source, *restored, *uncompared}):
        left, right = source.get(subject), restored.get(subject)
        if subject in uncompared:
            verdict, why = Verdict.UNCOMPARED, uncompared[subject]
        elif left is None or right is None:
            verdict = Verdict.DIFFERS
            lost, there = ("the source", source) if left is None else ("the restored copy", restored)
            why = f"not known of {lost}" if subject in there else f"not in {lost}"
        elif left == right:
            verdict, why = Verdict.MATCHES, ""
        else:
            verdict, why = Verdict.DIFFERS, difference(left, right)
        texts = [None if value is None else shown(value) for value in (left, right)]
        findings.append(Finding(subject, texts[0], texts[1], verdict, why))
    return findings


def rows_apart(left: object, right: object) -> str:
    """`-3 rows`: how many rows the right count has more than the left."""
    return f"{int(str(right)) - int(str(left)):+,} rows"


def lines_apart(left: object, right: object) -> str:
    """The lines in which two texts differ, as a unified diff without its head."""
    lines = difflib.unified_diff(str(left).splitlines(), str(right).splitlines(), lineterm="", n=1)
    return "\n".join(list(lines)[2:])


def overall(findings: Iterable[Finding]) -> Verdict:
    """The worst of the verdicts; of nothing at all: UNCOMPARED."""
    verdicts = {finding.verdict for finding in findings}
    for verdict in (Verdict.DIFFERS, Verdict.UNCOMPARED, Verdict.MATCHES):
        if verdict in verdicts:
            return verdict
    return Verdict.UNCOMPARED


def tally(findings: Sequence[Finding]) -> str:
    """`41 match, 1 differ, 2 could not be compared`, without the zeroes."""
    words = {Verdict.MATCHES: "match", Verdict.DIFFERS: "differ", Verdict.UNCOMPARED: "could not be compared"}
    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in words}
    return (
        ", ".join(f"{counts[verdict]:,} {words[verdict]}" for verdict in words if counts[verdict]) or "nothing compared"
    )
