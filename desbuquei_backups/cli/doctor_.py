"""`desbuquei doctor`: every precondition, each with its remedy."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain
from typing import TYPE_CHECKING

import click

from desbuquei_backups.cli.database import all_databases_option, in_turn
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import open_site
from desbuquei_backups.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from desbuquei_backups.operations.doctor import Precondition

_NARROW = 60  # columns, below which there is no room for two
_MARKS = {
    "ok": "[green]✓[/]",
    "warning": "[bold yellow]![/]",
    "failure": "[bold red]✗[/]",
    "not applicable": "[dim]-[/]",
}


@click.command()
@click.option("--read-only", is_flag=True, help="Write nothing: neither a file to the folder nor an object to S3.")
@all_databases_option
@json_option
def command(*, read_only: bool, as_json: bool) -> int:
    """Try every precondition of a backup and of its restore; each that fails says what to do.

    Small objects are written to the bucket, and a file to the backup folder; what may be deleted is deleted again, and
    one object may be locked for a minute. Nothing is created in PostgreSQL. The last part says what of the guide is not
    met yet: off-site copy, recovery point, drill, notification. Exit status 1 if something fails, 2 if a setting is
    missing.
    """
    os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")  # a person waits
    return in_turn(lambda: _examined(read_only=read_only, as_json=as_json), as_json=as_json)


def _examined(*, read_only: bool, as_json: bool) -> int:
    from desbuquei_backups.cli.doctor_scheduler import scheduler
    from desbuquei_backups.operations.doctor import Area, examine

    found: list[Precondition] = []
    out = console()
    try:
        with open_site(bars=False) as site:
            for each in chain(scheduler(), examine(site, read_only=read_only)):
                each = replace(each, said=site.settings.told(each.said), remedy=site.settings.told(each.remedy))
                found.append(each)
                if not as_json:
                    _print(out, each, found)
    except ConfigurationError as error:
        found.append(Area("settings").error("policy", error))
        if not as_json:
            _print(out, found[-1], found)
    if as_json:
        print_json({"status": _status(found), "findings": [asdict(each) for each in found]})
    else:
        _summary(out, found)
    return _status(found)


def _print(out: "Console", each: "Precondition", so_far: "Sequence[Precondition]") -> None:
    from rich.markup import escape
    from rich.table import Table

    if len(so_far) == 1 or so_far[-2].area != each.area:
        out.print(f"[bold]{each.area}[/]")
    if out.width < _NARROW:
        out.print(f"{_MARKS[each.outcome]} {escape(each.name)}: {escape(each.said)}")
        if each.remedy:
            out.print(f"  [bold]→[/] {escape(each.remedy)}")
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(width=3, justify="right")
    table.add_column(width=22, overflow="fold")
    table.add_column(overflow="fold")
    table.add_row(_MARKS[each.outcome], escape(each.name), escape(each.said))
    if each.remedy:
        table.add_row("", "", f"[bold]→[/] {escape(each.remedy)}")
    out.print(table)


def _summary(out: "Console", found: "Sequence[Precondition]") -> None:
    counts = {outcome: sum(each.outcome == outcome for each in found) for outcome in _MARKS}
    words = {"ok": "ok", "warning": "warnings", "failure": "failures", "not applicable": "not applicable"}
    out.print("\n" + ", ".join(f"{counts[outcome]} {words[outcome]}" for outcome in _MARKS))


def _status(found: "Sequence[Precondition]") -> int:
    if any(each.missing for each in found):
        return 2
    return int(any(each.outcome == "failure" for each in found))
