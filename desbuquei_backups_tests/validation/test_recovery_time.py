"""A recovery time that is measured on a broken copy, or forgets how the database grew, promises too much."""

from datetime import timedelta

import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.operations.drill_record import ACCEPTING, DatabaseSeen, DrillRecord
from desbuquei_backups.validation.checks import recovery_time_within_objective

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def recorded(**changed: object) -> DrillRecord:
    found = {
        "drilled_at": "2026-02-02T05:00:00Z",
        "place": "s3",
        "target": "latest",
        "backup_id": "daily-2026-02-02-020000",
        "system_identifier": "1",
        "server_version": "17.10",
        "reached": "0/3000028",
        "committed_at": None,
        "timeline": 2,
        "base_size": 1000,
        "wal_size": 0,
        "present_size": 2000,
        "seconds": {ACCEPTING: 100.0, "replay": 20.0},
        "databases": [DatabaseSeen(name="a", tables=1, rows=1, counted={"public.a": 1})],
        "dumped_rows": {},
        "checked": ["page checksums"],
        "unchecked": [],
        "faults": [],
        "notes": [],
    }
    return DrillRecord.model_validate({**found, **changed})


@pytest.mark.parametrize(
    ("changed", "objective", "verdict"),
    [
        ({}, 200, Verdict.MATCHES),
        ({}, 150, Verdict.DIFFERS),  # 80 s for twice the size, and 20 s of replay
        ({"present_size": None}, 150, Verdict.UNCOMPARED),
        ({"present_size": 10}, 100, Verdict.MATCHES),
        ({}, 99, Verdict.DIFFERS),
        ({"faults": ["pg_amcheck: an index is corrupted"]}, 200, Verdict.DIFFERS),
        ({"unchecked": ["page checksums: the cluster has none"]}, 200, Verdict.UNCOMPARED),
    ],
)
def test_the_recovery_time_is_true_of_a_sound_copy_alone(
    changed: dict[str, object], objective: int, verdict: Verdict
) -> None:
    policy = load_policy().model_copy(update={"recovery_time_objective": timedelta(seconds=objective)})
    assert recovery_time_within_objective(policy, recorded(**changed)).verdict is verdict
