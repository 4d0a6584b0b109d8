"""The check history as tables: what was never judged is no row, and a missing library is named."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from desbuquei_backups.audit.export import COLUMNS, export_checks
from desbuquei_backups.audit.facts import Checked
from desbuquei_backups.core.comparison import Verdict as Compared
from desbuquei_backups_tests.audit.worlds import PERIOD, said, well

DAILY = "daily-2026-02-10-020000"
NAME = 'pública "Ação"; <b>, \n=1+1'

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def test_every_check_result_of_the_period_is_a_row_and_comes_back_as_it_was(tmp_path: Path) -> None:
    facts = said(well(), "content_matches", DAILY, Compared.DIFFERS, NAME)
    done = export_checks(facts, tmp_path / "new")
    with done.csv.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = [each for each in facts.checks if facts.period.has(each.at)]
    assert 0 < done.rows == len(rows) == len(wanted) < len(facts.checks)
    assert tuple(rows[0]) == COLUMNS
    (bad,) = [row for row in rows if row["verdict"] == "does not match"]
    assert (bad["backup_id"], bad["tier"], bad["check"], bad["summary"]) == (DAILY, "daily", "content_matches", NAME)
    assert bad["at"] == "2026-02-10T02:03:00Z"


def test_the_parquet_file_has_the_same_rows_with_their_types_also_where_there_are_none(tmp_path: Path) -> None:
    standing = Checked(9, PERIOD.start, None, "wal", "wal_is_continuous", None, NAME)
    facts = replace(well(), checks=[*well().checks, standing])
    done = export_checks(facts, tmp_path)
    empty = export_checks(replace(facts, checks=[]), tmp_path / "empty")
    assert done.parquet is not None
    assert empty.parquet is not None
    table, none = (parquet.read_table(path) for path in (done.parquet, empty.parquet))
    assert (table.num_rows, none.num_rows) == (done.rows, 0)
    assert none.schema.remove_metadata() == table.schema.remove_metadata()
    assert tuple(table.column_names) == COLUMNS
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("link").type) == "int64"
    last = table.slice(table.num_rows - 1).to_pylist()[0]
    assert last == {
        "at": PERIOD.start,
        "backup_id": None,
        "tier": None,
        "step": "wal",
        "check": "wal_is_continuous",
        "verdict": None,
        "summary": NAME,
        "link": 9,
    }
    with done.csv.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["check"] for row in rows] == table["check"].to_pylist()
    assert rows[-1]["backup_id"] == ""


def test_without_pyarrow_the_csv_is_there_and_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = export_checks(well(), tmp_path)
    assert done.csv.exists()
    assert done.parquet is None
    assert done.no_parquet is not None
    assert "desbuquei_backups[report]" in done.no_parquet.remedy
    assert [path.name for path in tmp_path.iterdir()] == [done.csv.name]


def test_a_period_without_checks_is_a_table_with_its_columns_and_no_row(tmp_path: Path) -> None:
    done = export_checks(replace(well(), checks=[]), tmp_path)
    assert done.rows == 0
    assert done.csv.read_text().strip() == ",".join(COLUMNS)
