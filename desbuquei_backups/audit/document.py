"""The report as JSON: all of it, nothing cut."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from desbuquei_backups.audit.model import Control, Report, Table
from desbuquei_backups.audit.plots import Line, Plot

SCHEMA_VERSION = 1
KIND = "desbuquei_backups audit report"


def document(report: Report) -> dict[str, Any]:
    """What `to_json` writes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "database": report.database,
        "from": report.period.start.isoformat(),
        "to": report.period.end.isoformat(),
        "made_at": report.made_at.isoformat(),
        "version": report.version,
        "facts": dict(report.facts),
        "controls": [_control(each) for each in report.controls],
        "not_covered": [asdict(each) for each in report.not_covered],
        "erasure": list(report.erasure),
        "proves": list(report.proves),
        "proves_not": list(report.proves_not),
        "signed_off": [
            {
                "reviewer": each.reviewer,
                "at": each.at.isoformat(),
                "from": each.start.isoformat(),
                "to": each.end.isoformat(),
                "report_sha256": each.report_sha256,
                "note": each.note,
                "link": each.link,
            }
            for each in report.signed_off
        ],
        "daily": _table(report.daily),
        "plots": [_plot(each) for each in report.plots],
    }


def to_json(report: Report) -> bytes:
    return (json.dumps(document(report), ensure_ascii=False, indent=1) + "\n").encode(errors="backslashreplace")


def _control(control: Control) -> dict[str, Any]:
    return {
        "name": control.name,
        "title": control.title,
        "promise": control.promise,
        "verdict": control.verdict.value,
        "why": control.why,
        "evidence": list(control.evidence),
        "exceptions": list(control.exceptions),
        "tables": [_table(each) for each in control.tables],
        "plots": [_plot(each) for each in control.plots],
        "clauses": [asdict(each) for each in control.clauses],
        "figures": dict(control.figures),
    }


def _table(table: Table) -> dict[str, Any]:
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return {"title": table.title, "rows": rows}


def _plot(plot: Plot) -> dict[str, Any]:
    points = plot.points if isinstance(plot, Line) else plot.cells
    told: dict[str, Any] = {"title": plot.title, "points": [[_instant(at), value] for at, value in points]}
    return told | ({"unit": plot.unit, "limit": plot.limit} if isinstance(plot, Line) else {})


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
