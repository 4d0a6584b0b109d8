"""Which of the policy's databases a command works on: the one that is asked for, the first, or all in turn."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from desbuquei_backups.cli.output import console, messages, say
from desbuquei_backups.core.errors import BackupError, ConfigurationError

if TYPE_CHECKING:
    from desbuquei_backups.core.databases import Database

CHOSEN = f"{__name__}.chosen"
_SAID = f"{__name__}.said"


def _choose(context: click.Context, parameter: click.Parameter, name: str | None) -> None:  # noqa: ARG001
    if name is not None:
        context.meta[CHOSEN] = name


database_option = click.option(
    "--database",
    metavar="NAME",
    expose_value=False,
    callback=_choose,
    help="Which of the policy's databases. [default: the first]",
)
all_databases_option = click.option(
    "--database",
    metavar="NAME",
    expose_value=False,
    callback=_choose,
    help="This one of the policy's databases. [default: all; the first, for what an id names]",
)


def chosen_database() -> str | None:
    """The name of the database to work on; None: the first one."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(CHOSEN)


def say_which(databases: "Sequence[Database]") -> None:
    """Where there are several and none was asked for, say once that it is the first: ids are the same in each."""
    context, names = click.get_current_context(silent=True), [each.name for each in databases]
    if context is not None and chosen_database() is None and len(names) > 1 and not context.meta.get(_SAID):
        context.meta[_SAID] = True
        others = ", ".join(names[1:])
        messages().print(f"of the database {names[0]}; --database chooses another: {others}", style="dim", markup=False)


def each_database() -> Iterator[str | None]:
    """The databases to work on, while each is the chosen one: the one that is asked for, or all. None: the only one.

    A policy that cannot be read is left to be found out by the command itself.
    """
    from desbuquei_backups.operations.settings import databases_in

    try:
        names = [] if chosen_database() is not None else [each.name for each in databases_in(os.environ)]
    except ConfigurationError:
        names = []
    if len(names) < 2:
        yield None
        return
    meta = click.get_current_context().meta
    for name in names:
        meta[CHOSEN] = name
        try:
            yield name
        finally:
            del meta[CHOSEN]


def in_turn(run: Callable[[], int], *, as_json: bool, headed: bool = True) -> int:
    """Run it for each database, under its name; the worst exit status. What goes wrong in one keeps no other from it.

    As JSON it is one document: `databases`, and in it what `run` prints, by the database's name. `headed`: the names
    are printed where it is no JSON.
    """
    statuses: list[int] = []
    for name in each_database():
        if name is None:
            return run()
        if as_json:
            click.echo(("," if statuses else '{"databases": {') + f"\n{json.dumps(name)}: ", nl=False)
        elif headed:
            console().print(f"[bold]{name}[/]" if not statuses else f"\n[bold]{name}[/]")
        try:
            statuses.append(run())
        except BackupError as error:
            say(error)
            statuses.append(error.exit_status)
    if as_json:
        click.echo("}}")
    return max(statuses)
