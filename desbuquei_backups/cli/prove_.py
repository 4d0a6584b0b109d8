"""`desbuquei prove`: restore an archived backup, compare everything, and keep what was shown beside it in S3."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli.database import all_databases_option, in_turn
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import identity_option, open_site
from desbuquei_backups.core.comparison import Finding, Verdict, overall, tally

if TYPE_CHECKING:
    from rich.console import Console

    from desbuquei_backups.core.answers import Rows
    from desbuquei_backups.core.invariants import Invariant
    from desbuquei_backups.operations.equal_copy import Proof
    from desbuquei_backups.operations.reproof import Done

_SHOWN = 20


@click.command()
@click.argument("backup_id", metavar="[ID]", required=False)
@click.option("--keep", is_flag=True, help="Keep the database of the restored copy, and say its URL.")
@click.option("--due", is_flag=True, help="Restore the oldest copy of each longer tier whose turn it is.")
@identity_option
@all_databases_option
@json_option
def command(*, backup_id: str | None, keep: bool, due: bool, identity: Path | None, as_json: bool) -> int:
    """Restore an archived backup from S3 on DESBUQUEI_RESTORE_URL, compare everything with the source, and drop it.

    What Dagster does for every backup; this needs neither Dagster nor the source, so that a host that has the identity
    of encrypted backups proves them for the one that takes them. Your own invariants (DESBUQUEI_INVARIANTS) are asked
    too. Exit status 1 if anything is not the source's, or an invariant does not hold.
    """
    from desbuquei_backups.core.slots import Slot
    from desbuquei_backups.operations.restored_copy import prove

    if (backup_id is None) is not due or (keep and due):
        raise click.UsageError("name one backup, with --keep if it is to stay, or let --due find those that are due")
    if backup_id is None:
        return in_turn(lambda: _prove_due(identity, as_json=as_json), as_json=as_json)
    with open_site(identity=identity) as site:
        done = prove(site, Slot.of_id(backup_id), judged_by=_judged, keep=keep)
    if as_json:
        print_json(_document(done))
    else:
        _print(done)
    return int(_untrue(done))


def _untrue(done: "Proof") -> bool:
    return Verdict.DIFFERS in (done.verdict, overall(_answers(done)))


def _prove_due(identity: Path | None, *, as_json: bool) -> int:
    """Those that are frozen are thawed first: they are proven when this is run again, the next day."""
    from rich.markup import escape

    from desbuquei_backups.cli.shown import instant, thaw, thaw_document
    from desbuquei_backups.operations.reproof import prove_due

    with open_site(identity=identity) as site:
        found, every = list(prove_due(site, judged_by=_judged)), site.policy.reproof
    if as_json:
        proven = [_document(each.proof) for each in found if each.proof is not None]
        thawing = {each.due.slot.backup_id: thaw_document(each.thaw) for each in found if each.thaw is not None}
        failed = {each.due.slot.backup_id: each.error.what for each in found if each.error is not None}
        still = {each.due.slot.backup_id: each.still for each in found if each.still is not None}
        print_json({"proven": proven, "thawing": thawing, "failed": failed, "still_not_the_source": still})
    else:
        if not found:
            console().print(f"Nothing is due: of each longer tier one copy was restored within {every}.")
        for each in found:
            if each.proof is not None:
                _print(each.proof)
            elif each.thaw is not None:
                last = f"last restored {instant(each.due.last)}" if each.due.last else "never restored yet"
                console().print(f"[bold]{each.due.slot.backup_id}[/]: {thaw(each.thaw)}; {last}", soft_wrap=True)
            elif each.error is not None:
                console().print(f"[red]✗[/] {escape(str(each.error))}", soft_wrap=True)
            elif each.still is not None:
                told = f"when it was last restored, {instant(each.due.last)}: {each.still}"
                console().print(f"[red]✗[/] {each.due.slot.backup_id}: {escape(told)}", soft_wrap=True)
    return int(any(map(_wrong, found)))


def _wrong(done: "Done") -> bool:
    return bool(done.error or done.still) or (done.proof is not None and _untrue(done.proof))


def _judged(invariant: "Invariant", found: "Rows") -> Finding:
    """Great Expectations is imported only where an expectation of its own is asked for."""
    from desbuquei_backups.validation.expectations import meets

    return meets(invariant, found)


def _answers(done: "Proof") -> list[Finding]:
    return [finding for each in done.invariants for finding in each.findings]


def _print(done: "Proof") -> None:
    from rich.markup import escape

    out = console()
    colour = {Verdict.MATCHES: "green", Verdict.DIFFERS: "red"}.get(done.verdict, "yellow")
    out.print(f"[bold]{done.manifest.backup_id}[/]: [{colour}]{done.verdict}[/]")
    for what, findings in done.questions.items():
        out.print(f"  {what:<11} {tally(findings)}")
    rest = [each for each in done.findings if each.verdict is not Verdict.MATCHES]
    for each in rest[:_SHOWN]:
        out.print(f"  {escape(each.subject)}: {escape(each.why or each.verdict)}")
    if len(rest) > _SHOWN:
        out.print(f"  … and {len(rest) - _SHOWN:,} more, see --json")
    if done.invariants:
        out.print(f"  {'invariants':<11} {tally(_answers(done))}")
    for answer in done.invariants:
        for each in answer.findings:
            if each.verdict is not Verdict.MATCHES:
                out.print(f"  {answer.name}: {escape(answer.wanted)}: {escape(each.why)}")
    if done.kept is not None:
        print_kept(out, done.kept_at or "", done.kept)


def print_kept(out: "Console", url: str, name: str) -> None:
    """Where the restored copy is, and how it goes away."""
    out.print(f'kept at {url}\nwhen it is done with:\n  DROP DATABASE "{name}";', soft_wrap=True, markup=False)


def _document(done: "Proof") -> dict[str, Any]:
    return {
        "backup_id": done.manifest.backup_id,
        "verdict": done.verdict.value,
        "restored": done.restored,
        "server_version": done.server_version,
        "stage_seconds": dict(done.seconds),
        "kept": done.kept,
        "kept_at": done.kept_at,
        **{name.replace(" ", "_"): [_finding(each) for each in found] for name, found in done.questions.items()},
        "invariants": [
            {"name": each.name, "wanted": each.wanted, "findings": [_finding(found) for found in each.findings]}
            for each in done.invariants
        ],
    }


def _finding(each: Finding) -> dict[str, Any]:
    return {
        "subject": each.subject,
        "source": each.source,
        "restored": each.restored,
        "verdict": each.verdict.value,
        "why": each.why,
    }
