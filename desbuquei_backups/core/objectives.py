"""How long a recovery takes: what a restored copy took, and before it what a frozen backup takes to thaw."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.thawing import Thaw, time_to_thaw


@dataclass(frozen=True, slots=True)
class Measured:
    """That a backup was restored, when (aware UTC, None: not known), and how many seconds it took."""

    backup_id: str
    seconds: float
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A tier's newest backup. `measured` is its own restored copy, None if there was none."""

    backup_id: str
    taken_at: datetime
    storage_class: str
    thaw: Thaw | None = None
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class RecoveryTime:
    """How long a recovery from one backup takes, `thaw` being what it waits before, at most.

    `measured` None: nothing was restored yet.
    """

    backup_id: str
    measured: Measured | None
    thaw: timedelta

    @property
    def restore(self) -> timedelta | None:
        """How long the restore itself takes, in whole seconds."""
        return timedelta(seconds=math.ceil(self.measured.seconds)) if self.measured is not None else None

    @property
    def total(self) -> timedelta | None:
        """Both together; None: not known."""
        return self.thaw + self.restore if self.restore is not None else None

    def exceeds(self, objective: timedelta) -> bool | None:
        """Whether it is longer than what is promised; None if nobody can say."""
        known = self.thaw + (self.restore or timedelta())
        return True if known > objective else None if self.restore is None else False

    def said(self, objective: timedelta) -> str:
        """In one line, for a person."""
        if self.measured is None:
            said = f"not known for {self.backup_id}: nothing was restored yet"
            said += f"; up to {in_words(self.thaw)} to thaw" if self.thaw else ""
        else:
            assert self.restore is not None
            thaw = f" + up to {in_words(self.thaw)} to thaw" if self.thaw else ""
            whose = (
                "its restored copy"
                if self.measured.backup_id == self.backup_id
                else (f"the restored copy of {self.measured.backup_id}")
            )
            on = f" on {self.measured.at:%Y-%m-%d}" if self.measured.at is not None else ""
            said = f"about {in_words(self.restore)}{thaw} from {self.backup_id} (measured by {whose}{on})"
        promised = in_words(objective)
        return (
            f"{said}, more than the promised {promised}" if self.exceeds(objective) else f"{said}; promised: {promised}"
        )


def recovery_times(points: Iterable[Point], newest: Measured | None, now: datetime) -> list[RecoveryTime]:
    """Of the newest backup that can be read at once, and then of each that must be thawed first.

    What was never restored itself takes as long as what was restored last of all: `newest`, None if nothing was.
    """
    ordered = sorted(points, key=lambda point: (point.taken_at, point.backup_id), reverse=True)
    found = [
        RecoveryTime(point.backup_id, point.measured or newest, time_to_thaw(point.storage_class, point.thaw, now))
        for point in ordered
    ]
    at_once = [each for each in found if not each.thaw]
    return at_once[:1] + [each for each in found if each.thaw]
