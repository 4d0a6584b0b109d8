"""How a check's result and a table are shown in Dagster: what is amiss first, and no more than a page can hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.validation.judge import Judgement

MOST_ROWS = 200
_MOST_LETTERS = 2000
_MOST_LETTERS_OF_A_VALUE = 70
_ORDER = {Verdict.DIFFERS: 0, Verdict.UNCOMPARED: 1, Verdict.MATCHES: 2}


def check_result(
    judgement: Judgement,
    *,
    worst: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    asset: dg.AssetKey | None = None,
) -> dg.AssetCheckResult:
    """Green if all matches; `worst` if something does not; a warning where something could not be compared."""
    # Dagster makes a table as wide as its widest row: hundreds that match would push the figures of the one that does
    # not out of sight.
    amiss = sum(finding.verdict is not Verdict.MATCHES for finding in judgement.findings)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=judgement.check,
        passed=judgement.verdict is Verdict.MATCHES,
        severity=worst if judgement.verdict is Verdict.DIFFERS else dg.AssetCheckSeverity.WARN,
        description=judgement.summary,
        metadata={
            "compared": findings_table(judgement.findings, amiss or MOST_ROWS),
            "verdict": judgement.verdict.value,
            **{
                word: sum(finding.verdict is verdict for finding in judgement.findings)
                for word, verdict in (
                    ("match", Verdict.MATCHES),
                    ("do not match", Verdict.DIFFERS),
                    ("could not be compared", Verdict.UNCOMPARED),
                )
            },
            "Great Expectations": dg.MetadataValue.json(dict(judgement.record)),
        },
    )


def failed_check(name: str, why: str, asset: dg.AssetKey | None = None) -> dg.AssetCheckResult:
    """A check whose operation failed before it could be judged: it is not true."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=short(why, keep_lines=True),
        metadata={"error": why},
    )


def skipped_check(name: str, why: str, asset: dg.AssetKey | None = None) -> dg.AssetCheckResult:
    """A check of a slot that was left empty on purpose: there is nothing to judge."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"nothing to judge: {short(why, keep_lines=True)}",
        metadata={"left out": why},
    )


def not_applicable_check(name: str, why: str, asset: dg.AssetKey | None = None) -> dg.AssetCheckResult:
    """A check of what the server does not allow: neither green nor red."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"not applicable: {short(why, keep_lines=True)}",
        metadata={"not applicable": why},
    )


def findings_table(findings: Sequence[Finding], most: int = MOST_ROWS) -> dg.TableMetadataValue:
    """The findings as a table, the bad ones first; a very long one is cut, which its last row says."""
    ordered = sorted(findings, key=lambda finding: _ORDER[finding.verdict])
    shown = min(most, MOST_ROWS)
    rows = [
        {
            "verdict": finding.verdict.value,
            "what": short(finding.subject),
            "expected": short(finding.source),
            "found": short(finding.restored),
            "why": short(finding.why, keep_lines=True),
        }
        for finding in ordered[:shown]
    ]
    if len(ordered) > shown:
        rows.append(
            dict.fromkeys(("expected", "found", "why"), "")
            | {"what": f"… and {len(ordered) - shown:,} more", "verdict": ordered[shown].verdict.value}
        )
    return table(rows, ("verdict", "what", "expected", "found", "why"))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], /, **types: str) -> dg.TableMetadataValue:
    """Rows under those columns, which are text unless `types` says otherwise."""
    schema = dg.TableSchema([dg.TableColumn(name, types.get(name, "string")) for name in columns])
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema=schema)


def short(text: str | None, *, keep_lines: bool = False) -> str:
    """A text as it fits into a cell, cut where it is long; `keep_lines`: as it fits onto a page."""
    if text is None:
        return "—"
    line, most = (text, _MOST_LETTERS) if keep_lines else (" ".join(text.split()), _MOST_LETTERS_OF_A_VALUE)
    return line if len(line) <= most else f"{line[: most - 1]}…"
