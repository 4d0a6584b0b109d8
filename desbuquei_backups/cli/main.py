"""The `desbuquei` command: each subcommand is a module beside this one, imported only when it is called."""

import gc
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups import __version__
from desbuquei_backups.cli.database import database_option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PROGRAM = "desbuquei"
COMPLETE = "_DESBUQUEI_COMPLETE"  # set by the shell, where it asks what may come next
COMMANDS = {
    "demo": "The whole of it on embedded servers: back up, archive, restore, prove.",
    "up": "Dagster's webserver and daemon, and embedded servers if needed.",
    "doctor": "Check every precondition, each with its remedy.",
    "backup": "Run a tier's job now: dump, manifest, archive, restored copy.",
    "list": "The backups there are.",
    "status": "Are we safe? The last good recovery point, its age, what is due next.",
    "notify": "Look at what is wrong, and tell who is to be told.",
    "metrics": "For Prometheus: ages, sizes, rates, checks, conditions.",
    "verify": "Recompute and compare checksums, test archives.",
    "prove": "Restore an archived backup, compare everything, drop it.",
    "catalog": "Make the records again from the bucket (catalog rebuild).",
    "thaw": "Ask for a readable copy of a frozen backup, and say when it will be there.",
    "wal": "Write-ahead log into S3: stream, drain, push, status.",
    "prune": "Apply retention; the plan gives a reason for every backup.",
    "hold": "Keep a backup until it is released, whatever its age.",
    "release": "End the hold of a backup.",
    "audit": "The chain of evidence: verify it, anchor its head elsewhere.",
    "report": "For an auditor: a verdict for each control, as HTML, JSON and PDF.",
    "restore": "Restore a logical dump into an empty database.",
    "recover": "Recover the cluster to any second, into a new data directory.",
    "drill": "Recover on a scratch server, look at everything, measure it.",
    "completion": "Print what makes your shell complete commands and backup ids.",
}
_CATALOG = {"list", "status", "verify", "prune", "catalog", "report", "notify", "metrics"}


class _Lazy(click.Group):
    """Lists its commands without importing any of them: `desbuquei --help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in _CATALOG:
            # A million objects may live to the end: looking through them for garbage would take a third of the time.
            gc.set_threshold(100_000)
        command: click.Command = import_module(f"desbuquei_backups.cli.{cmd_name}_").command
        if COMPLETE in os.environ:
            from desbuquei_backups.cli.completing import completed

            completed(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        """Every command with what it does, none of them imported; the options, after a dash."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=said) for name, said in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
@database_option
def cli() -> None:
    """Back up PostgreSQL to disk and S3, prove every backup by restoring it, and show that it was done.

    Exit status: 0 done and true; 1 failed or found untrue; 2 bad usage or configuration. Settings come from the
    environment and from a .env file in the working directory; `desbuquei doctor` says what is missing.
    """
    from dotenv import load_dotenv

    load_dotenv(".env")


def main(arguments: list[str] | None = None) -> Any:
    """The entry point: errors are printed for a person, or as JSON where --json was asked for."""
    from desbuquei_backups.cli.output import guarded

    if COMPLETE in os.environ:
        from desbuquei_backups.cli.completing import completed

        completed(cli)
    return guarded(
        lambda: cli(args=arguments, prog_name=PROGRAM, complete_var=COMPLETE, standalone_mode=False),
    )
