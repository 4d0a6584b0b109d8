"""What holds of every command there is, and of those to come: help, exit statuses, JSON, terminals, NO_COLOR."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from desbuquei_backups.cli.main import main
from desbuquei_backups.cli.manual import Page, pages

_ALL = pages()
_LEAVES = [page for page in _ALL if not isinstance(page.command, click.Group)]
_STARTING = {"desbuquei-demo", "desbuquei-up"}  # they start servers whatever is set
_SAYING_NOTHING = {"desbuquei-up", "desbuquei-completion", "desbuquei-wal-push", "desbuquei-wal-stream"}
_NAME = {"ids": lambda page: page.name}


class Screen(io.StringIO):
    """A stream that is a terminal, as wide as COLUMNS says."""

    def isatty(self) -> bool:
        return True


@dataclass
class Said:
    status: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


Call = Callable[..., Said]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a command where nothing is set and there is nothing; on a terminal of so many columns, or into a pipe."""
    for name in (
        "DESBUQUEI_DATABASE_URL",
        "DESBUQUEI_S3_URL",
        "DESBUQUEI_RESTORE_URL",
        "DESBUQUEI_POLICY",
        "NO_COLOR",
        "COLUMNS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DESBUQUEI_BACKUP_DIR", str(tmp_path))
    monkeypatch.setenv("DESBUQUEI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, columns: int | None = None, **environment: str) -> Said:
        out, err = (Screen() if columns else io.StringIO() for _ in range(2))
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["desbuquei", *arguments])
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            for name, value in {**environment, **({"COLUMNS": f"{columns}"} if columns else {})}.items():
                patched.setenv(name, value)
            status = main(list(arguments))
        return Said(status, out.getvalue(), err.getvalue())

    return run


def enough(page: Page) -> list[str]:
    """The page's command with as little as it asks for."""
    given = []
    for parameter in page.command.params:
        value = parameter.type.choices[0] if isinstance(parameter.type, click.Choice) else "daily-2026-02-02-020000"
        if parameter.required and isinstance(parameter, click.Option):
            given += [parameter.opts[0], value]
        elif parameter.required:
            given.append(value)
    return [*page.words[1:], *given]


@pytest.mark.parametrize("page", _ALL, **_NAME)
def test_help_fits_a_terminal_and_cuts_nothing_on_a_narrow_one(page: Page, call: Call) -> None:
    shown = call(*page.words[1:], "--help", columns=80)
    assert shown.status == 0
    assert [line for line in shown.out.splitlines() if len(line) > 80] == []
    narrow = call(*page.words[1:], "--help", columns=40)
    for parameter in page.command.params:
        assert all(name in narrow.out for name in parameter.opts if name.startswith("--"))


@pytest.mark.parametrize("page", _ALL, **_NAME)
def test_bad_usage_is_exit_status_2_and_with_json_still_one_document(page: Page, call: Call) -> None:
    refused = call(*page.words[1:], "--no-such-option")
    assert (refused.status, refused.out) == (2, "")
    assert "--no-such-option" in refused.err
    document = call(*page.words[1:], "--no-such-option", "--json")
    assert document.status == 2
    assert set(json.loads(document.out)) == {"error", "backup_id", "what", "remedy"}
    assert "--no-such-option" in json.loads(document.out)["what"]


@pytest.mark.parametrize("page", [page for page in _LEAVES if page.name not in _SAYING_NOTHING], **_NAME)
def test_a_script_gets_one_json_document_whatever_happens(page: Page, call: Call) -> None:
    assert any(parameter.name == "as_json" for parameter in page.command.params)
    if page.name not in _STARTING:
        assert isinstance(json.loads(call(*enough(page), "--json").out), dict)


@pytest.mark.parametrize("page", [page for page in _LEAVES if page.name not in _STARTING], **_NAME)
def test_no_color_leaves_no_escape_codes_on_a_terminal_and_a_pipe_has_none(page: Page, call: Call) -> None:
    said = call(*enough(page), columns=80, NO_COLOR="1")
    assert said.status in (0, 1, 2)
    assert said.all
    assert "\x1b" not in said.all
    assert "\x1b" not in call(*enough(page)).all


def test_a_terminal_gets_colours(call: Call) -> None:
    """Else the test above would prove nothing."""
    assert "\x1b[" in call("status", columns=80, TERM="xterm-256color").out


def test_what_goes_to_a_pipe_is_not_folded(call: Call) -> None:
    (line,) = [line for line in call("doctor", "--read-only").out.splitlines() if "packaged" in line]
    assert "desbuquei, tiers hourly, daily, weekly, monthly, quarterly, manual" in line
