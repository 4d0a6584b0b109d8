"""`desbuquei backup TIER`: run the tier's Dagster job, for the slot that is open now or for one to be finished."""

import os
from typing import TYPE_CHECKING

import click

from desbuquei_backups.cli.asking import login_name
from desbuquei_backups.cli.database import chosen_database, database_option, say_which
from desbuquei_backups.cli.output import json_option, messages, print_json
from desbuquei_backups.core.databases import named
from desbuquei_backups.core.errors import ConfigurationError, SlotError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.settings import EMBEDDED, S3_URL, URLS, Settings, databases_in, settings_of
from desbuquei_backups.operations.site import Site

if TYPE_CHECKING:
    from desbuquei_backups.audit.model import Report
    from desbuquei_backups.audit.report import Written


@click.command("backup")
@click.argument("tier")
@click.option(
    "--reason",
    metavar="TEXT",
    help="Why it is taken: in the run's tags. A tier that no schedule fills needs one, and keeps it.",
)
@click.option(
    "--operator", metavar="NAME", help="Who takes it. [default: DESBUQUEI_OPERATOR, or the name you are logged in by]"
)
@click.option("--slot", "key", metavar="KEY", help="Finish this slot, 2026-02-02-020000, instead of the open one.")
@click.option("--keep", is_flag=True, help="Keep the database of the restored copy, and say its URL.")
@database_option
@json_option
def command(*, tier: str, reason: str | None, operator: str | None, key: str | None, keep: bool, as_json: bool) -> int:
    """Fill the open slot of TIER: dump, checksum manifest, S3 archive, restored copy, and all their checks.

    A slot that holds a backup already is not dumped again: what is there is verified, finished and proven again. Where
    a webserver and daemon are up, they run it and this command follows (Ctrl-C detaches); otherwise it runs here.
    """
    databases = databases_in(os.environ)
    say_which(databases)
    settings = settings_of(named(databases, chosen_database()), os.environ)
    on_demand = settings.policy.tier(tier).on_demand
    slot = _known(settings, tier, key) if key else None
    operator = operator or os.environ.get("DESBUQUEI_OPERATOR") or login_name()
    asked = _asked(settings, tier, slot, operator, reason) if on_demand else None
    check_urls(settings)
    return run_tier(
        settings, tier, slot=slot, asked=asked, operator=operator, reason=reason, keep=keep, as_json=as_json
    )


def _known(settings: Settings, tier: str, key: str) -> Slot:
    """The slot of that key; SlotError if the tier is never due then, or was not yet protected."""
    from datetime import UTC, datetime

    from desbuquei_backups.core.slots import last_due
    from desbuquei_backups.operations.protection import protected_since

    slot, cron = Slot.of_key(tier, key), settings.policy.tier(tier).cron
    Site(settings).state(slot)
    if cron is not None and slot.due < (first := last_due(cron, protected_since(settings, datetime.now(UTC)))):
        raise SlotError(
            "there is no such slot: the database was not protected yet",
            remedy=f"the first slot of {tier} is {Slot(tier, first).key}",
            backup_id=slot.backup_id,
        )
    return slot


def _asked(settings: Settings, tier: str, slot: Slot | None, operator: str | None, reason: str | None) -> Asked:
    """Who asks and why; of a slot that is to be finished, as it was asked for."""
    from desbuquei_backups.operations import records

    if slot is not None:
        line = records.line_of(settings.folder, slot.backup_id) or {}
        operator, reason = line.get("operator") or operator, line.get("reason") or reason
    if not (reason and reason.strip()):
        raise ConfigurationError(f"a {tier} backup needs a reason", remedy=f"desbuquei backup {tier} --reason TEXT")
    if not operator:
        raise ConfigurationError(
            f"a {tier} backup needs an operator, and this user id has no name",
            remedy="name whoever takes it with --operator, or in DESBUQUEI_OPERATOR",
        )
    return Asked(operator, reason)


def check_urls(settings: Settings) -> None:
    """ConfigurationError if a URL is lost or malformed, before anything is begun."""
    from desbuquei_backups.postgres.connection import parse
    from desbuquei_backups.storage.s3 import Bucket

    for name in URLS:
        if settings.url(name) == EMBEDDED:
            continue
        if name == S3_URL:
            Bucket(settings.s3_url)
        else:
            parse(settings.url(name), setting=settings.variable(name))


def run_tier(
    settings: Settings,
    tier: str,
    *,
    slot: Slot | None = None,
    asked: Asked | None = None,
    operator: str | None = None,
    reason: str | None = None,
    keep: bool = False,
    as_json: bool,
    ui: str | None = None,
    report: bool = False,
) -> int:
    """Run the tier's job for its open slot, or `slot`, and print what it did; 1 if it failed or a check is untrue.

    `report`: the month's audit report is made, too.
    """
    from desbuquei_backups.cli import runs
    from desbuquei_backups.cli.progress import Bars
    from desbuquei_backups.cli.reported import print_made, report_document
    from desbuquei_backups.cli.summary import document, print_outcome
    from desbuquei_backups.defs.steps import STOPPED
    from desbuquei_backups.embedded.settings import with_embedded_servers

    slot = slot or Site(settings).open_slot(tier)
    tags = {"desbuquei/backup_id": slot.backup_id, "desbuquei/operator": operator or f"uid {os.getuid()}"}
    tags |= {"desbuquei/reason": reason} if reason else {}
    launch = runs.Launch(settings.policy, slot, tags, asked, keep)
    with with_embedded_servers(settings) as running, Bars() as bars:
        outcome = runs.run(settings, launch, progress=bars, said=lambda text: messages().print(text, style="dim"))
        made = _reported(Site(running, progress=bars)) if report and outcome is not None else None
    if outcome is not None and STOPPED in outcome.errors:
        raise KeyboardInterrupt
    if outcome is None:
        messages().print("detached: the run goes on in Dagster; look there for its end", style="yellow")
        return 0
    if as_json:
        print_json({**document(outcome, running), **(report_document(*made) if made is not None else {})})
    else:
        print_outcome(outcome, running, ui=ui)
        if made is not None:
            print_made(*made)
    return 0 if outcome.true else 1


def _reported(site: Site) -> "tuple[Report, Written]":
    """Without the PDF, which would take as long again."""
    from desbuquei_backups.audit.report import of_this_month

    return of_this_month(site, pdf=False)
