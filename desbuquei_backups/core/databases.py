"""The databases of one policy file: the first, and further ones, each with what it has otherwise than the first."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.tiers import RESERVED, Policy, PolicyFile, first_policy, read_policy

DATABASE_URL = "DESBUQUEI_DATABASE_URL"
RESTORE_URL = "DESBUQUEI_RESTORE_URL"
INVARIANTS = "DESBUQUEI_INVARIANTS"
# Folders in the first database's backup folder, beside which those of the others lie; prefixes are in RESERVED.
_FOLDERS = {"rejected", "reports", "unreported", "wal_archive"}
_OWN = ("url", "restore_url")
_NOT_INHERITED = ("database", "protected_since")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_LONGEST = 48  # its replication slot's name, which has it in it, must not be cut


@dataclass(frozen=True, slots=True)
class Database:
    """One database of a policy. `url`, `restore_url`, `invariants`: the names of the variables that hold these.

    `below`: the folder and prefix, below those of the first, that a further database has; the first has none.
    """

    policy: Policy
    url: str = DATABASE_URL
    restore_url: str = RESTORE_URL
    invariants: str = INVARIANTS
    below: str = ""

    @property
    def name(self) -> str:
        return self.policy.database


def load_databases(path: Path | None = None) -> tuple[Database, ...]:
    """All databases in `path`, or in the packaged policy, the first one first; ConfigurationError as `load_policy`."""
    file = read_policy(path)
    first = Database(first_policy(file))
    if not isinstance(file.further, Mapping) or not all(isinstance(own, Mapping) for own in file.further.values()):
        raise file.refusal([f"{file.place(('databases',))}: a further database is a table, [databases.NAME]"])
    found, faults = [first], []
    for name, own in file.further.items():
        try:
            found.append(_further(file, name, own))
        except ValidationError as error:
            at = ((fault, ("databases", name, *fault["loc"])) for fault in error.errors())
            faults += [f"{file.place(where)}: {fault['msg']}" for fault, where in at]
        except ValueError as error:
            faults.append(f"{file.place(('databases', name))}: {error}")
    faults += [f"{file.place(('databases', each.name))}: {why}" for each, why in _collisions(found)]
    if faults:
        raise file.refusal(faults)
    return tuple(found)


def named(databases: tuple[Database, ...], name: str | None) -> Database:
    """The database of that name, the first if none is asked for; ConfigurationError if there is none."""
    for each in databases:
        if name in (None, each.name):
            return each
    raise ConfigurationError(
        f"the policy has no database {name!r}", remedy=f"choose one of: {', '.join(each.name for each in databases)}"
    )


def _further(file: PolicyFile, name: str, own: Mapping[str, Any]) -> Database:
    if "database" in own:
        raise ValueError("its name is NAME in [databases.NAME]")
    variables = {key: own[key] for key in _OWN if key in own}
    for key, given in variables.items():
        if not (isinstance(given, str) and _VARIABLE.fullmatch(given)):  # it may be a URL, which is not repeated
            raise ValueError(f"{key} is the name of an environment variable, like {_default(name, 'DATABASE_URL')}")
    inherited = {key: value for key, value in file.first.items() if key not in _NOT_INHERITED}
    changed = {key: value for key, value in own.items() if key not in _OWN}
    merged = {**_merged(inherited, changed), "database": name}
    if isinstance(tiers := merged.get("tiers"), Mapping):
        merged["tiers"] = {tier: told for tier, told in tiers.items() if told is not False}
    policy = Policy.model_validate(merged)
    return Database(
        policy,
        url=variables.get("url", _default(name, "DATABASE_URL")),
        restore_url=variables.get("restore_url", RESTORE_URL),
        invariants=_default(name, "INVARIANTS"),
        below=name,
    )


def _default(name: str, what: str) -> str:
    return f"DESBUQUEI_{name.upper()}_{what}"


def _merged(first: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a database says of itself over what is said of the first, table by table."""
    both = dict(first)
    for key, value in own.items():
        before = both.get(key)
        both[key] = _merged(before, value) if isinstance(value, Mapping) and isinstance(before, Mapping) else value
    return both


def _collisions(databases: list[Database]) -> Iterator[tuple[Database, str]]:
    """Those whose files, jobs or source would be another's, each with the reason."""
    first, *further = databases
    taken = {*RESERVED, *_FOLDERS, *first.policy.tiers}
    jobs = dict.fromkeys(_jobs(first), first.name)
    urls = {first.url: first.name}
    for each in further:
        if each.name in taken:
            yield each, f"the name {each.name} is taken: something else of {first.name} is stored under it"
        elif each.name == first.name:
            yield each, f"there are two databases called {each.name}"
        elif len(each.name) > _LONGEST:
            yield each, f"a name has at most {_LONGEST} letters"
        elif (other := next((jobs[job] for job in _jobs(each) if job in jobs), None)) is not None:
            yield each, f"jobs of {each.name} would have the names of jobs of {other}: choose another name"
        elif each.url in urls:
            yield each, f"its URL is in {each.url}, as that of {urls[each.url]} is: each database has its own"
        jobs |= dict.fromkeys(_jobs(each), each.name)
        urls.setdefault(each.url, each.name)


def _jobs(database: Database) -> set[str]:
    """What begins with the database's name in Dagster, and what tells its tiers' jobs and partitions apart."""
    return {f"{database.name}_{each}" for each in (*database.policy.tiers, *RESERVED)}
