"""What doctor says of Dagster: a daemon that nobody started takes no backup, and says nothing by itself."""

import sys
import time
from importlib import resources
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from desbuquei_backups.cli.doctor_scheduler import scheduler
from desbuquei_backups.operations.doctor import Outcome, Precondition


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME whose storage is in files."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("DESBUQUEI_SCHEDULES", raising=False)
    return tmp_path


def found() -> dict[str, Precondition]:
    return {each.name: each for each in scheduler()}


def test_without_a_place_for_dagster_nothing_is_taken_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("DESBUQUEI_DATABASE_URL", raising=False)
    assert found()["DAGSTER_HOME"].outcome is Outcome.FAILURE
    monkeypatch.setenv("DESBUQUEI_DATABASE_URL", "embedded")
    assert found()["DAGSTER_HOME"].outcome is Outcome.NOT_APPLICABLE


def test_a_daemon_that_is_not_there_is_found(home: Path) -> None:
    never = found()
    assert never["storage"].outcome is Outcome.OK
    assert (never["daemon"].outcome, "never heard of" in never["daemon"].said) == (Outcome.WARNING, True)

    def heard(at: float) -> None:
        with dg.DagsterInstance.get() as instance:
            for kind in instance.get_required_daemon_types():
                instance.add_daemon_heartbeat(DaemonHeartbeat(at, kind, "x"))

    heard(1770000000.0)
    assert "not heard of since 2026-02-02 02:40 UTC" in found()["daemon"].said
    heard(time.time())
    assert found()["daemon"].outcome is Outcome.OK


def test_schedules_that_are_left_off_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found()["schedules"].outcome is Outcome.OK
    monkeypatch.setenv("DESBUQUEI_SCHEDULES", "off")
    assert found()["schedules"].outcome is Outcome.WARNING


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "there is no dagster.yaml"),
        ((resources.files("desbuquei_backups") / "dagster.yaml").read_text(), "DAGSTER_PG_PASSWORD"),
        ("- no mapping", ""),
    ],
    ids=["not there", "a setting is lost", "no configuration"],
)
def test_a_dagster_that_cannot_be_had_is_a_finding(
    home: Path, written: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOST", "PORT", "USERNAME", "PASSWORD", "DB"):
        monkeypatch.delenv(f"DAGSTER_PG_{name}", raising=False)
    (home / "dagster.yaml").unlink() if written is None else (home / "dagster.yaml").write_text(written)
    (fault,) = (each for each in scheduler() if each.outcome is Outcome.FAILURE)
    assert said in fault.said
    assert fault.remedy


def test_a_broken_dagster_leaves_all_other_findings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dagster", None)
    assert found()["storage"].outcome is Outcome.FAILURE
