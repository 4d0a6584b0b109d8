"""docs/operations.md: a command that is copied from it at night does what the page says."""

import json
import os
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest
import yaml

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL, S3_URL
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.docs.pages import DOCS, Example, examples, jq, path_with_programs
from desbuquei_backups_tests.policies import due_together, with_crons, written


def test_each_example_does_what_the_page_says(
    source_url, source, endpoints: Endpoints, bucket_url: str, tmp_path: Path
) -> None:
    source.execute(
        "create table clientes (id int primary key, nome text); create table pedidos (id int primary key, valor real);"
        "create table vazia (a int); insert into clientes select i, 'cliente ' || i from generate_series(1, 50) i;"
        "insert into pedidos select i, i * 1.25 from generate_series(1, 40) i"
    )
    home = tmp_path / "dagster"
    home.mkdir()
    dagster = yaml.safe_load((resources.files("desbuquei_backups") / "dagster.yaml").read_text())
    del dagster["storage"]  # in files of DAGSTER_HOME
    (home / "dagster.yaml").write_text(yaml.safe_dump(dagster))
    environment = {
        "PATH": path_with_programs(tmp_path / "bin"),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "DAGSTER_HOME": str(home),
        "DESBUQUEI_BACKUP_DIR": str(tmp_path / "backups"),
        DATABASE_URL: source_url,
        RESTORE_URL: endpoints.scratch,
        S3_URL: bucket_url,
        **endpoints.aws,
    }
    # All tiers were due an hour ago: no slot ends meanwhile.
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    environment["DESBUQUEI_POLICY"] = str(written(tmp_path, with_crons(due_together(hour))))
    found = list(examples("operations.md", {"daily-2026-02-02-020000": Slot("daily", hour).backup_id}))
    # The page looks at a backup before it says how one is made.
    found.sort(key=lambda example: not example.script.startswith("desbuquei backup daily\n"))
    faults = [fault for example in found if (fault := example.fails(environment, tmp_path)) is not None]
    assert not faults, "\n\n".join(faults)


def test_an_example_that_does_something_else_is_found(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    here = {"PATH": os.environ["PATH"]}
    assert Example("x", "echo 2 backups, 1.4 GB in all\n", ["17 backups, 20 kB …"]).fails(here, tmp_path) is None
    for script, shown in (("exit 3\n", []), ("echo 2 copies\n", ["2 backups"]), ("echo b; echo a\n", ["a", "b"])):
        assert Example("x", script, shown).fails(here, tmp_path) is not None


@pytest.mark.parametrize(
    ("program", "flags", "printed"),
    [
        (".checksum", "-r", "abc"),
        ("{id, checksum}", "-c", '{"id":"x","checksum":"abc"}'),
        (".disk.percent", "", "17"),
        (".tiers[] | {tier}", "-c", '{"tier":"daily"}\n{"tier":"weekly"}'),
    ],
)
def test_the_stand_in_for_jq_does_what_jq_does(program: str, flags: str, printed: str, tmp_path: Path) -> None:
    """On a machine without one the pages' examples run with it."""
    jq(tmp_path / "jq")
    tiers = [{"tier": "daily", "age": 1}, {"tier": "weekly", "age": 2}]
    (tmp_path / "d.json").write_text(
        json.dumps({"id": "x", "checksum": "abc", "disk": {"percent": 17}, "tiers": tiers})
    )
    example = Example("x", f"./jq {flags} '{program}' d.json > got; diff got - <<'E'\n{printed}\nE\n", [])
    assert example.fails({"PATH": os.environ["PATH"]}, tmp_path) is None


def test_every_section_of_the_guide_is_there() -> None:
    text = (DOCS / "operations.md").read_text()
    sections = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert sections == [
        "Overview",
        "Schedule",
        "Manual backup",
        "Automated backups",
        "Validation",
        "S3",
        "Monitoring",
        "Troubleshooting",
        "Best practices",
    ]
