"""`desbuquei verify`: whether backups are still what their manifests say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli import shown
from desbuquei_backups.cli.database import all_databases_option, chosen_database, in_turn
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import identity_option, open_site
from desbuquei_backups.core.commands import of_database

if TYPE_CHECKING:
    from desbuquei_backups.operations.verification import Verified
    from desbuquei_backups.operations.verify_in_turn import Turn


@click.command()
@click.argument("backup_ids", nargs=-1, metavar="[ID]...")
@click.option("--latest", metavar="T", help="The newest backup of this tier.")
@click.option("--all", "everything", is_flag=True, help="All backups there are.")
@click.option("--remote", is_flag=True, help="The copies in S3, read back whole, instead of those on disk.")
@click.option("--second", is_flag=True, help="The copies in the second place, read back whole.")
@identity_option
@click.option(
    "--budget", metavar="SIZE", help="With --all --remote: read no more than this, like 50GB; the rest the next time."
)
@all_databases_option
@json_option
def command(
    *,
    backup_ids: tuple[str, ...],
    latest: str | None,
    everything: bool,
    remote: bool,
    second: bool,
    identity: Path | None,
    budget: str | None,
    as_json: bool,
) -> int:
    """Recompute every checksum, test every archive, count the rows inside, and compare with the manifest.

    It is remembered when each copy in S3 was verified: --all --remote reads what never was, and what was the longest
    ago, first. What is frozen is not read, and costs nothing of the budget: the store's own checksum is compared.
    Exit status 1 if anything is not as it was, or is of another database.
    """
    if sum([bool(backup_ids), bool(latest), everything]) != 1:
        raise click.UsageError("name backups, or a tier with --latest, or --all")
    if budget is not None and not (everything and (remote or second)):
        raise click.UsageError("--budget goes with --all and --remote or --second")
    most = _bytes(budget) if budget is not None else None
    asked = _Asked(backup_ids, latest, everything, remote, second, identity, most)
    if everything:
        return in_turn(lambda: _verify(asked, as_json=as_json), as_json=as_json)
    return _verify(asked, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Asked:
    backup_ids: tuple[str, ...]
    latest: str | None
    everything: bool
    remote: bool
    second: bool
    identity: Path | None
    budget: int | None


def _verify(asked: _Asked, *, as_json: bool) -> int:
    from desbuquei_backups.operations import said
    from desbuquei_backups.operations.verification import chosen, verify_backup
    from desbuquei_backups.operations.verify_in_turn import verify_in_turn

    turn: Turn | None = None
    with open_site(identity=asked.identity) as opened:
        site, remote = (opened.at_second_place, True) if asked.second else (opened, asked.remote)
        ids = list(asked.backup_ids) or chosen(site, latest=asked.latest, remote=remote)
        if remote and asked.everything:
            turn = verify_in_turn(site, ids, budget=asked.budget)
            done = turn.done
        else:
            done = [verify_backup(site, backup_id, remote=remote) for backup_id in ids]
        said.verified(site, done)
    whole = all(each.whole for each in done)
    if as_json:
        print_json({"whole": whole, **_of_turn(turn), "backups": [_document(each) for each in done]})
    else:
        _print(done)
        if turn is not None:
            _print_turn(turn)
    return int(not whole or bool(turn is not None and turn.faults))


def _bytes(budget: str) -> int:
    from desbuquei_backups.core.sizes import parse_size

    try:
        return parse_size(budget)
    except ValueError as error:
        raise click.BadParameter(f"{budget!r}: {error}", param_hint="--budget") from None


def _print(done: "Sequence[Verified]") -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in (("file", "left"), ("size", "right"), ("where", "left"), ("verdict", "left")):
        table.add_column(name, justify=justify, no_wrap=name != "file", overflow="fold")  # type: ignore[arg-type]
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


def _print_turn(turn: "Turn") -> None:
    out = console()
    left = f"; {turn.left:,} are left for the next time" if turn.left else ""
    out.print(f"{len(turn.done):,} verified, {shown.size(turn.read_bytes)} read{left}", soft_wrap=True)
    out.print(f"last verified: {turn.oldest.said()}", soft_wrap=True)
    for note in turn.notes:
        out.print(f"note: {note}", style="dim", soft_wrap=True, markup=False)
    for fault in turn.faults:
        out.print(f"✗ {fault}", style="red", soft_wrap=True, markup=False)


def _of_turn(turn: "Turn | None") -> dict[str, Any]:
    if turn is None:
        return {}
    return {
        "read_bytes": turn.read_bytes,
        "left": turn.left,
        "last_verified": shown.oldest_document(turn.oldest),
        "faults": list(turn.faults),
        "notes": list(turn.notes),
    }


def _remedy(backup: "Verified") -> str:
    return of_database(_told(backup), chosen_database() or "")


def _told(backup: "Verified") -> str:
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
