"""The Dagster instance that a command works on: the one of DAGSTER_HOME, or one on the embedded `platform` server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.operations.settings import EMBEDDED, Settings

_HOME = "DAGSTER_HOME"


def needs_embedded_platform(settings: Settings) -> bool:
    """Whether Dagster's storage is to be embedded too: no DAGSTER_HOME, and some URL asks for embedded servers."""
    return not os.environ.get(_HOME) and EMBEDDED in settings.urls.values()


@contextmanager
def dagster_home(settings: Settings) -> Iterator[None]:
    """See that DAGSTER_HOME and what its dagster.yaml reads are in the environment.

    ConfigurationError if DAGSTER_HOME is not set and nothing asks for embedded servers.
    """
    if folder := os.environ.get(_HOME):
        if not Path(folder).is_dir():
            raise ConfigurationError(f"{_HOME} names no folder: {folder}", remedy="make it, with a dagster.yaml in it")
        yield
    elif needs_embedded_platform(settings):
        with embedded_platform(settings.home):
            yield
    else:
        raise ConfigurationError(
            f"{_HOME} is not set: there is nowhere to record the run",
            remedy="set it to the folder with Dagster's dagster.yaml, as docs/ and the packaged dagster.yaml show",
        )


@contextmanager
def embedded_platform(home: Path) -> Iterator[None]:
    """Dagster's storage on the embedded `platform` server, its folder under `home`."""
    from desbuquei_backups.embedded import Server, servers

    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text((resources.files("desbuquei_backups") / "dagster.yaml").read_text())
    with servers(home, Server.PLATFORM) as endpoints:
        server = endpoints.postgres[Server.PLATFORM]
        before = dict(os.environ)
        os.environ.update(
            DAGSTER_HOME=str(folder),
            DAGSTER_PG_HOST=server.host,
            DAGSTER_PG_PORT=str(server.port),
            DAGSTER_PG_USERNAME=server.user,
            DAGSTER_PG_PASSWORD=server.password,
            DAGSTER_PG_DB=server.database,
        )
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
