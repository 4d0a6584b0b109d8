"""`desbuquei prune`: apply retention, and say why each backup is kept or goes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli import shown
from desbuquei_backups.cli.database import all_databases_option, in_turn
from desbuquei_backups.cli.output import console, json_option, stream_json
from desbuquei_backups.cli.site import open_site

if TYPE_CHECKING:
    from desbuquei_backups.operations.prune import Pruned

_SHOWN = 100
_AT_ONCE = 500  # lines are printed in portions: there may be 100,000


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go, and why the rest is kept.")
@click.option("--second", is_flag=True, help="The second place's bucket, by the retention of its own.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help=f"Print every backup; else the newest {_SHOWN} that are kept, and that go.",
)
@all_databases_option
@json_option
def command(*, dry_run: bool, second: bool, everything: bool, as_json: bool) -> int:
    """Apply the policy's retention, on disk and in S3, each by its own rule; a reason is given for every backup.

    Never pruned: what the policy promises, the newest restorable backup, what another one needs, what is locked, held,
    or being read, and a copy on disk that S3 has not whole. Cut off anywhere, it is finished by running it again. Exit
    status 1 if something could not be pruned.
    """

    def one() -> int:
        return _prune(dry_run=dry_run, second=second, everything=everything, as_json=as_json)

    return in_turn(one, as_json=as_json)


def _prune(*, dry_run: bool, second: bool, everything: bool, as_json: bool) -> int:
    from desbuquei_backups.operations.prune import Pruned, prune
    from desbuquei_backups.operations.pruning import plan
    from desbuquei_backups.operations.wal_pruning import wal_lines

    with open_site(bars=not dry_run) as opened:
        site = opened.at_second_place if second else opened
        done = [Pruned(each) for each in plan(site)] if dry_run else prune(site)
        wal = wal_lines(site, dry_run=dry_run)
    if as_json:
        rows = (_document(each, dry_run=dry_run) for each in done)
        stream_json({"dry_run": dry_run, "wal": wal}, "backups", rows)
    else:
        _print(done, dry_run=dry_run, everything=everything)
        for line in wal:
            console().print(line, soft_wrap=True, markup=False)
    return int(any(each.error for each in done))


def _verdict(each: "Pruned", *, dry_run: bool) -> str:
    if each.error:
        return "failed"
    if each.planned.keep or each.kept_since:
        return "kept"
    return "would go" if dry_run else "gone"


def _print(done: "Sequence[Pruned]", *, dry_run: bool, everything: bool) -> None:
    from rich.markup import escape

    out = console()
    kept = [each for each in done if _verdict(each, dry_run=dry_run) == "kept"]
    rest = [each for each in done if _verdict(each, dry_run=dry_run) != "kept"]
    failed = [each for each in rest if each.error]
    gone = [each for each in rest if not each.error]
    most = None if everything else _SHOWN
    lines = []
    for each in [*kept[:most], *gone[:most], *failed]:
        verdict = _verdict(each, dry_run=dry_run)
        colour = {"kept": "green", "failed": "red"}.get(verdict, "yellow")
        cells = f"{each.backup_id:<30} {each.planned.place.value:<4}"
        lines.append(f"{cells} [{colour}]{verdict:<8}[/] {escape(each.reason)}")
    for start in range(0, len(lines), _AT_ONCE):
        out.print("\n".join(lines[start : start + _AT_ONCE]), soft_wrap=True)
    if not lines:
        out.print("No backups here.")
    for what, shown_of in (("are kept", kept), ("would go" if dry_run else "are gone", gone)):
        if most is not None and len(shown_of) > most:
            out.print(f"[dim]… and {len(shown_of) - most:,} more that {what}: --all shows them[/]")
    freed = sum((each.planned.size or 0) if dry_run else each.freed for each in rest)
    going = sum(not each.error for each in rest)
    out.print(
        f"{len(kept):,} kept, {going:,} {'would go' if dry_run else 'gone'}, {shown.size(freed)} "
        f"{'would be free' if dry_run else 'free'}" + (f", {len(rest) - going} failed" if len(rest) > going else "")
    )


def _document(each: "Pruned", *, dry_run: bool) -> dict[str, Any]:
    return {
        "backup_id": each.backup_id,
        "place": each.planned.place.value,
        "verdict": _verdict(each, dry_run=dry_run).replace(" ", "_"),
        "reason": each.reason,
        "size": each.planned.size,
        "freed": each.freed,
        "error": each.error,
    }
