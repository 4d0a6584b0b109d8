"""`desbuquei restore`: a backup into a database of its own, or single tables of it into another."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli.database import database_option
from desbuquei_backups.cli.output import console, json_option, messages, print_json
from desbuquei_backups.cli.site import identity_option, open_site
from desbuquei_backups.core.comparison import Finding, Verdict, tally
from desbuquei_backups.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desbuquei_backups.core.manifest import LeftOut
    from desbuquei_backups.operations.destination import Destination
    from desbuquei_backups.operations.restore import Restored

_SHOWN = 20


@click.command()
@click.argument("backup_id", metavar="ID")
@click.option(
    "--into",
    required=True,
    metavar="URL",
    help="The database to fill, as a libpq URI; it is created if it does not exist. To keep a password off the "
    "command line, write env:NAME: the URI is then read from that environment variable. PGPASSWORD and a "
    "passfile work too.",
)
@click.option(
    "--from",
    "place",
    type=click.Choice(["s3", "second", "disk"]),
    default="s3",
    show_default=True,
    help="s3, or second for the second place, needs nothing but the bucket and credentials; disk needs no S3, and "
    "verifies checksums first.",
)
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="S.T",
    help="Only this table, by way of a restored copy on DESBUQUEI_RESTORE_URL; may be given again.",
)
@click.option("--platform", type=click.Choice(["supabase"]), help="The target is a fresh project of this platform.")
@click.option("--overwrite", metavar="NAME", help="Replace the database of that name, when the new one is whole.")
@click.option("--around-missing", is_flag=True, help="Leave what the target's server lacks, and list it.")
@click.option("--no-tablespaces", is_flag=True, help="Put everything into the default tablespace.")
@identity_option
@database_option
@json_option
def command(
    *,
    backup_id: str,
    into: str,
    place: str,
    tables: tuple[str, ...],
    platform: str | None,
    overwrite: str | None,
    around_missing: bool,
    no_tablespaces: bool,
    identity: Path | None,
    as_json: bool,
) -> int:
    """Restore the logical dump of a backup: missing roles, the dump, the database's own properties.

    Every row count and fingerprint is compared with the backup's manifest afterwards. Nothing is ever overwritten: a
    target that is not empty is refused, and the database that was backed up always. With --overwrite the new database
    is filled beside the old one, which is dropped only when the new one is whole: there must be room for both.

    \b
      desbuquei restore daily-2026-02-02-020000 --into env:INTO
      desbuquei restore daily-2026-02-02-020000 --into env:INTO --table public.a
    """
    from desbuquei_backups.operations.copies import Place
    from desbuquei_backups.operations.restore import Wanted, restore
    from desbuquei_backups.operations.restore_tables import restore_tables

    if tables and (overwrite or platform or around_missing):
        raise click.UsageError("--table goes into a database that is there: leave out the other options")
    target = _destination(into)
    wanted = Wanted(Place(place), overwrite, around_missing, no_tablespaces, platform)
    begun = time.monotonic()
    with open_site(identity=identity) as site:
        if tables:
            done = restore_tables(site, backup_id, tables, target, wanted)
        else:
            done = restore(site, backup_id, target, wanted)
    took = time.monotonic() - begun
    if as_json:
        print_json(_document(done, took))
    else:
        _print(done, took, tables)
    return int(done.verdict is Verdict.DIFFERS)


def _destination(into: str) -> "Destination":
    from desbuquei_backups.operations.destination import destination
    from desbuquei_backups.postgres.connection import parse

    if into.startswith(("env:", "$")):
        name = into.removeprefix("env:").lstrip("$").strip("{}")
        if not (url := os.environ.get(name)):
            raise ConfigurationError(
                f"--into names the environment variable {name}, which is not set",
                remedy=f"set it to the target's URL: export {name}=postgresql://role@host:5432/name",
            )
        return destination(url)
    found = destination(into)
    if parse(into, setting="--into").get("password"):
        messages().print(
            "The password in --into is visible in the process list: next time --into env:NAME, or PGPASSWORD.",
            style="yellow",
        )
    return found


def _print(done: "Restored", took: float, tables: tuple[str, ...]) -> None:
    from rich.markup import escape
    from rich.padding import Padding

    out = console()
    what = ", ".join(tables) if tables else "all of it"
    out.print(f"[bold]{done.manifest.backup_id}[/] ({escape(what)}) is restored from {done.place} in {took:.1f} s")
    out.print(f"  into          {escape(done.described)}", soft_wrap=True)
    out.print(f"  row counts    {tally(done.row_counts)}")
    out.print(f"  contents      {tally(done.contents)}")
    if done.roles:
        out.print(f"  roles made    {escape(', '.join(done.roles))}")
    for note in done.notes:
        out.print(f"  [yellow]note[/]          {escape(note)}")
    if done.left:
        out.print(f"\n[yellow]Left, {len(done.left)}:[/]")
        for reason, identities in _by_reason(done.left).items():
            more = f" … and {len(identities) - _SHOWN} more, see --json" if len(identities) > _SHOWN else ""
            out.print(f"  [bold]{escape(reason)}[/]")
            out.print(Padding(escape(", ".join(identities[:_SHOWN]) + more), (0, 0, 0, 4), expand=False))
    differing = [f for f in (*done.row_counts, *done.contents) if f.verdict is Verdict.DIFFERS]
    if differing:
        out.print("\n[bold red]✗ The restored database does not match the backup:[/]")
        for finding in differing[:_SHOWN]:
            out.print(f"  {escape(_said(finding))}")
        out.print("  [bold]What to do:[/] restore another backup, or verify this one: desbuquei verify --remote")
    else:
        out.print("[green]✓[/] What was compared matches the manifest.")


def _by_reason(left: "Sequence[LeftOut]") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in left:
        found.setdefault(each.reason, []).append(each.identity)
    return found


def _said(finding: Finding) -> str:
    return f"{finding.subject}: {finding.source} in the backup, {finding.restored} restored"


def _document(done: "Restored", took: float) -> dict[str, Any]:
    def finding(each: Finding) -> dict[str, Any]:
        return {
            "subject": each.subject,
            "backup": each.source,
            "restored": each.restored,
            "verdict": each.verdict.value,
            "why": each.why,
        }

    return {
        "backup_id": done.manifest.backup_id,
        "from": done.place.value,
        "into": done.described,
        "verdict": done.verdict.value,
        "seconds": round(took, 3),
        "stage_seconds": done.seconds,
        "roles_made": list(done.roles),
        "notes": list(done.notes),
        "left": [each.model_dump() for each in done.left],
        "row_counts": [finding(each) for each in done.row_counts],
        "contents": [finding(each) for each in done.contents],
    }
