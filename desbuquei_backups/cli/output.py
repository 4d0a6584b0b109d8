"""What commands print: for a person with rich, or with --json one document on stdout and nothing else there."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import click

from desbuquei_backups.core.errors import BackupError

if TYPE_CHECKING:
    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


_UNCUT = 4_000  # letters in a line of what another program reads


def console() -> "Console":
    """Where people read: stdout. It honours NO_COLOR; a pipe gets plain text, its lines neither cut nor folded."""
    return _console(sys.stdout, stderr=False)


def messages() -> "Console":
    """Where progress and errors go: stderr, so that stdout stays clean."""
    return _console(sys.stderr, stderr=True)


def _console(stream: TextIO, *, stderr: bool) -> "Console":
    from rich.console import Console

    return Console(
        stderr=stderr,
        highlight=False,
        # rich would leave bold and the movements of bars.
        force_terminal=False if os.environ.get("NO_COLOR") else None,
        # COLUMNS is the word of whoever wants it folded all the same.
        width=None if stream.isatty() or os.environ.get("COLUMNS") else _UNCUT,
    )


def print_json(document: Mapping[str, Any]) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, default=str))


def stream_json(head: Mapping[str, Any], name: str, documents: Iterable[Mapping[str, Any]]) -> None:
    """One document: `head`, and under `name` a line for each, written as it is made: it may be a hundred megabytes."""
    out = sys.stdout.buffer
    out.write(b"{")
    for key, value in head.items():
        out.write(b"\n  %s: %s," % (_json(key), _json(value)))
    out.write(b"\n  %s: [" % _json(name))
    for number, document in enumerate(documents):
        out.write(b"%s\n    %s" % (b"," if number else b"", _json(document)))
    out.write(b"\n  ]\n}\n")
    out.flush()


def _json(value: object) -> bytes:
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(value)
    except PydanticSerializationError:  # half of a surrogate pair, of a file's odd name: JSON has an escape for it
        return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")


def guarded(run: Callable[[], Any]) -> int:
    """Run a command; print what went wrong and return the exit status: 0, 1 or 2."""
    try:
        return int(run() or 0)
    except BackupError as error:
        say(error)
        return error.exit_status
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        _show(error)
        return 2
    except (KeyboardInterrupt, click.Abort):
        messages().print("stopped", style="yellow")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        if os.environ.get("DESBUQUEI_TRACEBACK"):
            raise
        say(
            BackupError(
                f"{type(error).__name__}: {error}", remedy="DESBUQUEI_TRACEBACK=1 shows where; please report it"
            )
        )
        return 1


def say(error: BackupError) -> None:
    """Say what went wrong and what to do, as JSON where that was asked for."""
    if "--json" in sys.argv:
        print_json(error_document(error))
        return
    out = messages()
    subject = f"{error.backup_id}: " if error.backup_id else ""
    out.print(f"[bold red]✗[/] {_plain(subject + error.what)}", soft_wrap=True)
    out.print(f"  [bold]What to do:[/] {_plain(error.remedy)}", soft_wrap=True)


def error_document(error: BackupError) -> dict[str, Any]:
    return {"error": type(error).__name__, "backup_id": error.backup_id, "what": error.what, "remedy": error.remedy}


def _show(error: click.ClickException) -> None:
    if "--json" not in sys.argv:
        error.show()
        return
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "desbuquei"
    print_json(
        {
            "error": type(error).__name__,
            "backup_id": None,
            "what": error.format_message(),
            "remedy": f"see {command} --help",
        }
    )


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
