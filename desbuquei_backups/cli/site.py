"""The one place where a command gets its site: settings, bucket, clock, and bars on stderr."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from desbuquei_backups.cli.database import chosen_database, say_which
from desbuquei_backups.core.databases import named
from desbuquei_backups.embedded.settings import with_embedded_servers
from desbuquei_backups.operations.settings import databases_in, settings_of
from desbuquei_backups.operations.site import Site, in_words_of

identity_option = click.option(
    "--identity",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The age identity that opens encrypted backups. [default: DESBUQUEI_AGE_IDENTITY]",
)


@contextmanager
def open_site(*, bars: bool = True, identity: Path | None = None) -> Iterator[Site]:
    """The site of this environment and the chosen database; ConfigurationError if the policy is bad.

    `bars=False`: nothing is drawn. `identity`: the file named on the command line.
    """
    databases = databases_in(os.environ)
    say_which(databases)
    given = settings_of(named(databases, chosen_database()), os.environ, databases)
    if identity is not None:
        given = replace(given, age_identity=identity)
    with with_embedded_servers(given) as settings, in_words_of(settings):
        if not bars:
            yield Site(settings)
            return
        from desbuquei_backups.cli.progress import Bars

        with Bars() as progress:
            yield Site(settings, progress=progress)
