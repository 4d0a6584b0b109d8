"""What a run did, gathered from its events: its steps, its checks, what went wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster import DagsterEventType

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.slots import Slot


@dataclass(frozen=True, slots=True)
class Step:
    """One asset of the chain in one run: `metadata` as values, tables as lists of rows."""

    asset: str
    seconds: float
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """One check as it was judged. `severity` tells untrue (ERROR) from what could not be compared (WARN)."""

    asset: str
    name: str
    passed: bool
    severity: str
    description: str
    differences: tuple[str, ...] = ()

    @property
    def untrue(self) -> bool:
        return not self.passed and self.severity == "ERROR"


@dataclass(slots=True)
class Outcome:
    """What a run did. `true`: it succeeded, and no check is untrue."""

    run_id: str
    slot: Slot
    success: bool
    steps: list[Step] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def true(self) -> bool:
        return self.success and not any(check.untrue for check in self.checks)


def outcome(events: Sequence[dg.DagsterEvent], run_id: str, slot: Slot) -> Outcome:
    """Gather steps, checks and errors from a run's events; a check judged twice counts as last judged."""
    steps: list[Step] = []
    checks: dict[tuple[str, str], Check] = {}
    errors: dict[str, str] = {}
    seconds: dict[str, float] = {}
    metadata: dict[str, dict[str, Any]] = {}
    made_by: dict[str, str] = {}
    success = False
    for event in events:
        kind, step = event.event_type, event.step_key or ""
        if kind is DagsterEventType.ASSET_MATERIALIZATION:
            made = event.step_materialization_data.materialization
            # By the asset: one step may make two.
            asset = made.asset_key.path[-1]
            metadata[asset] = {name: _plain(value) for name, value in made.metadata.items()}
            made_by[asset] = step
        elif kind is DagsterEventType.ASSET_CHECK_EVALUATION:
            judged = event.asset_check_evaluation_data
            key = (judged.asset_key.path[-1], judged.check_name)
            checks[key] = Check(
                *key, judged.passed, judged.severity.value, judged.description or "", _differences(judged.metadata)
            )
        elif kind is DagsterEventType.STEP_SUCCESS:
            seconds[step] = round(event.step_success_data.duration_ms / 1000, 3)
            errors.pop(step, None)
        elif kind in (DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY):
            why = reason(event)
            # What Dagster says of the last try, "Exceeded max_retries", is not what happened.
            errors[step] = errors.get(step, why) if "max_retries" in why else why
        elif kind is DagsterEventType.RUN_SUCCESS:
            success = True
        elif kind is DagsterEventType.RUN_FAILURE and not errors:
            errors[""] = event.message or "the run failed"
    steps = [Step(asset, seconds.get(made_by[asset], 0.0), found) for asset, found in metadata.items()]
    return Outcome(run_id, slot, success, steps, list(checks.values()), list(errors.values()))


def _differences(metadata: Mapping[str, dg.MetadataValue]) -> tuple[str, ...]:
    """What differs, and how, as the check's table says it."""
    compared = metadata.get("compared")
    rows = [record.data for record in compared.records] if isinstance(compared, dg.TableMetadataValue) else []
    return tuple(f"{row['what']}: {row['why']}" for row in rows if row["verdict"] == Verdict.DIFFERS.value)


def reason(event: dg.DagsterEvent) -> str:
    """Why a step failed, or is tried again."""
    data: Any = event.event_specific_data
    described = getattr(getattr(data, "user_failure_data", None), "description", None)
    return str(described or (data.error.message if data.error else event.message)).strip()


def _plain(value: dg.MetadataValue) -> Any:
    if isinstance(value, dg.TableMetadataValue):
        return [record.data for record in value.records]
    return value.value
