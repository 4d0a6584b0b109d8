"""The check history as tables: what was never judged is no row, and a missing library is named."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from desbuquei_backups.audit.export import COLUMNS, export_checks
from desbuquei_backups.core.comparison import Verdict as Compared
from desbuquei_backups_tests.audit.worlds import said, well

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
