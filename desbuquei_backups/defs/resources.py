"""How a run reaches the settings: read when it runs, never when the code location loads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from desbuquei_backups.embedded.settings import with_embedded_servers
from desbuquei_backups.operations.settings import from_environment
from desbuquei_backups.operations.site import Site


class StageLog:
    """Tells a run's log how far an operation is; see operations.progress.Progress."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        self._log = log

    def stage(self, name: str, total: int | None = None, *, unit: str = "bytes") -> None:
        self._log.info(f"{name} ({total:,} {unit})" if total else name)

    def advance(self, amount: int) -> None:
        pass


class Backups(dg.ConfigurableResource):
    """The environment's settings, with embedded servers running for those that ask for them by name."""

    @contextmanager
    def site(self, log: dg.DagsterLogManager) -> Iterator[Site]:
        """The site of this run; embedded servers stop when their last user is gone."""
        with with_embedded_servers(from_environment(os.environ)) as settings:
            yield Site(settings, progress=StageLog(log))
