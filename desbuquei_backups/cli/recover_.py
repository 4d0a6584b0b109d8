"""`desbuquei recover`: point-in-time recovery into a new data directory, ready to start."""

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli.database import database_option
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.recovering import asked, last_commit, recovery_options
from desbuquei_backups.cli.site import identity_option, open_site
from desbuquei_backups.core.wal import show_lsn

if TYPE_CHECKING:
    from desbuquei_backups.operations.recover import Recovered


@click.command()
@recovery_options(default_target=None)
@click.option(
    "--data-dir",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The new data directory: empty, or not there yet.",
)
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Of the new server. [default: a free one]")
@identity_option
@database_option
@json_option
def command(
    *,
    target: str,
    data_dir: Path,
    place: str,
    timeline: int | None,
    system_identifier: str | None,
    preload: tuple[str, ...],
    increments: bool,
    port: int | None,
    identity: Path | None,
    as_json: bool,
) -> int:
    """Recover the whole cluster to any second, into a data directory of its own.

    A base backup and the WAL after it are fetched and verified, replayed up to the target, and the server is stopped
    again: the directory is ready to start. It cannot touch the cluster that it is a copy of: it archives nothing,
    follows nobody, and listens on loopback alone; its postgresql.auto.conf says what to look at before it takes over.
    What fails or is cut off is simply run again.

    \b
      desbuquei recover --to latest --data-dir /srv/recovered
      desbuquei recover --to 2026-02-02T12:34:56+00:00 --data-dir /srv/recovered
    """
    from desbuquei_backups.operations.recover import recover

    wanted = asked(target, place, timeline, system_identifier, preload, port, increments=increments)
    with open_site(identity=identity) as site:
        done = recover(site, wanted, data_dir)
    if as_json:
        print_json(_document(done))
    else:
        _print(done)
    return 0


def _start(done: "Recovered") -> str:
    """The line that starts it, as whoever owns it, who may write the log nowhere else for certain."""
    owner = done.data.stat().st_uid
    as_owner = f"runuser -u {pwd.getpwuid(owner).pw_name} -- " if owner != os.geteuid() else ""
    return f"{as_owner}{done.programs.path('pg_ctl')} -D {done.data} -l {done.data / 'start.log'} start"


def _print(done: "Recovered") -> None:
    from rich.markup import escape

    out = console()
    plan = done.plan
    out.print(f"  base          {plan.base.backup_id}, from {done.place}")
    if plan.increment is not None:
        out.print(f"  increment     {plan.increment.backup_id}")
    out.print(f"  WAL           {len(plan.segments)} segments, timeline {plan.timeline}")
    for stage, seconds in done.seconds.items():
        out.print(f"  {stage:<24} {seconds:>9.1f} s")
    for note in done.notes:
        out.print(f"  [yellow]note[/]          {escape(note)}", soft_wrap=True)
    out.print(f"  to start it   {escape(_start(done))}   (port {done.port})", soft_wrap=True)
    end = ", the end of the WAL" if done.reached.at_the_end else ""
    out.print(
        f"[green]✓[/] Recovered to {escape(str(plan.target))}{end}: {last_commit(done.reached.committed_at)}, "
        f"last record at {show_lsn(done.reached.position)}, now timeline {done.reached.timeline}.",
        soft_wrap=True,
    )


def _document(done: "Recovered") -> dict[str, Any]:
    plan, reached = done.plan, done.reached
    return {
        "data_dir": str(done.data),
        "target": str(plan.target),
        "from": done.place.value,
        "backup_id": plan.base.backup_id,
        "increment": plan.increment.backup_id if plan.increment is not None else None,
        "timeline": plan.timeline,
        "segments": len(plan.segments),
        "reached": {
            "position": show_lsn(reached.position),
            "committed_at": reached.committed_at.isoformat() if reached.committed_at else None,
            "timeline": reached.timeline,
            "end_of_wal": reached.at_the_end,
        },
        "port": done.port,
        "start": _start(done),
        "seconds": done.seconds,
        "notes": list(done.notes),
    }
