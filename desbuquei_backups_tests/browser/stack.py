"""What an operator's browser talks to: Dagster as `desbuquei up` starts it, on embedded servers, with a past.

Two days ago a backup lost rows on its way back, yesterday none was taken, today's slot is open. Nothing starts by
itself.
"""

import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.definitions import build, defs
from desbuquei_backups.defs import resources
from desbuquei_backups.defs.instance import embedded_platform
from desbuquei_backups.embedded import samples
from desbuquei_backups.embedded.trial import Shape, in_environment, trial
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.conftest import SAMPLE_ROWS
from desbuquei_backups_tests.policies import due_together, with_crons, written

DESBUQUEI = str(Path(sys.executable).with_name("desbuquei"))
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

# A clean-up of the application's that fires when a view is refreshed, as the last step of a restore does.
LOST = "public.anexos"
_LOSING = f"""
create function public.limpa() returns event_trigger language plpgsql
    as $$ begin delete from {LOST} where id > 3; end $$;
create event trigger limpa on ddl_command_end when tag in ('REFRESH MATERIALIZED VIEW') execute function public.limpa();
"""
_LOSING_NO_MORE = "drop event trigger limpa; drop function public.limpa()"


@dataclass(frozen=True, slots=True)
class Stack:
    """Where Dagster is; the daily's slots by their fate, and all that can start by itself."""

    url: str
    proven: Slot
    lossy: Slot
    missed: Slot
    open: Slot
    automations: Sequence[str]


@contextmanager
def running(home: Path) -> Iterator[Stack]:
    """The stack, its state in `home`; nothing of it is alive afterwards. This process has its environment meanwhile."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    proven, lossy, missed, open_slot = (Slot("daily", hour - timedelta(days=days)) for days in (3, 2, 1, 0))
    # Once schedules are on, no backup falls due within hours.
    text = f"protected_since = {proven.due.isoformat()}\n{with_crons(due_together(hour))}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(samples.load_plain.__kwdefaults__, "rows", SAMPLE_ROWS)
        with trial(home, Shape.PLAIN, lambda _: None) as given:
            path = written(home, text)
            with in_environment(given | {"DESBUQUEI_POLICY": str(path)}), embedded_platform(home), _up(home) as up:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Dagster's own, of what is deprecated or a preview
                    definitions = build(load_policy(path), proven.due, retry_delay=0)
                    _take(definitions, proven)
                    with _losing_rows(given[DATABASE_URL]):
                        _take(definitions, lossy)
                served = defs()
                automations = [each.name for each in (*(served.schedules or ()), *(served.sensors or ()))]
                yield Stack(_address(up), proven, lossy, missed, open_slot, automations)


@contextmanager
def _up(home: Path) -> Iterator["subprocess.Popen[str]"]:
    with (
        (home / "up.log").open("w") as log,
        subprocess.Popen([DESBUQUEI, "up", "--port", "0"], stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _address(up: "subprocess.Popen[str]") -> str:
    assert up.stdout is not None
    found = re.search(r"http://\S+", said := up.stdout.readline())
    assert found is not None, said
    return found[0]


def _take(definitions: dg.Definitions, slot: Slot) -> None:
    """The slot's whole run, as on its day: the clock says that it has just fallen due."""
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.get() as instance:
        patch.setattr(resources, "Site", partial(Site, now=lambda: slot.due + timedelta(minutes=1)))
        job = definitions.resolve_job_def(f"desbuquei_{slot.tier}")
        job.execute_in_process(partition_key=slot.key, instance=instance, run_config=_QUIET)


@contextmanager
def _losing_rows(url: str) -> Iterator[None]:
    """What is dumped meanwhile loses rows when it is restored."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_LOSING)
        yield
        connection.execute(_LOSING_NO_MORE)
