"""A password in an error text is a password in a log, a ticket and a chat."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from desbuquei_backups.core.errors import BackupError, ConfigurationError, SourceRefused, SourceUnreachable
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import server
from desbuquei_backups_tests.fakes import SessionPooler, TransactionPooler, free_port
from desbuquei_backups_tests.urls import with_credentials, with_database, with_options, with_port

SECRET = "p@ss/w:rd?#[%20] 'ünï\"ção\\"
SETTING = "DESBUQUEI_DATABASE_URL"
passwords = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=30)


def refused(url: str) -> BackupError:
    """What connecting to `url` raises, after seeing that it says what to do and gives nothing away."""
    with pytest.raises(BackupError) as caught:
        pg.connect(url, setting=SETTING).close()
    error = caught.value
    assert SETTING in error.what
    assert error.remedy
    shown = f"{error}{error!r}{error.__cause__}"
    assert SECRET not in shown
    assert quote(SECRET, safe="") not in shown
    return error


@pytest.fixture
def role(endpoints) -> Iterator[str]:
    """A role of this test's own on the source, whose password is SECRET."""
    name = f"role_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(endpoints.source, autocommit=True) as connection:
        create = sql.SQL("create role {} login password {}")
        connection.execute(create.format(sql.Identifier(name), sql.Literal(SECRET)))
        yield name
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@given(passwords)
def test_any_password_survives_the_uri_and_the_environment(password: str) -> None:
    parameters = pg.parse(f"postgresql://ana:{quote(password, safe='')}@[::1]:5433/b%20d?sslmode=require", setting="X")
    assert parameters["password"] == password
    assert pg.environment(parameters) == {
        "PGUSER": "ana",
        "PGPASSWORD": password,
        "PGHOST": "::1",
        "PGPORT": "5433",
        "PGDATABASE": "b d",
        "PGSSLMODE": "require",
    }
    if password not in "ana@::1:5433/b d":
        assert password not in pg.described(parameters)


def test_an_odd_password_opens_the_server_to_us_and_to_its_programs(source_url: str, role: str) -> None:
    url = with_credentials(source_url, role, SECRET)
    with pg.connect(url, setting=SETTING) as connection:
        assert connection.info.user == role
    environment = pg.environment(pg.parse(url, setting=SETTING))
    shown = "import os, psycopg; print(psycopg.connect('').info.user)"
    given_to = {"PATH": os.environ["PATH"], **environment}
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", shown], env=given_to, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == role


@pytest.mark.parametrize(
    "url", [f"postgresql://ana:{SECRET}@h/b", f"host=h password='{SECRET}' sslmode", "postgresql://h/b?nonsense=1"]
)
def test_what_is_no_uri_is_refused_without_repeating_it(url: str) -> None:
    error = refused(url)
    assert isinstance(error, ConfigurationError)
    assert "percent-encoded" in error.remedy


def test_a_passphrase_that_programs_could_not_be_given_in_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sslpassword"):
        pg.environment({"host": "h", "sslpassword": SECRET})


def test_nobody_listens(endpoints) -> None:
    error = refused(with_port(with_credentials(endpoints.source, "ana", SECRET), free_port()))
    assert isinstance(error, SourceUnreachable)
    assert not error.permanent


def test_a_wrong_password_needs_a_person(source_url: str, role: str) -> None:
    error = refused(with_credentials(source_url, role, SECRET + "x"))
    assert isinstance(error, SourceRefused)
    assert "password" in error.remedy
    assert error.permanent


def test_no_such_database_needs_a_person(endpoints, role: str) -> None:
    error = refused(with_credentials(with_database(endpoints.source, "nowhere"), role, SECRET))
    assert isinstance(error, SourceRefused)
    assert "database or role" in error.remedy


def test_tls_asked_of_a_server_without(source_url: str, role: str) -> None:
    error = refused(with_options(with_credentials(source_url, role, SECRET), sslmode="require"))
    assert isinstance(error, SourceRefused)
    assert "TLS" in error.remedy


def test_too_many_connections_may_pass(source_url: str, role: str, source: psycopg.Connection) -> None:
    source.execute(sql.SQL("alter role {} connection limit 0").format(sql.Identifier(role)))
    error = refused(with_credentials(source_url, role, SECRET))
    assert isinstance(error, SourceUnreachable)
    assert not error.permanent


def test_a_transaction_pooler_is_known_and_refused(source_url: str) -> None:
    with TransactionPooler(source_url) as pooler, pytest.raises(SourceRefused, match="transaction pooler") as caught:
        server.refuse_transaction_pooler(pooler.url, setting=SETTING)
    assert "5432" in caught.value.remedy


@pytest.mark.parametrize("pooler", [TransactionPooler, SessionPooler])
def test_asking_leaves_nothing_set_in_sessions_that_the_application_uses_too(source_url: str, pooler: type) -> None:
    with pooler(source_url) as pool:
        with suppress(SourceRefused):
            server.refuse_transaction_pooler(pool.url, setting=SETTING)
        for _ in range(pool.backends):
            with pg.connect(pool.url, setting=SETTING) as application:
                row = application.execute(
                    "select count(*) from pg_settings where source = 'session' "
                    "and name not in ('client_encoding', 'application_name')"
                ).fetchone()
            assert row == (0,)


def test_a_session_pooler_serves(source_url: str) -> None:
    with SessionPooler(source_url) as pooler:
        server.refuse_transaction_pooler(pooler.url, setting=SETTING)


def test_the_server_itself_serves(source_url: str) -> None:
    server.refuse_transaction_pooler(source_url, setting=SETTING)


def test_a_pinned_session_writes_values_one_way(
    source_url: str, source: psycopg.Connection, database_name: str
) -> None:
    for setting in ("TimeZone to 'America/Sao_Paulo'", "DateStyle to 'German'", "bytea_output to 'escape'"):
        source.execute(sql.SQL("alter database {} set " + setting).format(sql.Identifier(database_name)))
    source.execute(sql.SQL("alter database {} set statement_timeout to '2min'").format(sql.Identifier(database_name)))
    with pg.connect(source_url, setting=SETTING) as connection:
        pg.pin(connection, lc_monetary="C")
        row = connection.execute(
            "select row('2026-02-02 02:00+00'::timestamptz, '\\x01'::bytea, 0.1::float8, '1 day'::interval)::text, "
            "current_setting('statement_timeout')"
        ).fetchone()
    assert row == ('("2026-02-02 02:00:00+00","\\\\x01",0.1,"1 day")', "0")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            f"postgresql://a%40b:{quote(SECRET, safe='')}@h:6432/x?sslmode=require",
            "postgresql://a%40b@h:6432/copy?sslmode=require",
        ),
        ("postgresql://[::1]/x", "postgresql://[::1]:5432/copy"),
        ("postgresql:///x?host=/run/pg&password=y", "postgresql://%2Frun%2Fpg:5432/copy"),
    ],
    ids=["a password", "IPv6", "a socket"],
)
def test_a_url_that_is_told_leads_there_without_the_password(url: str, told: str) -> None:
    assert pg.without_password(pg.parse(url, setting=SETTING), "copy") == told
    assert pg.parse(told, setting=SETTING)["dbname"] == "copy"
