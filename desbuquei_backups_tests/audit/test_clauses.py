"""The table of clauses is its owner's: a control that it names wrongly must not vanish from a report in silence."""

from pathlib import Path

import pytest

from desbuquei_backups.audit.building import CONTROLS
from desbuquei_backups.audit.clauses import load_clauses
from desbuquei_backups.core.errors import ConfigurationError

OWN = '[[clause]]\nframework = "Contrato"\nclause = "7.2"\nabout = "o cliente pede"\ncontrols = ["frequency"]\n'


def test_every_control_supports_a_clause_of_the_packaged_table() -> None:
    found = load_clauses(None, CONTROLS)
    assert {name for name, clauses in found.items() if not clauses} == set()
    said = {clause.said() for clauses in found.values() for clause in clauses}
    wanted = {"SOC 2 A1.2", "SOC 2 A1.3", "ISO/IEC 27001:2022 A.8.13", "ISO/IEC 27001:2022 A.5.30", "LGPD Art. 46"}
    assert said == wanted


def test_a_file_of_ones_own_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "clauses.toml"
    path.write_text(OWN)
    found = load_clauses(path, CONTROLS)
    assert [each.said() for each in found["frequency"]] == ["Contrato 7.2"]
    assert found["retention"] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (OWN.replace('"frequency"', '"freqency"'), "name no control of the report: 'freqency', at Contrato 7.2"),
        (OWN.replace("framework", "frame"), "clause.0.framework: Field required"),
        ("[[clause]\n", "are not TOML"),
    ],
)
def test_a_bad_one_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "clauses.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        load_clauses(path, CONTROLS)


def test_one_that_is_not_there_is_refused_by_the_settings_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_clauses(tmp_path / "none.toml", CONTROLS)
    assert "DESBUQUEI_REPORT_CLAUSES" in caught.value.remedy
