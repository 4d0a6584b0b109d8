"""Values that tests need and that no server has to make."""

from datetime import UTC, datetime
from typing import Any

from desbuquei_backups.core.manifest import FileFacts, Manifest, Role, ServerFacts, TableFacts

ID = "daily-2026-02-02-020000"


def example_manifest(**changed: Any) -> Manifest:
    """A manifest of a small backup, less what is `changed`."""
    values: dict[str, Any] = {
        "backup_id": ID,
        "tier": "daily",
        "slot": datetime(2026, 2, 2, 2, tzinfo=UTC),
        "taken_at": datetime(2026, 2, 2, 2, 10, 0, 5, tzinfo=UTC),
        "duration_seconds": 1.5,
        "stage_seconds": {"dump": 1.0},
        "database": "desbuquei",
        "server": ServerFacts(
            system_identifier="7",
            version="17.10",
            version_number=170010,
            timeline=1,
            lsn="0/1",
            database="desbuquei",
            encoding="UTF8",
            locale_provider="builtin",
            collate="C",
            ctype="C",
            locale="C.UTF-8",
            collation_version=None,
            lc_monetary="C",
            settings={"max_connections": "100"},
            tablespaces=[],
            platform=None,
        ),
        "tools": {"pg_dump": "17.10", "psql": "17.10"},
        "files": [
            FileFacts(name=f"{ID}.{suffix}", role=role, size=10, plain_size=20, md5="0" * 32, sha256="0" * 64)
            for suffix, role in (("sql.gz", Role.DUMP), ("globals.sql.gz", Role.GLOBALS))
        ],
        "fingerprint": "sum",
        "tables": [
            TableFacts(identity="public.pedidos", oid=16400, rows=12, fingerprint="34", dumped_rows=12),
            TableFacts(identity='public."Ação"', oid=16401, rows=None, fingerprint=None),
        ],
        "sequences": [],
        "large_objects": None,
        "requirements": [],
        "left_out": [],
        "warnings": [],
    }
    return Manifest(**values | changed)
