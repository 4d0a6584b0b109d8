"""`desbuquei wal`: write-ahead log into S3. `push` is started for each segment, and imports what it needs alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli.database import all_databases_option, chosen_database, database_option, in_turn
from desbuquei_backups.cli.output import console, json_option, print_json

if TYPE_CHECKING:
    from desbuquei_backups.operations.second_wal import CaughtUp
    from desbuquei_backups.operations.wal_drain import Drained


@click.group()
def command() -> None:
    """Write-ahead log into S3, so that any second can be recovered to.

    `stream` does so all the time, `drain` once an hour, through a replication slot; `push` is for archive_command.
    """


@command.command()
@click.argument("path", metavar="%p", type=click.Path(path_type=Path))
@click.option(
    "--into",
    metavar="FOLDER",
    envvar="DESBUQUEI_WAL_PUSH_INTO",
    type=click.Path(path_type=Path),
    help="A folder of another host, its wal_archive. [default: S3; or DESBUQUEI_WAL_PUSH_INTO]",
)
@click.option("--off-host", is_flag=True, help="FOLDER is on another host, though its file system does not tell.")
@database_option
def push(*, path: Path, into: Path | None, off_host: bool) -> int:
    """Bring one WAL segment off this host: archive_command = 'desbuquei wal push %p'.

    Exit status 0 only when it is in S3, or fsynced in FOLDER; until then the server keeps it. An equal segment that is
    there is as good, another one is never overwritten.
    """
    from desbuquei_backups.operations.wal_push import push_to_folder, push_to_s3

    if into is not None:
        push_to_folder(path, into, off_host=off_host)
    else:
        push_to_s3(path, chosen_database())
    return 0


@command.command()
@click.option("--name", metavar="NAME", help="The recovery point's. [default: drain-, and the moment]")
@database_option
@json_option
def drain(*, name: str | None, as_json: bool) -> int:
    """Make a recovery point now, and bring all WAL up to it into S3.

    A named restore point, a commit after it, the end of the segment; then what the slot kept is received and archived.
    While `desbuquei wal stream` runs, it is waited for. Exit status 1 if anything of the spool could not be stored.
    Then the second place, if there is one, gets what it lacks; what is in its way is said, and made up later.
    """
    from desbuquei_backups.cli.site import open_site
    from desbuquei_backups.cli.wal_status import not_applicable
    from desbuquei_backups.operations.second_wal import catch_up
    from desbuquei_backups.operations.wal_drain import drain as do
    from desbuquei_backups.operations.wal_slot import Refused

    with open_site() as site:
        done = do(site, name or f"drain-{site.now():%Y-%m-%d-%H%M%S}")
        second = catch_up(site) if site.second is not None else None
    if isinstance(done, Refused):
        return not_applicable(done, as_json=as_json)
    if as_json:
        print_json({"applicable": True, **_document(done), "second_place": second and _document_of_second(second)})
    else:
        _print(done)
        for line in [second.said(), *(fault.what for fault in second.faults)] if second is not None else []:
            console().print(f"  second place: {line}", soft_wrap=True, markup=False)
    return int(bool(done.archived.faults))


@command.command()
@click.option(
    "--switch-after",
    type=click.FloatRange(min=1),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="End a segment that was written to, however empty, so that it comes into S3.",
)
@database_option
def stream(*, switch_after: float) -> int:
    """Bring WAL into S3 all the time, until SIGTERM or Ctrl-C: production's way.

    pg_receivewal writes into wal_archive/ in the backup folder; from there whole segments go to S3. What is down is
    waited for. See docs/systemd/desbuquei-wal-stream.service.
    """
    import logging
    import signal
    import threading

    from desbuquei_backups.cli.site import open_site
    from desbuquei_backups.operations.wal_stream import Streamer

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("desbuquei_backups").setLevel(logging.INFO)
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, lambda *_: stop.set())
    with open_site(bars=False) as site:
        Streamer(site, stop, switch_seconds=switch_after).run()
    return 0


@command.command()
@all_databases_option
@json_option
def status(*, as_json: bool) -> int:
    """Where the server is, what the slot holds back, what waits, what S3 has, and every gap.

    Exit status 1 if anything is untrue: a gap, a slot that holds back too much, WAL that is late.
    """
    from desbuquei_backups.cli.site import open_site
    from desbuquei_backups.cli.wal_status import shown

    def one() -> int:
        with open_site(bars=False) as site:
            return shown(site, as_json=as_json)

    return in_turn(one, as_json=as_json)


def _document(done: "Drained") -> dict[str, Any]:
    return {
        "point": done.point.model_dump(mode="json"),
        "reused": done.reused,
        "streamed": done.streamed,
        "stored": done.archived.stored,
        "equal": done.archived.equal,
        "faults": [error.what for error in done.archived.faults],
        "gap": done.gap.model_dump(mode="json") if done.gap else None,
        "seconds": round(done.seconds, 3),
    }


def _document_of_second(done: "CaughtUp") -> dict[str, Any]:
    return {
        "copied": sorted(done.copied),
        "faults": [error.what for error in done.faults],
        "trouble": done.trouble.what if done.trouble is not None else None,
        "seconds": round(done.seconds, 3),
    }


def _print(done: "Drained") -> None:
    from rich.markup import escape

    from desbuquei_backups.cli import shown

    out, stored = console(), done.archived
    out.print(f"[bold]{done.point.name}[/] at {done.point.lsn}, {done.point.at:%Y-%m-%d %H:%M:%S} UTC", soft_wrap=True)
    how = "by the streamer" if done.streamed else f"in {done.seconds:.1f} s"
    out.print(
        f"  {len(stored.stored):,} files stored {how}: {shown.size(stored.plain_bytes)} of WAL, "
        f"{shown.size(stored.stored_bytes)} in S3"
    )
    if done.gap is not None:
        out.print(f"  [red]lost for good:[/] {escape(done.gap.said())}", soft_wrap=True)
        out.print("  A new base backup is needed: desbuquei backup daily")
    for error in stored.faults:
        out.print(f"  [red]not stored:[/] {escape(error.what)}\n  {escape(error.remedy)}", soft_wrap=True)
