"""The first page of the compliance report as Markdown, which Dagster shows where it cannot open the page itself."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desbuquei_backups.audit.model import Report

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def first_page(report: "Report") -> str:
    """A verdict for each control, where the backups are, what no backup holds and what stays, what the evidence proves
    and what not, and who signed.
    """
    lines = [f"## Backup audit report: {escaped(report.database)}", "", escaped(report.period.said()), ""]
    lines += _table(
        ("Control", "Verdict", "Why"), [(each.title, f"**{each.verdict.value}**", each.why) for each in report.controls]
    )
    lines += ["", "### Where the backups are", "", *_table(("", ""), list(report.facts.items()))]
    lines += ["", "### What is not backed up", ""]
    lines += _listed(f"{each.what}: {each.why}" for each in report.not_covered)
    lines += ["", "### Where erasure duties meet copies that stay", "", *_listed(report.erasure)]
    lines += ["", "### What the evidence proves", "", *_listed(report.proves)]
    lines += ["", "### What it does not prove", "", *_listed(report.proves_not)]
    lines += ["", "### Signed off", ""]
    lines += [
        f"- {escaped(each.reviewer)}, {each.at:%Y-%m-%d %H:%M} UTC, link {each.link}" for each in report.signed_off
    ] or ["Nobody has signed a report of this period yet."]
    return "\n".join(lines)


def _listed(lines: Iterable[str]) -> list[str]:
    return [f"- {escaped(line)}" for line in lines]


def escaped(text: str) -> str:
    """As it stands: neither Markdown nor HTML, and in one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Cells that we made bold stay so."""
    cells = [[each if each.startswith("**") and each.endswith("**") else escaped(each) for each in row] for row in rows]
    heads = [list(columns), ["---"] * len(columns), *cells]
    return [f"| {' | '.join(row)} |" for row in heads]
