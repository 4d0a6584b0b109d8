"""docs/operations.md: a command that is copied from it at night does what the page says."""

import os
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import yaml

from desbuquei_backups.core.slots import Slot, last_due
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL, S3_URL
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.docs.pages import DOCS, Example, examples, path_with_programs


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
    open_slot = Slot("daily", last_due("0 2 * * *", datetime.now(UTC)))
    found = list(examples("operations.md", {"daily-2026-02-02-020000": open_slot.backup_id}))
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
