"""`desbuquei backup TIER`: run the tier's Dagster job for the slot that is open now."""

import getpass
import os

import click

from desbuquei_backups.cli.output import json_option, messages, print_json
from desbuquei_backups.cli.progress import Bars
from desbuquei_backups.cli.summary import document, print_outcome
from desbuquei_backups.operations.settings import EMBEDDED, S3_URL, URLS, Settings, from_environment
from desbuquei_backups.operations.site import Site


@click.command("backup")
@click.argument("tier")
@json_option
def command(tier: str, as_json: bool) -> int:
    """Fill the open slot of TIER: dump, checksum manifest, S3 archive, restored copy, and all their checks.

    A slot that holds a backup already is not dumped again: what is there is verified, finished and proven again. Where
    a webserver and daemon are up, they run it and this command follows (Ctrl-C detaches); otherwise it runs here.
    """
    settings = from_environment(os.environ)
    settings.policy.tier(tier)
    check_urls(settings)
    return run_tier(settings, tier, as_json=as_json)


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
            parse(settings.url(name), setting=name)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return f"uid {os.getuid()}"


def run_tier(settings: Settings, tier: str, *, as_json: bool, ui: str | None = None) -> int:
    """Run the tier's job for its open slot and print what it did; 1 if it failed or a check is untrue."""
    from desbuquei_backups.cli import runs
    from desbuquei_backups.defs.assets import STOPPED
    from desbuquei_backups.embedded.settings import with_embedded_servers

    slot = Site(settings).open_slot(tier)
    tags = {"desbuquei/backup_id": slot.backup_id, "desbuquei/operator": _operator()}
    with with_embedded_servers(settings) as running, Bars() as bars:
        outcome = runs.run(settings, slot, tags, progress=bars, said=lambda text: messages().print(text, style="dim"))
    if outcome is not None and STOPPED in outcome.errors:
        raise KeyboardInterrupt
    if outcome is None:
        messages().print("detached: the run goes on in Dagster; look there for its end", style="yellow")
        return 0
    if as_json:
        print_json(document(outcome, running))
    else:
        print_outcome(outcome, running, ui=ui)
    return 0 if outcome.true else 1
