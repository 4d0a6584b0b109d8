"""Instants at which tiers fall due together, and their whole chains."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import snapshot_dump
from desbuquei_backups.operations.archive import Archived, archive
from desbuquei_backups.operations.dump import Skipped, take_dump
from desbuquei_backups.operations.filled import Taken
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site

# A Sunday that begins a quarter.
TOGETHER = datetime(2023, 10, 1, 2, tzinfo=UTC)
HOURLY, DAILY, WEEKLY, MONTHLY, QUARTERLY = (
    Slot(tier, TOGETHER) for tier in ("hourly", "daily", "weekly", "monthly", "quarterly")
)
ALL = (HOURLY, DAILY, WEEKLY, MONTHLY, QUARTERLY)


def fill(site: Site, slot: Slot) -> Taken:
    taken = take_dump(site, slot)
    assert not isinstance(taken, Skipped)
    return taken


def back_up(site: Site, *slots: Slot) -> list[Archived]:
    """The chain of each slot, up to its archive."""
    done = []
    for slot in slots:
        fill(site, slot)
        seal(site, slot)
        done.append(archive(site, slot))
    return done


@contextmanager
def counted_dumps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The runs of pg_dump for rows, one entry each."""
    runs: list[str] = []
    original = snapshot_dump.logical.dump

    def watched(*given: Any, **named: Any) -> Any:
        runs.append("pg_dump")
        return original(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(snapshot_dump.logical, "dump", watched)
        yield runs
