"""A recovery drill as Dagster shows it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from desbuquei_backups.defs.rendering import table
from desbuquei_backups.operations.drill_record import DrillRecord

_MOST_ROWS = 200


def drill_metadata(record: DrillRecord) -> Mapping[str, Any]:
    """What was recovered, what was found in it, and how long each stage took."""
    expected = record.expected_seconds
    counted = [
        {"database": each.name, "table": name, "rows": rows}
        for each in record.databases
        for name, rows in each.counted.items()
    ]
    return {
        "backup id": record.backup_id,
        "target": record.target,
        "last record": record.reached,
        **({"last commit": dg.MetadataValue.timestamp(record.committed_at)} if record.committed_at else {}),
        "recovery (seconds)": record.recovery_seconds,
        **({"expected for the present size (seconds)": expected} if expected is not None else {}),
        **{f"{stage} (seconds)": seconds for stage, seconds in record.seconds.items()},
        "base backup (bytes)": record.base_size,
        "WAL (bytes)": record.wal_size,
        "databases": table(
            [{"database": each.name, "tables": each.tables, "rows": each.rows} for each in record.databases],
            ("database", "tables", "rows"),
            tables="int",
            rows="int",
        ),
        "tables": table(counted[:_MOST_ROWS], ("database", "table", "rows"), rows="int"),
        "faults": dg.MetadataValue.md("\n".join(f"- {each}" for each in record.faults) or "none"),
        "not checked": dg.MetadataValue.md("\n".join(f"- {each}" for each in record.unchecked) or "nothing"),
    }
