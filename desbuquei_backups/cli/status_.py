"""`desbuquei status`: are we safe?"""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli import shown
from desbuquei_backups.cli.database import all_databases_option, each_database
from desbuquei_backups.cli.output import console, error_document, json_option, print_json, say
from desbuquei_backups.cli.site import open_site
from desbuquei_backups.core.errors import BackupError

if TYPE_CHECKING:
    from desbuquei_backups.core.objectives import RecoveryTime
    from desbuquei_backups.operations.status import Status, TierStatus

_COLOURS = {"SAFE": "bold green", "AT RISK": "bold yellow", "NOT SAFE": "bold red"}
_ROOMY = 72


@click.command()
@all_databases_option
@json_option
def command(*, as_json: bool) -> int:
    """Answer "are we safe?", and per tier the last good recovery point: sealed, archived, and how old.

    Of several databases the first line answers for all of them.

    Neither the database nor Dagster is asked; when S3 does not answer, what is recorded here stands for it, and that is
    said. Exit status 0 if SAFE, 1 if AT RISK or NOT SAFE.
    """
    os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")  # a person waits
    found: dict[str, Status | BackupError] = {}
    for name in each_database():
        if name is None:
            only = _look()
            if as_json:
                print_json(_document(only))
            else:
                _print(only)
            return int(only.safety.value != "SAFE")
        try:
            found[name] = _look()
        except BackupError as error:
            found[name] = error
    if as_json:
        documents = {
            name: error_document(each) if isinstance(each, BackupError) else _document(each)
            for name, each in found.items()
        }
        print_json({"safety": _worst(found), "databases": documents})
    else:
        _print_all(found)
    return max(
        each.exit_status if isinstance(each, BackupError) else int(_of(each) != "SAFE") for each in found.values()
    )


def _look() -> "Status":
    from desbuquei_backups.operations.status import status

    with open_site(bars=False) as site:
        found, told = status(site), site.settings.told
    tiers = [replace(each, trouble=each.trouble and told(each.trouble)) for each in found.tiers]
    return replace(found, reason=told(found.reason), tiers=tiers)


def _of(found: "Status | BackupError") -> str:
    """Of a database that could not be looked at, nothing is known: that is not safe."""
    return "NOT SAFE" if isinstance(found, BackupError) else found.safety.value


def _worst(found: "Mapping[str, Status | BackupError]") -> str:
    return max(map(_of, found.values()), key=list(_COLOURS).index)


def _print_all(found: "Mapping[str, Status | BackupError]") -> None:
    out, worst = console(), _worst(found)
    why = ", ".join(name for name, each in found.items() if _of(each) == worst) if worst != "SAFE" else "every database"
    out.print(f"[{_COLOURS[worst]}]{worst}[/]: {why}", soft_wrap=True)
    for name, each in found.items():
        out.print(f"\n[bold]{name}[/]")
        if isinstance(each, BackupError):
            say(each)
        else:
            _print(each)


def _print(found: "Status") -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    out.print(f"[{_COLOURS[found.safety]}]{found.safety}[/]: {escape(found.reason)}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    names = ("tier", "last good (UTC)", "age", "proven", "next due (UTC)", "missed")
    # What there is no room for is left out, not cut: what was missed is said below, all of it with --json.
    shown_columns = len(names) if out.width >= _ROOMY else 3
    for name in names[:shown_columns]:
        table.add_column(name, no_wrap=True)
    for tier in found.tiers:
        cells = (
            tier.tier,
            # Where S3 does not answer, it is archived as far as is recorded here.
            f"[yellow]{shown.instant(tier.taken_at)}[/]" if found.store_trouble else shown.instant(tier.taken_at),
            shown.age(tier.age),
            shown.yes(tier.proven) if tier.last_good and not tier.wal else "-",
            shown.instant(tier.next_due) if tier.next_due else "when asked",
            _missed(tier),
        )
        table.add_row(*cells[:shown_columns])
    out.print(table)
    if found.recovery_point is not None:
        out.print(f"recovery point: {escape(found.recovery_point)}")
    for time in found.recoveries:
        colour = "yellow" if time.exceeds(found.recovery_time_objective) else "default"
        out.print(f"[{colour}]recovery time: {escape(_recovery_said(time, found.recovery_time_objective))}[/]")
    if (drill := found.last_drill) is not None:
        slow = drill.recovery_seconds > found.recovery_time_objective.total_seconds()
        colour = "yellow" if slow or drill.faults else "default"
        out.print(
            f"[{colour}]last drill: {drill.drilled_at:%Y-%m-%d %H:%M}, {drill.recovery_seconds:,.0f} s to "
            f"accepting connections; the copy was {'not ' if drill.faults else ''}sound[/]"
        )
    for thaw in found.thaws:
        out.print(f"{thaw.backup_id}: {shown.thaw(thaw)}")
    for tier in found.tiers:
        if tier.missed:
            more = f", and {len(tier.missed) - 1} before it" if len(tier.missed) > 1 else ""
            out.print(f"missed: {tier.missed[0]}{more}")
    if found.costs:
        usd = sum(each.usd for each in found.costs)
        out.print(f"S3: at most USD {usd:,.2f} a month once all tiers are full (see desbuquei doctor)")
    if found.last_verified is not None:
        out.print(f"verified in S3: {found.last_verified.said()}")
    if found.second_place is not None:
        out.print(f"second place: {escape(found.second_place.said())}")
    if found.disk is not None:
        colour = "yellow" if found.disk.full else "default"
        free = shown.size(found.disk.free)
        out.print(f"disk: [{colour}]{found.disk.percent} % used[/], {free} free, {escape(found.disk.folder)}")
    trouble = found.store_trouble
    for note in [*([f"S3: {trouble}"] if trouble and trouble not in found.reason else []), *found.notes]:
        out.print(f"[dim]note:[/] {escape(note)}")


def _recovery_said(time: "RecoveryTime", objective: timedelta) -> str:
    """Of what is frozen the thaw alone, in a line: the rest takes as long as what is not."""
    if not time.thaw:
        return time.said(objective)
    from desbuquei_backups.core.periods import in_words

    return f"{time.backup_id} is frozen, up to {in_words(time.thaw)} to thaw"


def _missed(tier: "TierStatus") -> str:
    if tier.next_due is None:
        return "-"
    missed = f"[red]{len(tier.missed)}[/]" if tier.missed else "0"
    return f"{missed} [dim](+{len(tier.left_out)} left out)[/]" if tier.left_out else missed


def _document(found: "Status") -> dict[str, Any]:
    return {
        "safety": found.safety.value,
        "reason": found.reason,
        "recovery_point": found.recovery_point,
        "tiers": [_tier(tier) for tier in found.tiers],
        "recovery_times": [_recovery(time, found.recovery_time_objective) for time in found.recoveries],
        "last_drill": found.last_drill.model_dump(mode="json") if found.last_drill is not None else None,
        "thaws": [{"backup_id": thaw.backup_id, **(shown.thaw_document(thaw) or {})} for thaw in found.thaws],
        "last_verified": shown.oldest_document(found.last_verified) if found.last_verified is not None else None,
        "disk": {"folder": found.disk.folder, "free_bytes": found.disk.free, "percent": found.disk.percent}
        if found.disk
        else None,
        "s3_trouble": found.store_trouble,
        "monthly_costs": [
            {"tier": each.tier, "storage_class": each.storage_class.value, "kept": each.kept, "usd": round(each.usd, 4)}
            for each in found.costs
        ],
        "second_place": None
        if found.second_place is None
        else {
            "uri": found.second_place.uri,
            "behind": list(found.second_place.behind),
            "trouble": found.second_place.trouble,
        },
        "notes": list(found.notes),
    }


def _recovery(time: "RecoveryTime", objective: timedelta) -> dict[str, Any]:
    measured = time.measured
    return {
        "backup_id": time.backup_id,
        "restore_seconds": measured.seconds if measured is not None else None,
        "measured_of": measured.backup_id if measured is not None else None,
        "measured_at": measured.at.isoformat() if measured is not None and measured.at is not None else None,
        "thaw_seconds": int(time.thaw.total_seconds()),
        "objective_seconds": int(objective.total_seconds()),
        "exceeds_objective": time.exceeds(objective),
    }


def _tier(tier: "TierStatus") -> dict[str, Any]:
    return {
        "tier": tier.tier,
        "last_good": tier.last_good,
        "taken_at": tier.taken_at.isoformat() if tier.taken_at else None,
        "age_seconds": int(tier.age.total_seconds()) if tier.age is not None else None,
        "proven": tier.proven,
        "wal": tier.wal,
        "next_due": tier.next_due.isoformat() if tier.next_due is not None else None,
        "missed": list(tier.missed),
        "left_out": list(tier.left_out),
        "trouble": tier.trouble or tier.unproven,
    }
