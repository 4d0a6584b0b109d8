"""Source against restored copy: three verdicts, told apart."""

from collections.abc import Iterable, Mapping, Sequence
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
    source: Mapping[str, object], restored: Mapping[str, object], uncompared: Mapping[str, str]
) -> list[Finding]:
    """Each subject of either side, in order; `uncompared` says which cannot be compared, and why.

    A subject that is on one side only differs, and so does one whose value is None: nothing unknown is equal.
    """
    findings = []
    for subject in sorted({*source, *restored, *uncompared}):
        left, right = source.get(subject), restored.get(subject)
        if subject in uncompared:
            verdict, why = Verdict.UNCOMPARED, uncompared[subject]
        elif left is not None and left == right:
            verdict, why = Verdict.MATCHES, ""
        else:
            verdict, why = Verdict.DIFFERS, _difference(left, right)
        findings.append(Finding(subject, _text(left), _text(right), verdict, why))
    return findings


def overall(findings: Iterable[Finding]) -> Verdict:
    """The worst of the verdicts; of nothing at all: UNCOMPARED."""
    verdicts = {finding.verdict for finding in findings}
    for verdict in (Verdict.DIFFERS, Verdict.UNCOMPARED, Verdict.MATCHES):
        if verdict in verdicts:
            return verdict
    return Verdict.UNCOMPARED


def tally(findings: Sequence[Finding]) -> str:
    """`41 match, 1 does not match, 2 could not be compared`, without the zeroes."""
    words = {Verdict.MATCHES: "match", Verdict.DIFFERS: "do not match", Verdict.UNCOMPARED: "could not be compared"}
    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in words}
    return (
        ", ".join(f"{counts[verdict]:,} {words[verdict]}" for verdict in words if counts[verdict]) or "nothing compared"
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _difference(left: object, right: object) -> str:
    if left is None:
        return "not in the source"
    if right is None:
        return "not in the restored copy"
    if isinstance(left, int) and isinstance(right, int):
        return f"{right - left:+,} rows"
    return "differs"
