"""`desbuquei metrics`: what Prometheus wants to know."""

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desbuquei_backups.cli.database import all_databases_option, each_database
from desbuquei_backups.cli.output import json_option, messages, print_json
from desbuquei_backups.cli.site import open_site
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.metric_names import Sample

if TYPE_CHECKING:
    from desbuquei_backups.operations.site import Site

_KEEP_SECONDS = 30.0


def _address(ctx: click.Context, param: click.Parameter, given: str | None) -> tuple[str, int] | None:  # noqa: ARG001
    if given is None:
        return None
    host, _, port = given.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter("write [HOST:]PORT, like 9187 or 10.0.0.5:9187")
    return host.strip("[]") or "127.0.0.1", int(port)


def _prom(ctx: click.Context, param: click.Parameter, given: Path | None) -> Path | None:  # noqa: ARG001
    if given is not None and given.suffix != ".prom":
        raise click.BadParameter("node-exporter reads files whose names end in .prom alone")
    return given


@click.command()
@click.option(
    "--textfile", metavar="PATH", type=click.Path(path_type=Path), callback=_prom, help="Write a node-exporter file."
)
@click.option("--serve", metavar="[HOST:]PORT", callback=_address, help="Serve them until stopped; on loopback.")
@all_databases_option
@json_option
def command(*, textfile: Path | None, serve: tuple[str, int] | None, as_json: bool) -> int:
    """Print the metrics in Prometheus's text format: what `status` knows, WAL, disk, checks and conditions.

    Database and S3 are asked, once; what does not answer has no value, and desbuquei_up is 0. Served, they are
    collected when somebody asks, and kept for 30 seconds. What is wrong (desbuquei_condition) is as it was last looked
    at by the sensor or by `desbuquei notify`.
    """
    if sum((textfile is not None, serve is not None, as_json)) > 1:
        raise click.UsageError("one of --textfile, --serve and --json at a time")
    from desbuquei_backups.operations.exposition import text, write_textfile

    with ExitStack() as stack:
        collect = _collecting(_opened(stack))
        if as_json:
            print_json({"samples": [_document(name, each) for name, found in collect() for each in found]})
        elif textfile is not None:
            write_textfile(textfile.absolute(), text(collect))
        elif serve is not None:
            _serve(collect, *serve)
        else:
            click.echo(text(collect), nl=False)
    return 0


def _opened(stack: ExitStack) -> "list[Site]":
    """One database whose settings are wrong keeps the others from nothing: that is said, and it has no metrics."""
    sites: list[Site] = []
    wrong: BackupError | None = None
    for name in each_database():
        try:
            sites.append(stack.enter_context(open_site(bars=False)))
        except BackupError as error:
            wrong = error
            if name is not None:
                messages().print(f"{name} has no metrics: {error.what}", markup=False, soft_wrap=True)
    if not sites and wrong is not None:
        raise wrong
    return sites


def _collecting(sites: "Sequence[Site]") -> Callable[[], Sequence[tuple[str, Sequence[Sample]]]]:
    from desbuquei_backups.operations.measuring import samples

    return lambda: [(site.policy.database, samples(site)) for site in sites]


def _serve(collect: Callable[[], Sequence[tuple[str, Sequence[Sample]]]], host: str, port: int) -> None:
    from desbuquei_backups.operations.exposition import Served

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with Served(collect, host, port, keep_seconds=_KEEP_SECONDS) as listening:
        shown = f"[{host}]" if ":" in host else host
        messages().print(f"http://{shown}:{listening}/metrics", soft_wrap=True)
        stopped.wait()


def _document(database: str, sample: Sample) -> dict[str, object]:
    return {"name": sample.name, "database": database, **sample.labels, "value": sample.value}
