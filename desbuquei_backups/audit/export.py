"""The check history of a period as CSV and Parquet, by pandas: for questions that a report does not answer."""

from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.audit.facts import Checked, Facts
from desbuquei_backups.core.errors import ToolMissing
from desbuquei_backups.storage import disk

COLUMNS = ("at", "backup_id", "tier", "step", "check", "verdict", "summary", "link")
_INSTALL = "pip install 'desbuquei_backups[report]'"


@dataclass(frozen=True, slots=True)
class Exported:
    """The files, with so many rows; `no_parquet`: why that one is not among them."""

    rows: int
    csv: Path
    parquet: Path | None
    no_parquet: ToolMissing | None = None


def export_checks(facts: Facts, folder: Path) -> Exported:
    """Every check result that the chain has of the period, a row each, oldest first; DiskError.

    Where pyarrow is not installed the Parquet file is left out, and what to install is said.
    """
    import pandas as pd

    disk.prepare(folder)
    rows = [_row(each) for each in facts.checks if facts.period.has(each.at)]
    # Of no rows, too, the columns have their types.
    types = dict.fromkeys(COLUMNS, "string") | {"at": "datetime64[us, UTC]", "link": "int64"}
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)
    csv, parquet = folder / f"{facts.policy.database}-checks.csv", folder / f"{facts.policy.database}-checks.parquet"
    with disk.aside(csv) as partial, disk.disk_errors(csv):
        frame.to_csv(partial, index=False, encoding="utf-8", date_format="%Y-%m-%dT%H:%M:%SZ")
    try:
        with disk.aside(parquet) as partial, disk.disk_errors(parquet):
            frame.to_parquet(partial, index=False, engine="pyarrow")
    except ImportError:
        missing = ToolMissing("there is no pyarrow here: the Parquet file is left out", remedy=_INSTALL)
        return Exported(len(rows), csv, None, missing)
    return Exported(len(rows), csv, parquet)


def _row(each: Checked) -> tuple[object, ...]:
    tier = each.backup_id.partition("-")[0] if each.backup_id is not None else None
    verdict = each.verdict.value if each.verdict is not None else None
    return each.at, each.backup_id, tier, each.step, each.check, verdict, each.summary, each.link
