"""`desbuquei report`: what was promised, what shows that it was kept, and what is not known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desbuquei_backups.cli import reported
from desbuquei_backups.cli.audit_ import anchors_in, anchors_text
from desbuquei_backups.cli.database import all_databases_option, in_turn
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import open_site

if TYPE_CHECKING:
    from desbuquei_backups.core.anchors import Anchor
    from desbuquei_backups.operations.site import Site

_DAYS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")
_DAILY = timedelta(days=35)
_folder = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--from", "start", metavar="D", type=click.DateTime(_DAYS), help="From this UTC day on. [default: 30 d]")
@click.option("--to", "end", metavar="D", type=click.DateTime(_DAYS), help="Until before this UTC day. [default: now]")
@click.option("--out", metavar="DIR", type=_folder, help="Write HTML, JSON and PDF here.")
@click.option("--daily", is_flag=True, help="The daily Backup Verification Report, here.")
@click.option("--export", metavar="DIR", type=_folder, help="Write the check history here, as CSV and Parquet.")
@click.option("--sign-off", "reviewer", metavar="NAME", help="Say in the chain that NAME reviewed the report --of.")
@click.option("--of", "signed", metavar="FILE", type=click.Path(path_type=Path), help="The JSON that was reviewed.")
@click.option("--note", metavar="TEXT", help="What the reviewer has to say.")
@click.option("--anchor", "anchors", metavar="FILE", multiple=True, help="Heads of the chain that were carried away.")
@click.option("--no-source", is_flag=True, help="Do not ask the database's server which other databases it has.")
@all_databases_option
@json_option
def command(
    *,
    start: datetime | None,
    end: datetime | None,
    out: Path | None,
    daily: bool,
    export: Path | None,
    reviewer: str | None,
    signed: Path | None,
    note: str | None,
    anchors: tuple[str, ...],
    no_source: bool,
    as_json: bool,
) -> int:
    """Report for an auditor: a verdict for each control, with its promise, its evidence and its exceptions.

    By the bucket alone as far as it tells, so that it can be made on a new machine; what cannot be known is said, and
    why. Exit status 1 if a control does not hold.
    """
    chosen = [name for name, given in (("--daily", daily), ("--export", export), ("--sign-off", reviewer)) if given]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} are asked for one at a time")
    if bool(reviewer) is not (signed is not None):
        raise click.UsageError("--sign-off NAME and --of FILE belong together")
    if reviewer is not None and signed is not None:
        with open_site() as site:
            return _signed_off(site, reviewer, signed, note, as_json=as_json)
    texts = [(where, anchors_text(where)) for where in anchors]

    def one() -> int:
        with open_site() as site:
            asked = _Asked(
                start=_utc(start),
                end=_utc(end),
                anchors=[each for where, text in texts for each in anchors_in(text, site.policy.database, where=where)],
                ask_source=not no_source,
                as_json=as_json,
            )
            if export is not None:
                return _exported(site, asked, export)
            return _verified(site, asked) if daily else _reported(site, asked, out)

    return in_turn(one, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Asked:
    start: datetime | None
    end: datetime | None
    anchors: "Sequence[Anchor]"
    ask_source: bool
    as_json: bool


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None else None


def _reported(site: "Site", asked: _Asked, out: Path | None) -> int:
    from desbuquei_backups.audit.document import document
    from desbuquei_backups.audit.model import Verdict
    from desbuquei_backups.audit.report import make, period_of, write

    period = period_of(asked.start, asked.end, site.now())
    report = make(site, period, anchors=asked.anchors, ask_source=asked.ask_source)
    written = write(report, out) if out is not None else None
    if asked.as_json:
        print_json({**document(report), **({"files": reported.files(written)} if written is not None else {})})
    else:
        reported.print_report(report, written)
    return int(report.counted(Verdict.FAILS) > 0)


def _verified(site: "Site", asked: _Asked) -> int:
    """The newest backups, told of as far back as a monthly one."""
    from desbuquei_backups.audit.daily import UNTRUE, verification_table
    from desbuquei_backups.audit.gathering import gather
    from desbuquei_backups.audit.report import period_of

    until = min(asked.end or site.now(), site.now())
    period = period_of(asked.start or until - _DAILY, until, site.now())
    facts = gather(site, period, anchors=asked.anchors, ask_source=False)
    table = verification_table(facts)
    if asked.as_json:
        print_json(reported.daily_document(facts, table))
    else:
        reported.print_daily(facts, table)
    return int(any(UNTRUE in row for row in table.rows))


def _exported(site: "Site", asked: _Asked, folder: Path) -> int:
    from desbuquei_backups.audit.export import export_checks
    from desbuquei_backups.audit.gathering import gather
    from desbuquei_backups.audit.report import period_of

    period = period_of(asked.start, asked.end, site.now())
    facts = gather(site, period, anchors=asked.anchors, ask_source=False)
    done = export_checks(facts, folder)
    if asked.as_json:
        print_json({"rows": done.rows, "csv": str(done.csv), "parquet": str(done.parquet) if done.parquet else None})
    else:
        console().print(f"{done.rows:,} check results: {done.csv}", soft_wrap=True, markup=False)
        if done.parquet is not None:
            console().print(str(done.parquet), soft_wrap=True, markup=False)
    if done.no_parquet is not None:
        reported.say_missing(done.no_parquet)
    return 0


def _signed_off(site: "Site", reviewer: str, path: Path, note: str | None, *, as_json: bool) -> int:
    from desbuquei_backups.audit.sign_off import sign_off

    sign_off(site, reviewer, path, note)
    if as_json:
        print_json({"reviewer": reviewer.strip(), "report": str(path), "note": note})
    else:
        said = f"{reviewer.strip()} reviewed {path}: it is in the chain of evidence, and in reports from now on."
        console().print(said, soft_wrap=True, markup=False)
    return 0
