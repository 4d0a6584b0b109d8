"""`desbuquei notify`: look at what is wrong now, and tell those who are to be told."""

from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli.database import all_databases_option, in_turn
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import open_site
from desbuquei_backups.core.errors import BackupError, ConfigurationError

if TYPE_CHECKING:
    from desbuquei_backups.core.conditions import Condition
    from desbuquei_backups.operations.alerts import Alerted
    from desbuquei_backups.operations.notifying import Sink
    from desbuquei_backups.operations.settings import Settings


@click.command()
@click.option("--test", is_flag=True, help="Send a test message to each, and say which took it.")
@click.option("--dry-run", is_flag=True, help="Show what is wrong; tell nobody, and remember nothing.")
@all_databases_option
@json_option
def command(*, test: bool, dry_run: bool, as_json: bool) -> int:
    """Tell through DESBUQUEI_NOTIFY_URLS what is wrong now, and what is over.

    What lasts was told once, and is not told again; what somebody did not take is told the next time. Dagster is not
    asked: run it from cron where nothing else would notice that the scheduler is down.

    Exit status 0 if each took what it was to be told, 1 if one did not, 2 if nobody is to be told.
    """
    if test and dry_run:
        raise click.UsageError("--test sends, --dry-run does not")
    if test:
        with open_site(bars=False) as site:
            return _test(site.settings, as_json=as_json)
    return in_turn(lambda: _tell(dry_run=dry_run, as_json=as_json), as_json=as_json)


def _tell(*, dry_run: bool, as_json: bool) -> int:
    from desbuquei_backups.operations.alerts import Alerted, alert_now, wrong_now

    with open_site(bars=False) as site:
        if dry_run:
            done = Alerted(wrong_now(site))
        else:
            _sinks(site.settings)
            done = alert_now(site)
    if as_json:
        print_json(_document(done))
    else:
        _print(done, dry_run=dry_run)
    return int(bool(done.failed))


def _sinks(settings: "Settings") -> "list[Sink]":
    from desbuquei_backups.operations.notifying import sinks
    from desbuquei_backups.operations.settings import NOTIFY_URLS

    if found := sinks(settings):
        return found
    raise ConfigurationError(
        f"nobody is told: {NOTIFY_URLS} is not set",
        remedy=f"set {NOTIFY_URLS} to Apprise's URLs, separated by spaces: https://appriseit.com/services/",
    )


def _test(settings: "Settings", *, as_json: bool) -> int:
    from desbuquei_backups.operations.notifying import Mood, send

    title = f"[desbuquei {settings.policy.database}] a test"
    body = "Alerts of desbuquei_backups come here. Nothing is wrong, and nothing need be done."
    results: dict[str, BackupError | None] = {}
    for sink in _sinks(settings):
        try:
            send(sink, title, body, Mood.INFO)
        except BackupError as error:
            results[sink.name] = error
        else:
            results[sink.name] = None
    if as_json:
        found = [{"sink": name, "taken": failed is None, **_why(failed)} for name, failed in results.items()]
        print_json({"sinks": found})
    else:
        out = console()
        for name, failed in results.items():
            if failed is None:
                out.print(f"[green]✓[/] {name}")
            else:
                out.print(f"[bold red]✗[/] {failed.what}\n  [bold]→[/] {failed.remedy}", soft_wrap=True)
    return int(any(results.values()))


def _why(error: BackupError | None) -> dict[str, str]:
    return {} if error is None else {"what": error.what, "remedy": error.remedy}


def _print(done: "Alerted", *, dry_run: bool) -> None:
    from datetime import UTC, datetime

    from rich.markup import escape

    from desbuquei_backups.core.alert_words import described

    out, now = console(), datetime.now(UTC)
    for condition in done.lasting:
        out.print(escape("\n".join(described(condition, now))), soft_wrap=True)
    if not done.lasting:
        out.print("Nothing is wrong.")
    for name, tellings in done.told.items():
        out.print(f"[green]✓[/] {name}: told of {len(tellings)}")
    for what in done.failed.values():
        out.print(f"[bold red]✗[/] {escape(what)}; it is told the next time", soft_wrap=True)
    if not done.told and not done.failed and not dry_run:
        out.print("Nothing is new: nobody was told anything.")


def _document(done: "Alerted") -> dict[str, Any]:
    return {
        "conditions": [_condition(each) for each in done.lasting],
        "told": [
            {"sink": name, "changes": [{"change": t.change.value, "name": t.episode.condition.name} for t in tellings]}
            for name, tellings in done.told.items()
        ],
        "failed": [{"sink": name, "what": what} for name, what in done.failed.items()],
    }


def _condition(condition: "Condition") -> dict[str, Any]:
    return {
        "name": condition.name,
        "database": condition.database,
        "severity": condition.severity.value,
        "what": condition.what,
        "subject": condition.subject,
        "since": condition.since.isoformat(),
        "tried": condition.tried,
        "command": condition.command,
    }
