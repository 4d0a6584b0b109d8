"""`desbuquei hold`: keep a backup until it is released, whatever its age."""

import click

from desbuquei_backups.cli.asking import asked_by
from desbuquei_backups.cli.database import database_option
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import open_site


@click.command()
@click.argument("backup_id", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is held.")
@click.option("--operator", metavar="NAME", help="Who holds it. [default: DESBUQUEI_OPERATOR, or your login name]")
@database_option
@json_option
def command(*, backup_id: str, reason: str, operator: str | None, as_json: bool) -> int:
    """Keep a backup until it is released.

    Retention leaves it, and in a bucket with Object Lock nobody can delete it.
    """
    from desbuquei_backups.operations.holds import hold

    with open_site(bars=False) as site:
        done = hold(site, backup_id, asked_by(operator, reason))
    said = "was held already" if done.was else "is held"
    if as_json:
        print_json({**done.hold.model_dump(mode="json"), "legal_holds": done.legal_holds, "was_held": done.was})
    else:
        locked = (
            f"{done.legal_holds} objects are under a legal hold"
            if done.legal_holds is not None
            else "the bucket has no Object Lock: retention keeps it, a person with the permission could delete it"
        )
        console().print(f"{backup_id} {said}: {done.hold.reason} ({done.hold.operator})\n{locked}", markup=False)
    return 0
