"""`desbuquei list`: the backups there are, newest first."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from desbuquei_backups.cli import shown
from desbuquei_backups.cli.output import console, json_option, messages, print_json
from desbuquei_backups.cli.site import open_site
from desbuquei_backups.operations.inventory import Held


@click.command()
@click.option("--tier", metavar="T", help="Only this tier's.")
@click.option("--remote", is_flag=True, help="From the bucket's manifests alone: needs no backup folder.")
@json_option
def command(*, tier: str | None, remote: bool, as_json: bool) -> int:
    """List the backups, newest first, and the attempts that failed.

    Without --remote: what the backup folder and its records say; S3 is not asked. With it: what is in the bucket, and
    whether it was proven is not known from there. Exit status 1 if a manifest cannot be read.
    """
    from desbuquei_backups.operations import inventory

    with open_site(bars=False) as site:
        tiers = [tier] if tier else list(site.policy.tiers)
        for name in tiers:
            site.policy.tier(name)
        held, faults = inventory.remote(site, tiers) if remote else inventory.local(site)
    held = [each for each in held if each.slot.tier in tiers]
    if as_json:
        print_json({"backups": [_document(each) for each in held], "faults": faults})
    else:
        _print(held)
        for fault in faults:
            messages().print(f"✗ {fault}", style="red", soft_wrap=True, markup=False)
    return int(bool(faults))


def _print(held: Sequence[Held]) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    if not held:
        out.print("No backups here yet.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("backup", "taken (UTC)"):
        table.add_column(name, no_wrap=True)
    for name in ("size", "rows"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("where", "proven", "status"):
        table.add_column(name, no_wrap=True)
    for each in held:
        taken = f"{each.taken_at:%m-%d %H:%M}" if each.taken_at else "-"
        failed = each.status == "failed"
        table.add_row(
            each.backup_id,
            taken,
            shown.size(each.size),
            shown.count(each.rows),
            " ".join(each.where) or "-",
            "-" if failed else shown.yes(each.proven),
            f"[red]{each.status}[/]" if failed else each.status,
        )
    out.print(table)
    for each in held:
        if each.error is not None:
            out.print(f"[red]✗[/] {each.backup_id}: {escape(each.error)}", soft_wrap=True)


def _document(each: Held) -> dict[str, Any]:
    fields = asdict(each)
    del fields["slot"]
    at = each.taken_at.isoformat() if each.taken_at else None
    return {"backup_id": each.backup_id, "tier": each.slot.tier, "status": each.status, **fields, "taken_at": at}
