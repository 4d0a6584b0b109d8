"""The environment that a run reads, and jobs run on an instance of their own."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import dagster as dg
import pytest

from desbuquei_backups.core.invariants import load_invariants
from desbuquei_backups.core.slots import Slot, last_due
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.definitions import build
from desbuquei_backups.defs.execution import Outcome, outcome
from desbuquei_backups.operations.settings import DATABASE_URL, INVARIANTS, RESTORE_URL, S3_URL, SECOND_S3_URL
from desbuquei_backups_tests.conftest import Endpoints

_POLICY = load_policy()
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Dagster's own deprecated calls are its own affair."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch, endpoints: Endpoints, bucket_url: str, folder: Path, sample_url: str
) -> pytest.MonkeyPatch:
    """The settings of a run that backs up the plain sample."""
    for name, value in {
        DATABASE_URL: sample_url,
        S3_URL: bucket_url,
        RESTORE_URL: endpoints.scratch,
        "DESBUQUEI_BACKUP_DIR": str(folder),
        "AWS_MAX_ATTEMPTS": "1",
        **endpoints.aws,
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def open_slot() -> Slot:
    return Slot("daily", last_due(_POLICY.tier("daily").cron, datetime.now(UTC)))


Run = Callable[..., Outcome]


@pytest.fixture
def defined() -> Callable[[], dg.Definitions]:
    """A function that makes the definitions of the policy that the environment names."""

    @cache
    def of(path: str | None, second: str | None, invariants: str | None) -> dg.Definitions:
        policy = load_policy(Path(path) if path else None)
        since = datetime.now(UTC) - timedelta(days=3)
        asked = load_invariants(Path(invariants)) if invariants else {}
        return build(policy, since, retry_delay=0, second_place=second is not None, invariants=asked)

    return lambda: of(*map(os.environ.get, ("DESBUQUEI_POLICY", SECOND_S3_URL, INVARIANTS)))


@pytest.fixture
def run(instance: dg.DagsterInstance, open_slot: Slot, defined: Callable[[], dg.Definitions]) -> Run:
    """A function that runs a slot's job, the open daily's unless told otherwise, with `config` for its dump."""

    def once(slot: Slot = open_slot, config: Mapping[str, str] | None = None) -> Outcome:
        asked = {"ops": {f"desbuquei__{slot.tier}__dump": {"config": dict(config)}}} if config is not None else {}
        result = (
            defined()
            .resolve_job_def(f"desbuquei_{slot.tier}")
            .execute_in_process(
                partition_key=slot.key, instance=instance, raise_on_error=False, run_config={**_QUIET, **asked}
            )
        )
        return outcome(result.all_events, result.run_id, slot)

    return once
