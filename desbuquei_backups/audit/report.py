"""Make the report of a period, and write it into a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from desbuquei_backups.audit.building import CONTROLS, build
from desbuquei_backups.audit.clauses import load_clauses
from desbuquei_backups.audit.document import to_json
from desbuquei_backups.audit.gathering import gather
from desbuquei_backups.audit.html import as_html
from desbuquei_backups.audit.model import Period, Report
from desbuquei_backups.audit.pdf import as_pdf
from desbuquei_backups.core.anchors import Anchor
from desbuquei_backups.core.errors import ConfigurationError, ToolMissing
from desbuquei_backups.operations import said
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk

DEFAULT = timedelta(days=30)
FOLDER = "reports"  # in the backup folder


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written; `no_pdf`: why the PDF is not among them."""

    html: Path
    json: Path
    pdf: Path | None
    no_pdf: ToolMissing | None = None


def period_of(start: datetime | None, end: datetime | None, now: datetime) -> Period:
    """From `start` until before `end`: the last 30 days, if nothing is said; ConfigurationError if nothing is left."""
    until = min(end or now, now)
    period = Period(start or until - DEFAULT, until)
    if period.start >= period.end:
        raise ConfigurationError(
            f"there is nothing between {period.said()}", remedy="give --from before --to, and both before now"
        )
    return period


def make(site: Site, period: Period, *, anchors: Sequence[Anchor] = (), ask_source: bool = True) -> Report:
    """The report, as `gather` has it. ConfigurationError if the clauses are bad; what does not answer is not known."""
    clauses = load_clauses(site.settings.report_clauses, CONTROLS)
    return build(gather(site, period, anchors=anchors, ask_source=ask_source), clauses)


def of_this_month(site: Site, *, pdf: bool = True) -> tuple[Report, Written]:
    """The report of yesterday's month, in the backup folder: on the first of a month, of the one that is over.

    The policy is said in the chain of evidence first. DiskError; ConfigurationError if the clauses are bad.
    """
    said.policy(site)
    now = site.now()
    start = (now - timedelta(days=1)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    report = make(site, period_of(start, now, now))
    return report, write(report, site.settings.folder / FOLDER, f"{report.database}-audit-{start:%Y-%m}", pdf=pdf)


def write(report: Report, folder: Path, name: str | None = None, *, pdf: bool = True) -> Written:
    """As HTML, JSON, and PDF where that can be made, under that name or one of database and period; DiskError."""
    disk.prepare(folder)
    name = name or f"{report.database}-audit-{report.period.start:%Y%m%d}-{report.period.end:%Y%m%d}"
    # Half of a surrogate pair, of a file's odd name, is written as an escape.
    html = as_html(report).encode(errors="backslashreplace").decode()
    paths = {kind: folder / f"{name}.{kind}" for kind in ("html", "json", "pdf")}
    disk.write_file(paths["html"], html.encode())
    disk.write_file(paths["json"], to_json(report))
    if not pdf:
        return Written(paths["html"], paths["json"], None)
    try:
        disk.write_file(paths["pdf"], as_pdf(html))
    except ToolMissing as error:
        return Written(paths["html"], paths["json"], None, error)
    return Written(paths["html"], paths["json"], paths["pdf"])
