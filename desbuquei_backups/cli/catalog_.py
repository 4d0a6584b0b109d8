"""`desbuquei catalog`: the records of what there is."""

import click

from desbuquei_backups.cli.database import all_databases_option, in_turn
from desbuquei_backups.cli.output import console, json_option, messages, print_json
from desbuquei_backups.cli.site import open_site

_SHOWN = 100


@click.group()
def command() -> None:
    """The records of what there is: backup-metadata.jsonl, and the table backup_logs."""


@command.command()
@all_databases_option
@json_option
def rebuild(*, as_json: bool) -> int:
    """Make the metadata file and the table again from the bucket alone, as on a new machine.

    Manifests, proofs and prune marks are read. What only the old file knows is kept: attempts that failed, slots that
    were left out, backups that were pruned or not archived yet. The old file is set aside in rejected/. Without a
    database the table is made again by the next backup. Exit status 1 if a manifest cannot be read or is of another
    database, or if a backup is gone that was recorded as archived: each is named, the rest is rebuilt.
    """
    return in_turn(lambda: _rebuilt(as_json=as_json), as_json=as_json)


def _rebuilt(*, as_json: bool) -> int:
    from desbuquei_backups.operations.catalog_rebuild import rebuild as make_again

    with open_site() as site:
        done = make_again(site)
        file = site.settings.folder / "backup-metadata.jsonl"
    if as_json:
        print_json(
            {
                "archived": done.archived,
                "proven": done.proven,
                "kept": done.kept,
                "found_in_folder": done.found,
                "file": str(file),
                "old_file": str(done.aside) if done.aside is not None else None,
                "backup_logs_behind": done.table,
                "faults": done.faults,
                "notes": done.notes,
            }
        )
        return int(bool(done.faults))
    out = console()
    out.print(f"from the bucket: {done.archived:,} backups, {done.proven:,} of them proven", soft_wrap=True)
    if done.kept or done.found:
        out.print(
            f"kept as they were: {done.kept:,} lines; found in the folder: {done.found:,} backups", soft_wrap=True
        )
    out.print(f"file: {file}", soft_wrap=True, markup=False)
    if done.aside is not None:
        out.print(f"the old one: {done.aside}", soft_wrap=True, markup=False)
    behind = f"behind, it catches up with the next backup: {done.table}" if done.table else "caught up"
    out.print(f"backup_logs: {behind}", soft_wrap=True, markup=False)
    for note in done.notes:
        out.print(f"note: {note}", style="dim", soft_wrap=True, markup=False)
    for fault in done.faults[:_SHOWN]:
        messages().print(f"✗ {fault}", style="red", soft_wrap=True, markup=False)
    if (more := len(done.faults) - _SHOWN) > 0:
        messages().print(f"✗ … and {more:,} more: --json names them all", style="red")
    return int(bool(done.faults))
