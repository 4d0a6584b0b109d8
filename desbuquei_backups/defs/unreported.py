"""What was done while Dagster's storage was down: kept beside the backups, and reported when it is back."""

import logging
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import dagster as dg
from dagster._serdes import deserialize_value, serialize_value
from dagster_shared.serdes.errors import DeserializationError

from desbuquei_backups.defs.partitions import on_demand_name
from desbuquei_backups.storage import disk

_FOLDER = "unreported"
_LOG = logging.getLogger(__name__)


def keep(folder: Path, events: Iterable[dg.DagsterEvent]) -> None:
    """Write down the materialisations and check results among `events`."""
    kept: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = []
    for event in events:
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            kept.append(event.step_materialization_data.materialization)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            kept.append(event.asset_check_evaluation_data)
    if kept:
        disk.prepare(folder / _FOLDER)
        content = "".join(serialize_value(each) + "\n" for each in kept)
        disk.write_file(folder / _FOLDER / f"{time.time_ns()}.jsonl", content.encode())


def report(folder: Path, instance: dg.DagsterInstance, on_demand: Collection[str] = ()) -> int:
    """Report to `instance` all that was kept; says how many events there were.

    Partitions of the tiers in `on_demand` are registered: no cron makes them known.
    """
    reported = 0
    with disk.disk_errors(folder / _FOLDER):
        paths = sorted((folder / _FOLDER).glob("*.jsonl"))
    for path in paths:
        try:
            lines = path.read_text().split("\n")
            events = [
                deserialize_value(line, (dg.AssetMaterialization, dg.AssetCheckEvaluation)) for line in lines if line
            ]
        except (OSError, ValueError, DeserializationError) as error:
            # What cannot be read any more must not keep the next backup from being taken.
            _LOG.warning("%s is not reported to Dagster: %s", path, error)
            continue
        for event in events:
            database, tier = event.asset_key.path[:2]
            if tier in on_demand and event.partition:
                instance.add_dynamic_partitions(on_demand_name(database, tier), [event.partition])
            instance.report_runless_asset_event(event)
        reported += len(events)
        path.unlink()
    return reported
