"""What `desbuquei doctor` says of Dagster: its storage, its daemon, and what is switched on.

Dagster is imported when it is looked at, and not before: a host where it is broken still gets all other findings.
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.settings import EMBEDDED, URLS

if TYPE_CHECKING:
    import dagster as dg

_AREA = Area("scheduler")
_HOME = "DAGSTER_HOME"
_LACKING = re.compile(r'environment variable "(\w+)" which is not set')
_LONGEST = 300
_SWITCH = "switch it on in Dagster's pages, under Automation"


def scheduler() -> Iterator[Precondition]:
    """Whatever goes wrong in Dagster is a finding: this never raises."""
    given = os.environ.get(_HOME)
    if not given:
        yield _unset()
        return
    if not (Path(given) / "dagster.yaml").is_file():
        yield _AREA.failure(_HOME, f"there is no dagster.yaml in {given}", "copy the one of this project there")
        return
    yield _AREA.ok(_HOME, given)
    name = "storage"
    try:
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            instance.get_runs_count()
            yield _AREA.ok(name, "answers")
            name = "daemon"
            yield _daemon(instance)
            name = "schedules"
            yield _switched_on(instance)
    except Exception as error:  # noqa: BLE001 - whatever it is: the other findings stand
        yield _AREA.failure(
            name,
            _in_short(error),
            "see DAGSTER_PG_* and dagster.yaml; meanwhile desbuquei backup works, and reports to it later",
        )


def _in_short(error: Exception) -> str:
    """One line of Dagster's many: the variable that its configuration lacks, or the first one."""
    text = str(error).strip()
    if lacking := dict.fromkeys(_LACKING.findall(text)):
        return f"{', '.join(lacking)}: not set, and dagster.yaml reads it"
    return text.splitlines()[0][:_LONGEST] if text else type(error).__name__


def _unset() -> Precondition:
    if EMBEDDED in map(os.environ.get, URLS):
        return _AREA.not_applicable(_HOME, "not set: with embedded servers there is one in DESBUQUEI_HOME")
    return _AREA.failure(
        _HOME,
        "not set: nothing is taken by itself, and desbuquei backup has nowhere to record its runs",
        "set it to a folder with a copy of dagster.yaml: docs/install.md",
    )


def _daemon(instance: "dg.DagsterInstance") -> Precondition:
    silent = [each for each in instance.get_daemon_statuses().values() if each.required and not each.healthy]
    if not silent:
        return _AREA.ok("daemon", "all its parts were heard of in the last minutes")
    beats = [each.last_heartbeat.timestamp for each in silent if each.last_heartbeat is not None]
    last = max(beats, default=None)
    when = f"not heard of since {datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC" if last else "never heard of"
    parts = ", ".join(sorted(each.daemon_type.lower() for each in silent))
    return _AREA.warning(
        "daemon",
        f"{when}: {parts}; no schedule is taken",
        "start it: systemctl start desbuquei-daemon (docs/install.md), or desbuquei up",
    )


def _switched_on(instance: "dg.DagsterInstance") -> Precondition:
    """By what somebody switched in the pages; else as DESBUQUEI_SCHEDULES has it, here at least."""
    states: dict[str, set[str]] = {}
    for state in instance.all_instigator_state():
        states.setdefault(state.instigator_name, set()).add(state.status.value)
    # Of several places that a location was loaded from, the one that somebody switched on counts.
    on = sorted(name for name, found in states.items() if "RUNNING" in found)
    off = sorted(name for name, found in states.items() if "STOPPED" in found and "RUNNING" not in found)
    if os.environ.get("DESBUQUEI_SCHEDULES") == "off" and not on:
        return _AREA.warning(
            "schedules", "DESBUQUEI_SCHEDULES=off, and nobody switched one on: nothing is taken by itself", _SWITCH
        )
    if off:
        return _AREA.warning("schedules", f"switched off: {', '.join(off)}", _SWITCH)
    return _AREA.ok("schedules", "no schedule and no sensor is switched off")
