"""What `recover` and `drill` share: their options, and what they say of a point that was reached."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from desbuquei_backups.operations.recovered_copy import Wanted

_F = TypeVar("_F", bound=Callable[..., Any])


def recovery_options(*, default_target: str | None) -> Callable[[_F], _F]:
    """--to, --from and the rare ones; `default_target`: None if --to is required."""
    options = [
        click.option(
            "--to",
            "target",
            metavar="TARGET",
            required=default_target is None,
            default=default_target,
            show_default=default_target is not None,
            help="An instant with its zone, 2026-02-02T12:34:56+00:00, included; a WAL position, 16/B374D848, up to "
            "which all is replayed; the name of a restore point; the id of a backup; or latest.",
        ),
        click.option(
            "--from",
            "place",
            type=click.Choice(["s3", "second", "disk"]),
            default="s3",
            show_default=True,
            help="s3 needs nothing but the bucket and credentials, second those of the second place; disk takes base "
            "backup and WAL from the folder.",
        ),
        click.option(
            "--timeline",
            type=click.IntRange(1),
            metavar="N",
            help="Follow that timeline. [default: the one begun last]",
        ),
        click.option("--system-identifier", metavar="ID", help="Of which cluster, where there are several."),
        click.option(
            "--preload",
            multiple=True,
            metavar="LIBRARY",
            help="Load this for replay: an extension that writes WAL of its own needs it; may be given again.",
        ),
        click.option(
            "--increments/--no-increments",
            default=True,
            help="Combine an increment with its base backup where that is quicker than replaying the WAL between them.",
        ),
    ]

    def add(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def asked(
    target: str,
    place: str,
    timeline: int | None,
    system_identifier: str | None,
    preload: tuple[str, ...],
    port: int | None = None,
    *,
    increments: bool = True,
) -> "Wanted":
    """What the options ask for; ConfigurationError if the target cannot be read."""
    from desbuquei_backups.core.targets import parse_target
    from desbuquei_backups.operations.copies import Place
    from desbuquei_backups.operations.recovered_copy import Wanted

    return Wanted(parse_target(target), Place(place), port, timeline, system_identifier, preload, increments=increments)


def last_commit(at: datetime | None) -> str:
    """As people read it, to the microsecond."""
    return f"last commit {at:%Y-%m-%d %H:%M:%S.%f} UTC" if at is not None else "no commit in this WAL"
