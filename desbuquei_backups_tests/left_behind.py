"""What stands on a shared server beside the tests' own databases: what one test leaves there, another stumbles over."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import sql

from desbuquei_backups_tests.embedded.processes import eventually

# Each kind: how to list its names, and how to take one away.
_KINDS = {
    "slot": ("select slot_name from pg_replication_slots", "select pg_drop_replication_slot({literal})"),
    "database": ("select datname from pg_database", "drop database {identifier} with (force)"),
    "tablespace": ("select spcname from pg_tablespace", "drop tablespace {identifier}"),
    # What a role owned is gone with its database; what it may do with a tablespace or a parameter is not.
    "role": ("select rolname from pg_roles", "drop owned by {identifier}; drop role {identifier}"),
    "setting": (
        "select name from pg_file_settings where sourcefile ~ 'postgresql\\.auto\\.conf$'",
        "alter system reset {identifier}",
    ),
}
_ALL = " union all ".join(f"select '{kind}', name::text from ({names}) _ (name)" for kind, (names, _) in _KINDS.items())


def standing(server: psycopg.Connection) -> set[tuple[str, str]]:
    """Kind and name of all that is the whole server's."""
    return set(server.execute(_ALL).fetchall())


def clear(server: psycopg.Connection, before: set[tuple[str, str]]) -> None:
    """Take away what came to stand there since."""
    left = sorted(standing(server) - before)
    for kind, (_, drop) in _KINDS.items():
        for name in (name for other, name in left if other == kind):
            statement = sql.SQL(drop).format(literal=sql.Literal(name), identifier=sql.Identifier(name))
            server.execute(statement)


@contextmanager
def clearing(server: psycopg.Connection) -> Iterator[None]:
    """Take away what came to stand there meanwhile."""
    before = standing(server)
    yield
    clear(server, before)


@contextmanager
def leaving_nothing(servers: Mapping[str, psycopg.Connection]) -> Iterator[None]:
    """AssertionError if something stands on a server that did not before, or no longer does; it is cleared then."""
    before = {name: standing(server) for name, server in servers.items()}
    yield
    found = {}
    for name, server in servers.items():
        # A session that was just broken off takes its slot along a moment later.
        if not eventually(lambda server=server, name=name: standing(server) == before[name], 5):
            found[name] = sorted(standing(server) ^ before[name])
            clear(server, before[name])
    assert not found, f"left behind, or taken away: {found}"
