"""A judgement as it is kept: whole beside the manifest; in the chain of evidence its verdict and what differed."""

from typing import Any

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.operations.proofs import digested
from desbuquei_backups.validation.judge import Judgement

_MOST = 20
_LONGEST = 200


def shortened(judgement: Judgement) -> dict[str, Any]:
    """Values and reasons that are long are cut: the record of a proof has them whole."""
    differing = [each for each in judgement.findings if each.verdict is Verdict.DIFFERS]
    return {
        "check": judgement.check,
        "verdict": judgement.verdict.value,
        "summary": _cut(judgement.summary),
        "counts": {verdict.value: sum(f.verdict is verdict for f in judgement.findings) for verdict in Verdict},
        "differing": [_finding(each) for each in differing[:_MOST]],
        **({"not shown": len(differing) - _MOST} if len(differing) > _MOST else {}),
    }


def whole(judgement: Judgement) -> dict[str, Any]:
    """Every finding; texts that are long are there as their SHA-256, as in the record of a proof."""
    return {
        "check": judgement.check,
        "verdict": judgement.verdict.value,
        "summary": judgement.summary,
        "findings": [
            {
                "subject": each.subject,
                "expected": each.source,
                "found": each.restored,
                "verdict": each.verdict.value,
                "why": each.why,
            }
            for each in map(digested, judgement.findings)
        ],
    }


def of_error(check: str, what: str) -> dict[str, Any]:
    """A check that an error proved untrue before it could be judged."""
    return {"check": check, "verdict": Verdict.DIFFERS.value, "summary": _cut(what)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "subject": _cut(finding.subject),
        "expected": _cut(finding.source),
        "found": _cut(finding.restored),
        "why": _cut(finding.why),
    }


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
