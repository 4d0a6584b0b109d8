"""The manual, made of what the commands themselves say: docs/man for man(1), docs/commands.md to be read as it is.

`make man` writes both: `python -m desbuquei_backups.cli.manual docs`.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent

import click

from desbuquei_backups import __version__
from desbuquei_backups.cli.main import COMMANDS, PROGRAM, cli

_WIDTH = 80
_HEAD = """\
# Every command

Made by `make man` of what `--help` says. The same is in [man](man/) for `man -l docs/man/desbuquei-status.1`.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One command, or a group of them, with its words, like ("desbuquei", "wal", "push")."""

    words: tuple[str, ...]
    context: click.Context

    @property
    def command(self) -> click.Command:
        return self.context.command

    @property
    def name(self) -> str:
        """What man(1) knows it by."""
        return "-".join(self.words)

    @property
    def in_short(self) -> str:
        if len(self.words) == 2:
            return COMMANDS[self.words[1]].rstrip(".")
        return " ".join(_paragraphs(self.command)[0].split()).rstrip(".")


def pages() -> list[Page]:
    """The program and all its commands, in the order of its own help, groups before what is in them."""
    return list(_below((PROGRAM,), cli, None))


def _below(words: tuple[str, ...], command: click.Command, parent: click.Context | None) -> Iterator[Page]:
    # Nothing of whoever calls: a narrow terminal, or a default of the environment.
    context = click.Context(
        command, parent, words[-1], terminal_width=_WIDTH, max_content_width=_WIDTH, help_option_names=["-h", "--help"]
    )
    yield Page(words, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _below((*words, name), below, context)


def written() -> dict[str, str]:
    """Every file of the manual by its path below docs/."""
    found = {f"man/{page.name}.1": roff(page) for page in pages()}
    texts = [
        f"\n## {' '.join(page.words)}\n\n```text\n{page.command.get_help(page.context)}\n```\n" for page in pages()
    ]
    return found | {"commands.md": _HEAD + "".join(texts)}


def roff(page: Page) -> str:
    """The page for man(1)."""
    usage = " ".join(page.command.collect_usage_pieces(page.context))
    lines = [
        f'.TH "{page.name.upper()}" "1" "" "desbuquei_backups {__version__}" ""',
        ".SH NAME",
        f"{_escaped(page.name)} \\- {_escaped(page.in_short)}",
        ".SH SYNOPSIS",
        f"\\fB{_escaped(' '.join(page.words))}\\fP {_escaped(usage)}",
        ".SH DESCRIPTION",
    ]
    for number, paragraph in enumerate(_paragraphs(page.command)):
        lines += [".PP"] if number else []
        if paragraph.startswith("\b\n"):
            kept = dedent(paragraph.removeprefix("\b\n")).splitlines()
            lines += [".RS", ".nf", *map(_escaped, kept), ".fi", ".RE"]
        else:
            lines += [_escaped(" ".join(paragraph.split()))]
    lines.append(".SH OPTIONS")
    for parameter in page.command.get_params(page.context):
        record = parameter.get_help_record(page.context)
        if record is not None and record[1]:  # what an argument is, the description says
            lines += [".TP", f"\\fB{_escaped(record[0])}\\fP", _escaped(record[1])]
    lines += _commands(page)
    return "\n".join([*lines, *_see_also(page)]) + "\n"


def _commands(page: Page) -> list[str]:
    found = [each for each in pages() if each.words[:-1] == page.words]
    lines = [".SH COMMANDS"] if found else []
    for each in found:
        lines += [".TP", f"\\fB{_escaped(each.name)}\\fP(1)", _escaped(each.in_short)]
    return lines


def _see_also(page: Page) -> list[str]:
    if len(page.words) == 1:
        return []
    return [".SH SEE ALSO", f"\\fB{_escaped('-'.join(page.words[:-1]))}\\fP(1)"]


def _paragraphs(command: click.Command) -> list[str]:
    return cleandoc(command.help or "").split("\n\n")


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fP", text)
    return f"\\&{text}" if text.startswith((".", "'")) else text


def main(folder: Path) -> None:
    """Write the manual below `folder`; what it no longer has goes."""
    (folder / "man").mkdir(exist_ok=True)
    made = written()
    for path in (folder / "man").glob("*.1"):
        if f"man/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
