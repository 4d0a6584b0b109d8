"""`desbuquei release`: end a hold."""

import click

from desbuquei_backups.cli.database import database_option
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import open_site


@click.command()
@click.argument("backup_id", metavar="ID")
@database_option
@json_option
def command(*, backup_id: str, as_json: bool) -> int:
    """End the hold of a backup: from now on retention decides how long it is kept."""
    from desbuquei_backups.operations.holds import release

    with open_site(bars=False) as site:
        done = release(site, backup_id)
    if as_json:
        print_json({**done.hold.model_dump(mode="json"), "legal_holds": done.legal_holds})
    else:
        console().print(
            f"{backup_id} is no longer held; it was: {done.hold.reason} ({done.hold.operator})", markup=False
        )
    return 0
