"""What is asked for again by itself, and what is not: nobody looks at backups on the day they stop."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.definitions import build
from desbuquei_backups.defs import resources
from desbuquei_backups.operations import records
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.conftest import Clock
from desbuquei_backups_tests.defs.daemon import Daemon

_SINCE = datetime(2026, 2, 3, 15, 20, tzinfo=UTC)


def lines(folder: Path) -> dict[str, records.Line]:
    return {line["backup_id"]: line for line in records.lines(folder)}


_NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """15:20 on a Tuesday: every tier is in the middle of a slot."""
    clock = Clock(_SINCE)
    monkeypatch.setattr(resources, "Site", partial(Site, now=clock))
    return clock


@pytest.fixture
def definitions() -> dg.Definitions:
    return build(load_policy(), _SINCE, retry_delay=0, loaded=_SINCE - timedelta(days=1))


@pytest.fixture
def daemon(
    environment: pytest.MonkeyPatch, instance: dg.DagsterInstance, clock: Clock, definitions: dg.Definitions
) -> Daemon:
    return Daemon(instance, clock, definitions)


def ids(requests: list[dg.RunRequest]) -> list[str]:
    return [request.tags["desbuquei/backup_id"] for request in requests]


def steps(request: dg.RunRequest) -> list[str] | None:
    return [key.path[-1] for key in request.asset_selection] if request.asset_selection else None


@pytest.mark.usefixtures("no_wal")
def test_a_fresh_installation_fills_every_open_slot_by_one_dump(daemon: Daemon, folder: Path) -> None:
    assert daemon.tick() == []  # the schedules may be about to
    daemon.clock.pass_by(seconds=90)
    first = daemon.tick()
    assert ids(first) == ["daily-2026-02-03-020000", "hourly-2026-02-03-150000"]
    assert daemon.launch(first) == [True, True]
    rest = daemon.tick()
    assert sorted(ids(rest)) == [
        "monthly-2026-02-01-020000",
        "quarterly-2026-01-01-020000",
        "weekly-2026-02-01-020000",
    ]
    assert daemon.launch(rest) == [True] * 3
    assert daemon.asked() == []
    found = lines(folder)
    assert [backup_id for backup_id, line in found.items() if line["egress_bytes"]] == ["daily-2026-02-03-020000"]
    assert all(line["recovery_tested"] for line in found.values())
