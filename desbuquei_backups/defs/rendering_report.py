"""The compliance report as Dagster shows it: its first page, where the files are, figures for trends."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from desbuquei_backups.defs.first_page import first_page
from desbuquei_backups.defs.rendering import table

if TYPE_CHECKING:
    from desbuquei_backups.audit.model import Report
    from desbuquei_backups.audit.report import Written


def report_metadata(report: "Report", written: "Written") -> Mapping[str, Any]:
    """Figures that are not known are left out: a trend has a gap there.

    A browser opens no file of the host from Dagster's page: the first page is there itself.
    """
    from desbuquei_backups.audit.model import Verdict

    figures = {name: value for each in report.controls for name, value in each.figures.items() if value is not None}
    return {
        "first page": dg.MetadataValue.md(first_page(report)),
        "HTML": dg.MetadataValue.path(str(written.html)),
        "JSON": dg.MetadataValue.path(str(written.json)),
        "PDF": dg.MetadataValue.path(str(written.pdf))
        if written.pdf is not None
        else dg.MetadataValue.text(str(written.no_pdf)),
        "period": report.period.said(),
        **{verdict.value: report.counted(verdict) for verdict in Verdict},
        **figures,
        "controls": table(
            [{"control": each.title, "verdict": each.verdict.value, "why": each.why} for each in report.controls],
            ("control", "verdict", "why"),
        ),
        "backups": table(
            [dict(zip(report.daily.columns, row, strict=True)) for row in report.daily.rows], report.daily.columns
        ),
    }
