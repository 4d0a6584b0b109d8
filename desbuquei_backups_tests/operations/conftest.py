"""What the operations' tests share: the look for losses, impatience with a store that is down."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Clock, Endpoints
from desbuquei_backups_tests.operations.losses import Losses
from desbuquei_backups_tests.operations.tiers import TOGETHER
from desbuquei_backups_tests.urls import with_database


def names(scratch: psycopg.Connection, catalog: str, column: str) -> set[str]:
    return {name for (name,) in scratch.execute(f"select {column}::text from {catalog}").fetchall()}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")


@pytest.fixture
def together(clock: Clock) -> None:
    """Ten minutes after an instant at which five tiers are due."""
    clock.now = TOGETHER + timedelta(minutes=10)


@pytest.fixture
def losses(bucket: Bucket, endpoints: Endpoints, caplog: pytest.LogCaptureFixture) -> Losses:
    return Losses(bucket, endpoints.secrets, caplog)


@pytest.fixture
def shop(source: psycopg.Connection) -> psycopg.Connection:
    """A connection to a database of three tables, a sequence and a large object."""
    source.execute(
        """
        create table clientes (id bigint generated always as identity primary key, nome text not null);
        insert into clientes (nome) select 'cliente ' || i from generate_series(1, 50) i;
        create table pedidos (id int primary key, cliente bigint references clientes, valor numeric(10, 2));
        insert into pedidos select i, i, i * 1.25 from generate_series(1, 40) i;
        create table vazia (a int);
        select lo_from_bytea(0, 'contrato');
        """
    )
    return source


@pytest.fixture
def big(source: psycopg.Connection) -> psycopg.Connection:
    """A connection to a database whose dump is longer than every pipe and buffer on its way."""
    source.execute(
        "create table muita (a text); insert into muita "
        "select string_agg(md5(i::text || j), '') from generate_series(1, 400) i, generate_series(1, 1000) j group by i"
    )
    return source


@pytest.fixture
def application(source_url: str) -> Iterator[psycopg.Connection]:
    """A second connection, as of somebody who works there meanwhile."""
    with psycopg.connect(source_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def target(restore_url: str, scratch: psycopg.Connection) -> Iterator[str]:
    """The URL of a database that is not there yet; it and the roles that come with it are dropped afterwards."""
    name = f"target_{uuid.uuid4().hex[:12]}"
    roles = names(scratch, "pg_roles", "rolname")
    databases = names(scratch, "pg_database", "datname")
    yield with_database(restore_url, name)
    for left in names(scratch, "pg_database", "datname") - databases:
        scratch.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(left)))
    for left in names(scratch, "pg_roles", "rolname") - roles:
        scratch.execute(sql.SQL("drop role {}").format(sql.Identifier(left)))
