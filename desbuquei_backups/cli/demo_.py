"""`desbuquei demo`: the whole of it on embedded servers."""

import os

import click

from desbuquei_backups.cli.backup_ import run_tier
from desbuquei_backups.cli.output import json_option, messages
from desbuquei_backups.embedded.trial import Shape, home_of, in_environment, trial
from desbuquei_backups.operations.settings import from_environment


@click.command("demo")
@click.option("--shape", type=click.Choice([*map(str, Shape)]), default="plain", help="The sample to back up.")
@json_option
def command(shape: str, as_json: bool) -> int:
    """Back up a sample database, archive it, restore it, prove that the copy is the source, and report on it.

    Everything is embedded and lies in DESBUQUEI_HOME (.desbuquei/ here): a sample database, Dagster's storage, a server
    for restored copies, and S3. Run again on the same day, it finds the slot filled and proves the backup again.
    """
    from desbuquei_backups.defs.instance import embedded_platform

    home = home_of(from_environment(os.environ).home, Shape(shape))
    with (
        trial(home, Shape(shape), lambda text: messages().print(text, style="dim")) as given,
        in_environment(given),
        embedded_platform(home),
    ):
        made = "" if shape == Shape.PLAIN else f" --shape {shape}"
        settings, ui = from_environment(os.environ), f"desbuquei up --demo{made}"
        return run_tier(settings, "daily", as_json=as_json, ui=ui, report=True)
