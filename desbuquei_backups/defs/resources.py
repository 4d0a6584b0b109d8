"""How a run reaches the settings: read when it runs, never when the code location loads."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from desbuquei_backups.defs.marks import mark
from desbuquei_backups.defs.run_process import TAG, this_process
from desbuquei_backups.embedded.settings import with_embedded_servers
from desbuquei_backups.operations.progress import Progress
from desbuquei_backups.operations.settings import from_environment
from desbuquei_backups.operations.site import Site, in_words_of

_WATCHER: ContextVar[Progress | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(progress: Progress) -> Iterator[None]:
    """Let `progress` see the operations of runs in this process, beside Dagster's own log."""
    token = _WATCHER.set(progress)
    try:
        yield
    finally:
        _WATCHER.reset(token)


class StageLog:
    """Tells a run's log how far an operation is; see operations.progress.Progress."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def stage(self, name: str, total: int | None = None, *, unit: str = "bytes") -> None:
        self._log.info(f"{name} ({total:,} {unit})" if total else name)
        if (watcher := _WATCHER.get()) is not None:
            watcher.stage(name, total, unit=unit)

    def advance(self, amount: int) -> None:
        if (watcher := _WATCHER.get()) is not None:
            watcher.advance(amount)


def policy_changed() -> datetime:
    """When the file of the policy was last written (aware UTC); long ago, if it is the packaged one or is not there."""
    path = Path(os.environ.get("DESBUQUEI_POLICY") or os.devnull)
    return datetime.fromtimestamp(path.stat().st_mtime if path.is_file() else 0, UTC)


class Backups(dg.ConfigurableResource):
    """The environment's settings, with embedded servers running for those that ask for them by name."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Say in the run which process works on it."""
        if context.instance is not None and context.run_id is not None:
            context.instance.add_run_tags(context.run_id, {TAG: mark(this_process(), context.run_id)})

    @contextmanager
    def site(self, log: logging.Logger, database: str) -> Iterator[Site]:
        """The site of this run, for the database that the policy calls so.

        Embedded servers stop when their last user is gone.
        """
        with with_embedded_servers(from_environment(os.environ, database)) as settings, in_words_of(settings):
            yield Site(settings, progress=StageLog(log))

    def at_rest(self, database: str) -> Site:
        """The site with nothing started for it: its folder can be looked at, and it is told what time it is."""
        return Site(from_environment(os.environ, database))
