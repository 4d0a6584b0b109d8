"""What a shell is told may come next: the ids of backups by the records, tiers and databases by the policy.

A person waits at each press of a key: nothing is asked of bucket or server, and nothing is imported that takes long.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from desbuquei_backups.cli.database import CHOSEN

_RECORDS = "backup-metadata.jsonl"
_SHOWN = 200  # of 100,000, the newest
_ID = re.compile(rb'"backup_id": "([a-z][a-z0-9_]*-\d{4}-\d\d-\d\d-\d{6})"')
_INSTANT = len("-2026-02-02-020000")
_GONE = (b'"status": "failed"', b'"status": "skipped"', b'"status": "missed"')


class _Known(click.ParamType):  # type: ignore[type-arg]  # no generic before click 8.4
    """Any text, of which some is known beforehand."""

    name = "text"

    def __init__(self, known: Callable[[str | None, str], Iterator[str]]) -> None:
        self._known = known

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        given = ctx.params.get(param.name) if param.name else None
        said = given if isinstance(given, tuple) else ()
        database = _database(ctx)
        return [CompletionItem(each) for each in self._known(database, incomplete) if each not in said]


def completed(command: click.Command) -> None:
    """Let that command, and those below it, know what its parameters of these names may be."""
    for parameter in command.params:
        known = _BY_NAME.get(parameter.name or "")
        if known is not None and isinstance(parameter.type, type(click.STRING)):
            parameter.type = _Known(known)
    for each in getattr(command, "commands", {}).values():
        completed(each)


def _database(ctx: click.Context) -> str | None:
    """The database that --database chose before the word that is being completed, if it did."""
    chosen = ctx.meta.get(CHOSEN)
    return chosen if isinstance(chosen, str) else None


def _backup_ids(database: str | None, incomplete: str) -> Iterator[str]:
    """The backups that there is a record of, the newest first."""
    path = folder(database) / _RECORDS
    wanted, found = f'"backup_id": "{incomplete}'.encode(), set()
    try:
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                if wanted in line and not any(word in line for word in _GONE) and (told := _ID.search(line)):
                    found.add(told[1].decode())
    except OSError:
        return
    yield from sorted(found, key=lambda each: (each[-_INSTANT:], each), reverse=True)[:_SHOWN]


def _targets(database: str | None, incomplete: str) -> Iterator[str]:
    yield from (word for word in ("latest",) if word.startswith(incomplete))
    yield from _backup_ids(database, incomplete)


def _tiers(database: str | None, incomplete: str) -> Iterator[str]:  # noqa: ARG001 - they are one policy's
    yield from (name for name in _policy().get("tiers", {}) if name.startswith(incomplete))


def _databases(database: str | None, incomplete: str) -> Iterator[str]:  # noqa: ARG001
    policy = _policy()
    names = (policy.get("database"), *policy.get("databases", {}))
    yield from (name for name in names if isinstance(name, str) and name.startswith(incomplete))


_BY_NAME: Mapping[str, Callable[[str | None, str], Iterator[str]]] = {
    "backup_id": _backup_ids,
    "backup_ids": _backup_ids,
    "target": _targets,
    "tier": _tiers,
    "latest": _tiers,
    "database": _databases,
}


def folder(database: str | None) -> Path:
    """Where the records lie, as `operations.settings` has it; that one reads the whole policy, which takes longer."""
    environment = _environment()
    home = Path(environment.get("DESBUQUEI_HOME") or ".desbuquei")
    trial = environment.get("DESBUQUEI_DATABASE_URL") == "embedded"
    found = Path(environment.get("DESBUQUEI_BACKUP_DIR") or (home / "backups" if trial else "/backups"))
    return found / database if database is not None and database in _policy().get("databases", {}) else found


def _policy() -> Mapping[str, Any]:
    """The policy as it is written; a bad one has nothing to tell here, and is refused elsewhere."""
    given = _environment().get("DESBUQUEI_POLICY")
    try:
        path = Path(given) if given else resources.files("desbuquei_backups.core") / "policy.toml"
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _environment() -> Mapping[str, str]:
    from dotenv import load_dotenv

    load_dotenv(".env")
    return os.environ
