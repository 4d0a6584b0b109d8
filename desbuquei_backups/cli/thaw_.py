"""`desbuquei thaw`: ask S3 for a readable copy of a frozen backup."""

import click

from desbuquei_backups.cli import shown
from desbuquei_backups.cli.database import database_option
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import open_site
from desbuquei_backups.core.thawing import Speed, State, Thaw


@click.command()
@click.argument("backup_id", metavar="ID")
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="How long it stays readable.")
@click.option(
    "--speed", type=click.Choice(list(Speed)), default=Speed.STANDARD, show_default=True, help="The faster, the dearer."
)
@click.option("--second", is_flag=True, help="The copy in the second place.")
@database_option
@json_option
def command(*, backup_id: str, days: int, speed: str, second: bool, as_json: bool) -> int:
    """Ask S3 for a readable copy of a frozen backup (GLACIER, DEEP_ARCHIVE), and say when it will be there.

    Run again, it says how far that is. What is not frozen needs no thawing.
    """
    from desbuquei_backups.operations.thaw import thaw

    with open_site(bars=False) as opened:
        done = thaw(opened.at_second_place if second else opened, backup_id, days=days, speed=Speed(speed))
    if as_json:
        print_json(
            {
                "backup_id": done.backup_id,
                "state": done.state.value,
                "storage_class": done.storage_class,
                "asked": done.asked,
                "readable_by": done.readable_by.isoformat() if done.readable_by else None,
                "until": done.until.isoformat() if done.until else None,
            }
        )
    else:
        console().print(_said(done), soft_wrap=True, markup=False)
    return 0


def _said(done: Thaw) -> str:
    if done.state is State.NEVER_FROZEN:
        return f"{done.backup_id} is in {done.storage_class}: it can be read as it is"
    if done.state is State.THAWED:
        until = f" until {shown.instant(done.until)} UTC" if done.until else ""
        return f"{done.backup_id} is thawed{until}: desbuquei restore {done.backup_id} --into env:NAME"
    by = f" by {shown.instant(done.readable_by)} UTC" if done.readable_by else ": nobody wrote down since when"
    return f"{done.backup_id} is {'being thawed' if done.asked else 'still being thawed'}; it can be read{by}"
