"""The surroundings of a trial: embedded servers, a sample to back up, and the settings that lead there."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import psycopg

from desbuquei_backups.embedded.client import servers
from desbuquei_backups.embedded.endpoints import PostgresServer, Server
from desbuquei_backups.operations import settings as names


class Shape(StrEnum):
    """Which sample is backed up: a plain server, or one that is like a Supabase project."""

    PLAIN = "plain"
    SUPABASE = "supabase"


def home_of(home: Path, shape: Shape) -> Path:
    """Where a trial's state lies: the two shapes share nothing, their slots bear the same names."""
    return home if shape is Shape.PLAIN else home / shape


@contextmanager
def trial(home: Path, shape: Shape, said: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Start the servers, load the sample if it is not there, and give the environment that leads to them."""
    source = Server.SOURCE if shape is Shape.PLAIN else Server.SUPABASE
    said("starting the embedded servers")
    with servers(home, source, Server.SCRATCH, Server.S3) as endpoints:
        server, s3 = endpoints.postgres[source], endpoints.s3
        assert s3 is not None
        url = server.url if shape is Shape.PLAIN else _project_url(home, server)
        if _empty(server):
            said(f"loading the {shape} sample")
            _load(home, shape, server)
        yield {
            names.DATABASE_URL: url,
            names.RESTORE_URL: endpoints.postgres[Server.SCRATCH].url,
            names.S3_URL: f"s3://{s3.bucket}",
            "DESBUQUEI_BACKUP_DIR": str(home / "backups"),
            "DESBUQUEI_SCHEDULES": "off",
            "DESBUQUEI_HOME": str(home),
            **s3.environment(),
        }


@contextmanager
def in_environment(given: dict[str, str]) -> Iterator[None]:
    """Let this process and its children see `given` instead of whatever leads to real servers; undone afterwards."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("PG", "AWS_", "DESBUQUEI_")):
            del os.environ[name]
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _empty(server: PostgresServer) -> bool:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(
            "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where relkind = 'r' and nspname not like 'pg\\_%' and nspname <> 'information_schema'"
        ).fetchone()
    return row == (0,)


def _load(home: Path, shape: Shape, server: PostgresServer) -> None:
    from desbuquei_backups.embedded.samples import load_plain, load_supabase

    if shape is Shape.PLAIN:
        load_plain(server.url)
    else:
        load_supabase(server.url, postgres_password=_password(home))


def _project_url(home: Path, server: PostgresServer) -> str:
    """The URL of the role `postgres`, as a Supabase project gives it to its owner."""
    from dataclasses import replace

    return replace(server, user="postgres", password=_password(home)).url


def _password(home: Path) -> str:
    path = home / "supabase-postgres.password"
    if not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text()
