"""What was done while Dagster's storage was down: kept beside the backups, and reported when it is back."""

import time
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
from dagster._serdes import deserialize_value, serialize_value

from desbuquei_backups.storage import disk

_FOLDER = "unreported"


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


def report(folder: Path, instance: dg.DagsterInstance) -> int:
    """Report to `instance` all that was kept; says how many events there were."""
    reported = 0
    for path in sorted((folder / _FOLDER).glob("*.jsonl")):
        for line in path.read_text().splitlines():
            event = deserialize_value(line, (dg.AssetMaterialization, dg.AssetCheckEvaluation))
            instance.report_runless_asset_event(event)
            reported += 1
        path.unlink()
    return reported
