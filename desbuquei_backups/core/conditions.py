"""What is not as promised, told apart from what merely happened: it begins, lasts, and is over."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """Whether a person must come now, or should know."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong at one database, for as long as it is.

    `name` stays the same while it lasts, like `recovery_point_stale` or `slot_missed/hourly-2026-02-02-030000`: by it a
    state that lasts is told once. `subject`: the backup, tier, folder or place that it is about. `since`: aware UTC.
    `tried`: what was tried already, empty if nothing was. `command`: what a person runs.
    """

    name: str
    database: str
    severity: Severity
    what: str
    subject: str
    since: datetime
    tried: str
    command: str
