"""The two commands of the first day, run as their user would: `desbuquei demo` and `desbuquei up`."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from desbuquei_backups.embedded import samples
from desbuquei_backups.embedded.trial import Shape, trial
from desbuquei_backups_tests.conftest import SAMPLE_ROWS
from desbuquei_backups_tests.embedded.processes import deserted_in_the_end

_DESBUQUEI = [str(Path(sys.executable).with_name("desbuquei"))]
_EMBEDDED = {f"DESBUQUEI_{name}_URL": "embedded" for name in ("DATABASE", "RESTORE", "S3")}


@pytest.fixture(scope="module")
def trial_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # As the demo itself loads it, but for its size: it is dumped, restored and compared again and again.
    with deserted_in_the_end(tmp_path_factory.mktemp("trial")) as home:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(samples.load_plain.__kwdefaults__, "rows", SAMPLE_ROWS)
            with trial(home, Shape.PLAIN, lambda _: None):
                pass
        yield home


def _environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "AWS_", "DESBUQUEI_"))}
    return {**kept, "DESBUQUEI_HOME": str(home), "COLUMNS": "80", **more}


def _run(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_DESBUQUEI, *arguments], capture_output=True, text=True, check=False, env=_environment(home, **more)
    )


def _processes(home: Path) -> list[str]:
    """The command lines of processes that mention `home`, this test's own left out."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(home) in line and "pytest" not in line:
                found.append(line)
    return found


def test_the_demo_backs_up_proves_and_does_not_dump_twice(trial_home: Path) -> None:
    first = _run(trial_home, "demo", "--json")
    assert first.returncode == 0, first.stderr
    assert "Warning" not in first.stderr
    told = json.loads(first.stdout)
    assert told["true"]
    assert {check["verdict"] for check in told["checks"]} == {"true"}
    assert len(told["checks"]) == 14
    verdicts = told["report"]["verdicts"]
    assert (verdicts["integrity"], verdicts["evidence"], verdicts["off_site"]) == ("holds", "holds", "does not hold")
    page = Path(told["report"]["html"])
    assert told["backup_id"] in page.read_text()

    again = _run(trial_home, "demo")
    assert again.returncode == 0, again.stderr
    assert told["backup_id"] in again.stdout
    assert "was there; verified again" in " ".join(again.stdout.split())
    assert "2 does not hold  Immutability, Off-site copy" in again.stdout
    assert f"report: {page}" in again.stdout
    assert [
        line
        for line in again.stdout.splitlines()
        if len(line) > 80 and not line.startswith(("files:", "S3:", "report:"))
    ] == []


def test_a_server_that_is_up_runs_what_the_command_line_asks_for_and_leaves_nothing_behind(trial_home: Path) -> None:
    with subprocess.Popen(
        [*_DESBUQUEI, "up", "--demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(trial_home),
    ) as up:
        try:
            assert up.stdout is not None
            said = up.stdout.readline()
            assert re.search(r"http://127\.0\.0\.1:\d+", said), said
            done = _run(trial_home, "backup", "daily", **_EMBEDDED)
            assert "running in Dagster" in done.stderr
            assert done.returncode == 0, done.stdout + done.stderr
            assert "done and proven" in done.stdout
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(60)
    assert [line for line in _processes(trial_home) if "dagster" in line] == []


def test_a_lost_setting_never_turns_a_backup_into_one_of_the_demo(tmp_path: Path) -> None:
    lost = {name: value for name, value in _EMBEDDED.items() if "DATABASE" not in name}
    done = _run(tmp_path, "backup", "daily", **lost)
    assert done.returncode == 2
    assert "DESBUQUEI_DATABASE_URL is not set" in done.stderr
    assert "What to do" in done.stderr


def test_with_dagsters_storage_down_the_backup_is_taken_and_reported_later(trial_home: Path, tmp_path: Path) -> None:
    dagster_home = tmp_path / "dagster"
    dagster_home.mkdir()
    storage = "storage:\n  postgres:\n    postgres_url: postgresql+psycopg2://nobody:x@127.0.0.1:9/dagster\n"
    (dagster_home / "dagster.yaml").write_text(storage + "telemetry:\n  enabled: false\n")
    folder = tmp_path / "backups"
    place = {"DESBUQUEI_BACKUP_DIR": str(folder), "DAGSTER_HOME": str(dagster_home), "AWS_MAX_ATTEMPTS": "1"}
    down = _run(trial_home, "backup", "daily", **(_EMBEDDED | place))
    assert "reported to it later" in down.stderr
    assert down.returncode == 0, down.stdout + down.stderr
    assert list((folder / "unreported").glob("*.jsonl"))

    (dagster_home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    up = _run(trial_home, "backup", "daily", **(_EMBEDDED | place))
    assert up.returncode == 0, up.stdout + up.stderr
    assert not list((folder / "unreported").glob("*.jsonl"))


def test_help_answers_without_importing_anything_heavy() -> None:
    script = (
        "import sys; from desbuquei_backups.cli.main import main; status = main(['--help']);"
        "heavy = {'dagster', 'pandas', 'great_expectations', 'boto3', 'psycopg', 'pydantic'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Are we safe?" in done.stdout
