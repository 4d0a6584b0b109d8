"""`desbuquei list`: the backups there are, newest first."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli import shown
from desbuquei_backups.cli.database import all_databases_option, in_turn
from desbuquei_backups.cli.output import console, json_option, messages, stream_json
from desbuquei_backups.cli.site import open_site

if TYPE_CHECKING:
    from desbuquei_backups.operations.inventory import Held, Listing

_SHOWN = 100
_HEADERS = ("backup", "taken (UTC)", "size", "rows", "where", "proven", "status")
_RIGHT = {"size", "rows"}
_AT_ONCE = 500  # lines are printed in portions: there may be 100,000


@click.command()
@click.option("--tier", metavar="T", help="Only this tier's.")
@click.option("--remote", is_flag=True, help="From the bucket's manifests alone: needs no backup folder.")
@click.option("--second", is_flag=True, help="The same from the second place's bucket.")
@click.option("--limit", type=click.IntRange(0), help=f"Only the newest N; 0: all. {_SHOWN}, or with --json all.")
@all_databases_option
@json_option
def command(*, tier: str | None, remote: bool, second: bool, limit: int | None, as_json: bool) -> int:
    """List the backups, newest first, the attempts that failed, and the slots left out or missed.

    Without --remote: what the backup folder and its records say; S3 is not asked. With it: what is in the bucket, of
    whatever tier; whether it was proven is not known from there. Of the newest 100 or N the manifest itself is read, of
    all with --limit 0. Exit status 1 if one cannot be, or is of another database.

    What is frozen and is being thawed says by which hour it can be read: without --remote as it was asked for from
    here and by the clock; with it the store is asked, of the backups whose manifest is read.
    """
    return in_turn(lambda: _list(tier, limit, remote=remote, second=second, as_json=as_json), as_json=as_json)


def _list(tier: str | None, limit: int | None, *, remote: bool, second: bool, as_json: bool) -> int:
    from desbuquei_backups.operations import inventory

    most = None if limit == 0 else limit if limit is not None else None if as_json else _SHOWN
    read = None if limit == 0 else limit if limit is not None else _SHOWN
    with open_site(bars=False) as site:
        look = inventory.remote if remote or second else inventory.local
        listing = look(site.at_second_place if second else site, [tier] if tier else None, most, read=read)
        if tier and not listing.total:
            site.policy.tier(tier)
    if as_json:
        head = {"total": listing.total, "faults": listing.faults, "notes": list(listing.notes)}
        stream_json(head, "backups", map(_document, listing.held))
    else:
        _print(listing)
        for note in listing.notes:
            console().print(f"note: {note}", style="dim", soft_wrap=True, markup=False)
        for fault in listing.faults:
            messages().print(f"✗ {fault}", style="red", soft_wrap=True, markup=False)
    return int(bool(listing.faults))


def _print(listing: "Listing") -> None:
    from rich.markup import escape

    out = console()
    if not listing.total:
        out.print("No backups here. --remote asks the bucket instead.")
        return
    lines = _table(listing.held)
    while portion := list(islice(lines, _AT_ONCE)):
        out.print("\n".join(portion), soft_wrap=True)
    if (older := listing.total - len(listing.held)) > 0:
        out.print(f"[dim]… and {older:,} older: --limit 0 shows all[/]")
    for each in listing.held:
        if each.error is not None and each.status != "skipped":
            out.print(f"[red]✗[/] {each.backup_id}: {escape(each.error)}", soft_wrap=True)


def _table(held: Sequence["Held"]) -> Iterator[str]:
    """Lines in rich's markup; not its own table, which would take a minute for 100,000 rows."""
    from rich.markup import escape

    rows = [_cells(each) for each in held]
    widths = [max(map(len, column)) for column in zip(_HEADERS, *rows, strict=True)]
    yield f"[bold]{_line(_HEADERS, widths)}[/]"
    for each, cells in zip(held, rows, strict=True):
        # The two at the end alone are coloured; they are padded by what is before them.
        *plain, proven, status = cells
        colour = {"yes": "green", "no": "yellow"}.get(proven, "default")
        start, width = _line(plain, widths), widths[len(plain)]
        if each.status == "skipped":
            yield f"[dim]{start} {proven:<{width}} {status}[/]"
        else:
            end = f"[red]{status}[/]" if each.status in ("failed", "missed") else status
            yield f"{start} [{colour}]{proven:<{width}}[/] {end}"
        if each.operator or each.reason:
            asked = f"{each.operator or 'somebody'}: {each.reason or 'no reason given'}"
            yield from (
                f"[dim]{escape(line)}[/]" for line in wrap(asked, 78, initial_indent="  ", subsequent_indent="  ")
            )
        if each.thaw is not None:
            yield f"  [dim]{shown.thaw(each.thaw)}[/]"


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    padded = [
        f"{cell:>{width}}" if name in _RIGHT else f"{cell:<{width}}"
        for cell, name, width in zip(cells, _HEADERS, widths, strict=False)
    ]
    return " ".join(padded)


def _taken(each: "Held") -> str:
    """To the minute on the day of its slot; else the date with its year: it is not of the day that names it."""
    if each.taken_at is None:
        return "-"
    return f"{each.taken_at:{'%m-%d %H:%M' if each.taken_at.date() == each.slot.due.date() else '%Y-%m-%d'}}"


def _cells(each: "Held") -> tuple[str, ...]:
    failed = each.status in ("failed", "skipped", "missed")
    status = each.status
    if status == "sealed" and each.thaw is not None:
        status = each.thaw.state.value
    elif status == "sealed" and each.origin:
        status = "unchanged" if each.same_as else "copy"
    return (
        each.backup_id,
        _taken(each),
        shown.size(each.size),
        shown.count(each.rows),
        " ".join(each.where) or "-",
        "-" if failed or each.wal else {True: "yes", False: "no", None: "?"}[each.proven],
        status,
    )


def _document(each: "Held") -> dict[str, Any]:
    return {
        "backup_id": each.backup_id,
        "tier": each.slot.tier,
        "status": each.status,
        "taken_at": each.taken_at.isoformat() if each.taken_at else None,
        "size": each.size,
        "rows": each.rows,
        "on_disk": each.on_disk,
        "archived": each.archived,
        "proven": each.proven,
        "wal": each.wal,
        "error": each.error,
        "copy_of": each.copy_of,
        "same_as": each.same_as,
        "operator": each.operator,
        "reason": each.reason,
        "storage_class": each.storage_class,
        "thaw": shown.thaw_document(each.thaw),
    }
