"""`desbuquei drill`: recover into a scratch folder, look at everything, measure it, leave nothing but the record."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from desbuquei_backups.cli.database import database_option
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.recovering import asked, last_commit, recovery_options
from desbuquei_backups.cli.site import identity_option, open_site

if TYPE_CHECKING:
    from desbuquei_backups.operations.drill_record import DrillRecord

_SHOWN = 20
_WRONG = "[bold red]✗[/]"


@click.command()
@recovery_options(default_target="latest")
@identity_option
@database_option
@json_option
def command(
    *,
    target: str,
    place: str,
    timeline: int | None,
    system_identifier: str | None,
    preload: tuple[str, ...],
    increments: bool,
    identity: Path | None,
    as_json: bool,
) -> int:
    """Prove that the cluster can be recovered, and how long it takes: on a scratch server, which is gone afterwards.

    Every database is read, every table counted, every page's checksum and every index checked. The record is kept in S3
    under drills/ and in the backup folder. Exit status 1 if anything is wrong with the copy, or if it took longer than
    the policy's recovery time objective.
    """
    from desbuquei_backups.operations.drill import drill

    wanted = asked(target, place, timeline, system_identifier, preload, increments=increments)
    with open_site(identity=identity) as site:
        record = drill(site, wanted)
        objective = site.policy.recovery_time_objective.total_seconds()
    slow = record.recovery_seconds > objective
    if as_json:
        print_json({**record.model_dump(mode="json"), "objective_seconds": objective, "within_objective": not slow})
    else:
        _print(record, objective)
    return int(bool(record.faults) or slow)


def _print(record: "DrillRecord", objective: float) -> None:
    from rich.markup import escape

    out = console()
    base = f"[bold]{record.backup_id}[/]" + (f" with the increment {record.increment}" if record.increment else "")
    out.print(f"{base} recovered from {record.place} to {escape(record.target)}", soft_wrap=True)
    for stage, seconds in record.seconds.items():
        out.print(f"  {stage:<24} {seconds:>9.1f} s")
    for found in record.databases[:_SHOWN]:
        out.print(f"  {escape(found.name)}: {found.tables:,} tables, {found.rows:,} rows")
    said = (("[green]✓[/]", record.checked), ("[yellow]not checked[/]", record.unchecked), (_WRONG, record.faults))
    for sign, lines in said:
        for line in lines:
            out.print(f"  {sign} {escape(line)}", soft_wrap=True)
    if record.expected_seconds is not None:
        out.print(f"  for the database as it is now: about {record.expected_seconds:,.0f} s")
    sign = "[green]✓[/]" if record.recovery_seconds <= objective and not record.faults else _WRONG
    out.print(
        f"{sign} Accepting connections after {record.recovery_seconds:,.1f} s (promised: {objective:,.0f} s): "
        f"{last_commit(record.committed_at)}, last record at {record.reached}.",
        soft_wrap=True,
    )
