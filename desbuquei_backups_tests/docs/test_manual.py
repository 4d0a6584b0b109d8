"""The manual has every command and option: whoever reads it at night finds what the program really takes."""

import re
from pathlib import Path

import click
import pytest

from desbuquei_backups import cli
from desbuquei_backups.cli.manual import Page, pages, roff, written

_DOCS = Path(__file__).parents[2] / "docs"
_PAGES = pages()


def test_the_manual_is_what_the_commands_say_of_themselves() -> None:
    """If it is not: `make man`."""
    made = written()
    there = {f"man/{path.name}" for path in (_DOCS / "man").iterdir()} | {"commands.md"}
    assert there == set(made)
    for name, text in made.items():
        assert (_DOCS / name).read_text() == text, f"docs/{name}: run make man"


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_each_command_has_a_page_with_all_that_it_takes(page: Page) -> None:
    text = (_DOCS / "man" / f"{page.name}.1").read_text().replace("\\-", "-").replace("\\&", "")
    assert f"\\fB{' '.join(page.words)}\\fP" in text
    for parameter in page.command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for name in (*parameter.opts, *parameter.secondary_opts):
                assert name in text
            assert parameter.help
            assert parameter.help in text.replace("\\fP", "`").replace("\\fB", "`")
        elif isinstance(parameter, click.Argument):
            assert parameter.make_metavar(page.context) in text
    assert page.command.help
    for line in page.command.help.splitlines():
        assert line.strip("\b ") in text.replace("\\fP", "`").replace("\\fB", "`")


def test_every_command_of_the_program_is_in_the_manual() -> None:
    """By the modules that there are: one that no group lists could not be called."""
    modules = {path.stem.removesuffix("_") for path in Path(cli.__file__).parent.glob("[a-z]*_.py")}
    assert {page.words[1] for page in _PAGES if len(page.words) > 1} == modules


def test_no_line_of_a_page_is_taken_for_a_request_to_the_formatter() -> None:
    requests = {".TH", ".SH", ".PP", ".TP", ".RS", ".RE", ".nf", ".fi"}
    for page in _PAGES:
        lines = roff(page).splitlines()
        assert {line.split()[0] for line in lines if line.startswith((".", "'"))} <= requests
        assert all(re.fullmatch(r"(?:[^\\]|\\(?:-|e|&|fB|fP))*", line) for line in lines)
