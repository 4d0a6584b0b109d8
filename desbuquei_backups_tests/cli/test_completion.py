"""What a shell is told may come next: at night nobody types an id by hand, and nobody waits a second for each key."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from desbuquei_backups.cli import completing
from desbuquei_backups.operations.settings import from_environment

_SLOW = "dagster", "pandas", "great_expectations", "boto3", "botocore", "psycopg", "sqlalchemy", "rich", "asyncio"
_PROGRAM = """
import atexit, sys
said = lambda: print([name for name in sys.argv[1:] if name in sys.modules], len(sys.modules), file=sys.stderr)
atexit.register(said)
from desbuquei_backups.cli.main import main
sys.exit(main([]))
"""
_IDS = [
    "hourly-2026-02-03-030000",
    "hourly-2026-02-03-020000",
    "daily-2026-02-03-020000",
    "daily-2026-02-02-020000",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backup folder with four good backups, one that failed, and a line that a crash tore."""
    path = tmp_path / "backups"
    path.mkdir()
    lines = [{"backup_id": each, "backup_type": "x", "status": "success"} for each in reversed(_IDS)]
    lines.insert(2, {"backup_id": "hourly-2026-02-03-010000", "status": "failed"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "backup-metadata.jsonl").write_text(text + '{"backup_id": "daily-2026-')
    return path


def complete(*words: str, incomplete: str = "", **environment: str) -> list[str]:
    """What bash is told may come after these words, by click's protocol; nothing slow may be imported for it."""
    asked = " ".join(["desbuquei", *words, incomplete])
    given = {"COMP_WORDS": asked, "COMP_CWORD": f"{len(words) + 1}", "_DESBUQUEI_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *_SLOW],
        env={"PATH": os.environ["PATH"], **given, **environment},
        cwd=environment.get("HOME"),
        capture_output=True,
        text=True,
        check=True,
    )
    slow, _, count = done.stderr.strip().rpartition(" ")
    assert slow == "[]"
    assert int(count) < 450  # `import boto3` alone is a thousand
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("command", [["restore"], ["verify"], ["prove"], ["audit", "adopt"]])
def test_a_command_that_takes_an_id_is_offered_those_that_there_are(command: list[str], folder: Path) -> None:
    assert complete(*command, DESBUQUEI_BACKUP_DIR=str(folder)) == _IDS


def test_what_was_begun_is_completed_and_what_was_said_is_not_offered_again(folder: Path) -> None:
    where = {"DESBUQUEI_BACKUP_DIR": str(folder)}
    assert complete("restore", incomplete="daily-2026-02-02", **where) == _IDS[3:]
    assert complete("verify", _IDS[0], **where) == _IDS[1:]
    assert complete("recover", "--to", incomplete="l", **where) == ["latest"]
    assert complete("drill", "--to", incomplete="h", **where) == _IDS[:2]


@pytest.mark.parametrize("words", [["backup"], ["list", "--tier"], ["verify", "--latest"]])
def test_tiers_are_those_of_the_policy(words: list[str], tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("database = 'loja'\n[tiers.yearly]\n[tiers.weekly]\n")
    assert complete(*words, DESBUQUEI_POLICY=str(policy)) == ["yearly", "weekly"]
    assert complete("--database", DESBUQUEI_POLICY=str(policy)) == ["loja"]
    policy.write_text("= no TOML")
    assert complete(*words, DESBUQUEI_POLICY=str(policy)) == []


def test_every_command_is_offered_and_none_imported_for_it() -> None:
    offered = complete()
    assert {"backup", "restore", "status", "completion"} <= set(offered)
    assert complete("wal") == ["drain", "push", "status", "stream"]
    assert complete("restore", "x", incomplete="--ta") == ["--table"]
    assert complete("restore", "x", "--from") == ["s3", "second", "disk"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"DESBUQUEI_DATABASE_URL": "embedded"},
        {"DESBUQUEI_DATABASE_URL": "embedded", "DESBUQUEI_HOME": "/srv/x"},
        {"DESBUQUEI_BACKUP_DIR": "b"},
    ],
)
def test_the_records_are_looked_for_where_the_settings_have_them(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DESBUQUEI_DATABASE_URL", "DESBUQUEI_HOME", "DESBUQUEI_BACKUP_DIR", "DESBUQUEI_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert completing.folder(None).absolute() == from_environment(environment).folder


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_this_program(shell: str) -> None:
    program = "import sys; from desbuquei_backups.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, "completion", shell], capture_output=True, text=True, check=True
    )
    assert f"_DESBUQUEI_COMPLETE={shell}_complete" in done.stdout
    assert "desbuquei" in done.stdout
