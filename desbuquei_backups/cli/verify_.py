"""`desbuquei verify`: whether backups are still what their manifests say."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli import shown
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import identity_option, open_site

if TYPE_CHECKING:
    from desbuquei_backups.operations.verification import Verified


@click.command()
@click.argument("backup_ids", nargs=-1, metavar="[ID]...")
@click.option("--latest", metavar="T", help="The newest backup of this tier.")
@click.option("--all", "everything", is_flag=True, help="All backups there are.")
@click.option("--remote", is_flag=True, help="The copies in S3, read back whole, instead of those on disk.")
@click.option("--second", is_flag=True, help="The copies in the second place, read back whole.")
@identity_option
@json_option
def command(
    *,
    backup_ids: tuple[str, ...],
    latest: str | None,
    everything: bool,
    remote: bool,
    second: bool,
    identity: Path | None,
    as_json: bool,
) -> int:
    """Recompute every checksum, test every archive, count the rows inside, and compare with the manifest.

    Exit status 1 if anything is not as it was.
    """
    from desbuquei_backups.operations.verification import chosen, verify_backup

    if sum([bool(backup_ids), bool(latest), everything]) != 1:
        raise click.UsageError("name backups, or a tier with --latest, or --all")
    with open_site(identity=identity) as opened:
        site, remote = (opened.at_second_place, True) if second else (opened, remote)
        ids = list(backup_ids) or chosen(site, latest=latest, remote=remote)
        done = [verify_backup(site, backup_id, remote=remote) for backup_id in ids]
    if as_json:
        print_json({"whole": all(each.whole for each in done), "backups": [_document(each) for each in done]})
    else:
        _print(done)
    return int(not all(each.whole for each in done))


def _print(done: "Sequence[Verified]") -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in (("file", "left"), ("size", "right"), ("where", "left"), ("verdict", "left")):
        table.add_column(name, justify=justify, no_wrap=name != "file")  # type: ignore[arg-type]
    for backup in done:
        for file in backup.files:
            verdict = (
                "[bold red]not whole[/]" if file.faults else "[yellow]not read[/]" if file.unread else "[green]whole[/]"
            )
            table.add_row(escape(file.name), shown.size(file.size), backup.where, verdict)
    out.print(table)
    for backup in done:
        for file in backup.files:
            for fault in file.faults:
                out.print(f"[red]✗[/] {escape(file.name)}: {escape(fault)}", soft_wrap=True)
            if file.unread:
                out.print(f"[yellow]?[/] {escape(file.name)}: {escape(file.unread)}")
        for why in dict.fromkeys(file.unopened for file in backup.files if file.unopened):
            out.print(f"[yellow]?[/] {backup.backup_id}: {escape(why)}")
        if not backup.whole:
            out.print(f"  [bold]What to do:[/] {_remedy(backup)}", soft_wrap=True)


def _remedy(backup: "Verified") -> str:
    if backup.where == "disk":
        return (
            f"desbuquei verify {backup.backup_id} --remote: if that copy is whole, restore from it (--from s3); "
            "find out what altered the disk"
        )
    return (
        f"desbuquei verify {backup.backup_id}: if the copy on disk is whole, keep it: restore --from disk; "
        "find out who wrote to the bucket"
    )


def _document(backup: "Verified") -> dict[str, Any]:
    return {
        "backup_id": backup.backup_id,
        "where": backup.where,
        "whole": backup.whole,
        "remedy": None if backup.whole else _remedy(backup),
        "files": [
            {
                "name": f.name,
                "size": f.size,
                "faults": list(f.faults),
                "unread": f.unread or None,
                "unopened": f.unopened or None,
            }
            for f in backup.files
        ],
    }
