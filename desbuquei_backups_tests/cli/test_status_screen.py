"""`desbuquei status` on a screen of 24 lines: the answer first, and nothing scrolled away at night."""

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from desbuquei_backups.cli import status_
from desbuquei_backups.core.objectives import Measured, RecoveryTime
from desbuquei_backups.core.prices import monthly_costs
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.operations.disk_use import DiskUse
from desbuquei_backups.operations.second_status import SecondPlace
from desbuquei_backups.operations.status import Safety, Status, TierStatus
from desbuquei_backups.operations.verified import Oldest

_NOW = datetime(2026, 2, 2, 2, 10, tzinfo=UTC)
_DAILY = "daily-2026-02-02-020000"


@pytest.fixture
def full() -> Status:
    """Everything that a healthy site with all tiers, a second place and a frozen quarterly has to say."""
    policy = load_policy()
    measured = Measured(_DAILY, 312.4, _NOW)
    return Status(
        Safety.SAFE,
        "every tier has its newest backup, archived and proven; any second back to 2026-01-26",
        [
            TierStatus(name, _DAILY, _NOW, timedelta(days=80, hours=3), proven=True, next_due=_NOW + timedelta(hours=1))
            for name in policy.tiers
        ],
        "any second up to 2026-02-02 02:00:00 UTC, hourly-2026-02-02-020000, promised: 1 h; `desbuquei wal status` "
        "knows of later ones",
        DiskUse("/srv/backups/production/desbuquei", 10**12, 10**12, 50),
        None,
        [],
        timedelta(minutes=15),
        SecondPlace("s3://elsewhere/backups", (), (), None),
        monthly_costs(policy, 10**11),
        [
            RecoveryTime(_DAILY, measured, timedelta()),
            RecoveryTime("quarterly-2026-01-01-020000", measured, timedelta(hours=12)),
        ],
        [],
        Oldest(400, 12, _DAILY, _NOW),
    )


def lines(found: Status, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stands on a screen of that width, what is too long for it going on in the next line."""
    monkeypatch.setenv("COLUMNS", f"{columns}")
    out = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        status_._print(found)
    written = out.getvalue().splitlines()
    return [line[start : start + columns] for line in written for start in range(0, max(len(line), 1), columns)]


def test_it_fits_and_answers_in_its_first_line(full: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = lines(full, 80, monkeypatch)
    assert shown[0].startswith("SAFE: ")
    assert len(shown) <= 23  # and the prompt


def test_it_fits_when_slots_were_missed_too(full: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = [f"daily-2026-01-{day:02}-020000" for day in range(31, 0, -1)]
    tiers = [replace(tier, missed=missed) if tier.tier in ("hourly", "daily") else tier for tier in full.tiers]
    shown = lines(replace(full, safety=Safety.AT_RISK, tiers=tiers), 80, monkeypatch)
    assert len(shown) <= 23
    assert "missed: daily-2026-01-31-020000, and 30 before it" in [line.rstrip() for line in shown]


def test_a_narrow_terminal_leaves_columns_out_and_cuts_none(full: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, _, *shown = lines(full, 40, monkeypatch)
    assert [line.split()[0] for line in shown[1:7]] == ["hourly", "daily", "weekly", "monthly", "quarterly", "manual"]
    assert all("2026-02-02 02:10" in line and "80 d 3 h" in line for line in shown[1:7])
    assert not any("…" in line for line in shown)
