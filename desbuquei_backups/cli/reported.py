"""A report in the terminal: a line for each control, or the daily table, in 80 columns."""

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from desbuquei_backups.cli.output import console, messages

if TYPE_CHECKING:
    from desbuquei_backups.audit.facts import Facts
    from desbuquei_backups.audit.model import Report, Table
    from desbuquei_backups.audit.report import Written
    from desbuquei_backups.core.errors import ToolMissing

_COLOURS = {"holds": "green", "does not hold": "bold red", "not known": "yellow", "not promised": "dim"}
_WIDTH = 80
_TITLE, _VERDICT = 23, 14


def print_report(report: "Report", written: "Written | None") -> None:
    """Each control's verdict, and why; where the files are."""
    from rich.text import Text

    out = console()
    out.print(Text(f"{report.database}, {report.period.said()}", style="bold"), soft_wrap=True)
    for each in report.controls:
        colour = _COLOURS[each.verdict.value]
        out.print(Text.assemble(f"{each.title:<{_TITLE}} ", (each.verdict.value, colour)))
        for line in wrap(each.why, _WIDTH - 2, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False):
            out.print(Text(line, style="dim"), soft_wrap=True)
    if written is None:
        out.print("--out DIR writes the report: HTML, JSON and PDF.", style="dim")
        return
    for path in (written.html, written.json, written.pdf):
        if path is not None:
            out.print(Text(str(path)), soft_wrap=True)
    if written.no_pdf is not None:
        say_missing(written.no_pdf)


def print_made(report: "Report", written: "Written") -> None:
    """How many controls hold, which do not, and where the page is."""
    from rich.text import Text

    out = console()
    by_verdict: dict[str, list[str]] = {}
    for each in report.controls:
        by_verdict.setdefault(each.verdict.value, []).append(each.title)
    out.print(Text(f"audit report: {report.period.said()}", style="bold"))
    for verdict, colour in _COLOURS.items():
        titles = by_verdict.get(verdict, [])
        if titles:
            lines = wrap(
                f"{len(titles):>2} {verdict:<{_VERDICT}} {', '.join(titles)}", _WIDTH, subsequent_indent=" " * 18
            )
            out.print(Text("\n".join(lines), style=colour))
    out.print(f"report: {written.html}", soft_wrap=True, markup=False)


def report_document(report: "Report", written: "Written") -> dict[str, Any]:
    """The same as a part of a JSON document."""
    return {"report": {**files(written), "verdicts": {each.name: each.verdict.value for each in report.controls}}}


def files(written: "Written") -> dict[str, Any]:
    """The paths, by kind; and why there is no PDF."""
    return {
        "html": str(written.html),
        "json": str(written.json),
        "pdf": str(written.pdf) if written.pdf is not None else None,
        **({"no_pdf": str(written.no_pdf)} if written.no_pdf is not None else {}),
    }


def say_missing(missing: "ToolMissing") -> None:
    """What could not be made here, and what to install."""
    messages().print(str(missing), style="yellow", soft_wrap=True, markup=False)


def print_daily(facts: "Facts", table: "Table") -> None:
    """The guide's table, with what it cannot tell."""
    from rich.table import Table as Shown
    from rich.text import Text

    out = console()
    out.print(Text(f"{table.title}: {facts.policy.database}, {facts.now:%Y-%m-%d %H:%M} UTC", style="bold"))
    shown = Shown(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in table.columns:
        shown.add_column(
            name,
            no_wrap=out.width >= _WIDTH,
            overflow="fold",
            justify="right" if name in table.right else "left",
        )
    for row in table.rows:
        shown.add_row(*(Text(cell, style={"NO": "bold red", "yes": "green"}.get(cell, "")) for cell in row))
    out.print(shown)
    if facts.disk is not None:
        out.print(f"disk: {facts.disk.percent} % used", markup=False)
    out.print(f"?: not known; the chain of evidence was read since {facts.period.start:%Y-%m-%d}", style="dim")
    troubles = [facts.chain.trouble] if facts.chain.trouble else []
    for trouble in [*troubles, *facts.chain.breaks, *(f"{what}: {why}" for what, why in _unknown(facts))]:
        out.print(Text(f"note: {trouble}", style="dim"), soft_wrap=True)


def _unknown(facts: "Facts") -> list[tuple[str, str]]:
    """What did not answer; what is not in this table was not asked."""
    from desbuquei_backups.audit.facts import Question

    return [(what, why) for what, why in facts.unknown.items() if what is not Question.SERVER]


def daily_document(facts: "Facts", table: "Table") -> dict[str, Any]:
    """The same as one JSON document."""
    return {
        "database": facts.policy.database,
        "made_at": facts.now.isoformat(),
        "tiers": [dict(zip(table.columns, row, strict=True)) for row in table.rows],
        "disk_percent": facts.disk.percent if facts.disk is not None else None,
        "chain": {"trouble": facts.chain.trouble, "breaks": list(facts.chain.breaks)},
        "unknown": dict(_unknown(facts)),
    }
