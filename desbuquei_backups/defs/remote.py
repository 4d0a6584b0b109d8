"""A webserver and daemon that are up: found by what `desbuquei up` wrote down, asked to run a job, and followed."""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from desbuquei_backups.core.errors import ToolFailed
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.settings import EMBEDDED, S3_URL, Settings
from desbuquei_backups.postgres.connection import described, parse

_HEALTH = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Webserver:
    """Where a webserver listens, and which settings its runs have, those of each database."""

    host: str
    port: int
    serves: Sequence[str]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def write_down(home: Path, webserver: Webserver) -> Path:
    """Let other commands find this webserver; the file is to be removed when it stops."""
    path = home / "webserver.json"
    home.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(webserver)))
    return path


def served_by(settings: Settings) -> str:
    """What a run with these settings works on: the same words for the same place, with no password in them."""
    urls = {name: url if url == EMBEDDED else _without_password(settings, name) for name, url in settings.urls.items()}
    place = {"urls": urls, "folder": str(settings.folder), "dagster": os.environ.get("DAGSTER_HOME", "")}
    return json.dumps(place | {"policy": settings.policy.model_dump_json()}, sort_keys=True)


def find(settings: Settings) -> Webserver | None:
    """The webserver whose runs have these very settings, if it answers and its daemon would start a run; else None."""
    try:
        webserver = Webserver(**json.loads((settings.home / "webserver.json").read_text()))
        if served_by(settings) not in webserver.serves:
            return None
        request = urllib.request.Request(  # noqa: S310 - the address is our own
            f"{webserver.url}/graphql",
            json.dumps({"query": _HEALTH}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            statuses = json.load(answer)["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    healthy = {status["daemonType"]: status["healthy"] for status in statuses if status["required"]}
    return webserver if healthy.get("QUEUED_RUN_COORDINATOR") else None


def submit(webserver: Webserver, job: str, slot: Slot, tags: dict[str, str], config: dict[str, Any]) -> str:
    """Launch the tier's job for `slot` there; returns the run's id."""
    from dagster_graphql import DagsterGraphQLClient

    client = DagsterGraphQLClient(webserver.host, port_number=webserver.port)
    return client.submit_job_execution(job, run_config=config, tags={"dagster/partition": slot.key, **tags})


def follow(instance: dg.DagsterInstance, run_id: str, said: Callable[[str], None]) -> list[dg.DagsterEvent]:
    """Wait for the run to end, telling each asset's step as it begins; returns the run's events."""
    seen: set[Any] = set()
    while True:
        events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
        for event in events:
            if event.event_type is dg.DagsterEventType.STEP_START and event.step_key not in seen:
                seen.add(event.step_key)
                said(str(event.step_key).rsplit("__", 1)[-1].replace("_", " "))
        run = instance.get_run_by_id(run_id)
        if run is None:
            raise ToolFailed(
                f"the run {run_id} is not in this Dagster instance", remedy="set DAGSTER_HOME as it is there"
            )
        if run.is_finished:
            return [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
        time.sleep(_POLL_SECONDS)


def _without_password(settings: Settings, name: str) -> str:
    url = settings.url(name)
    return url if name == S3_URL else described(parse(url, setting=settings.variable(name)))
