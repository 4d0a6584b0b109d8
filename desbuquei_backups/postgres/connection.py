"""Connections: a libpq URI, what may be said of it aloud, and what its failures mean."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import conninfo, pq
from psycopg.rows import TupleRow

from desbuquei_backups.core.errors import BackupError, ConfigurationError, SourceError, SourceRefused, SourceUnreachable

Connection = psycopg.Connection[TupleRow]

# Settings that change how values are written as text, or that would cut a long read short.
PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "search_path": "pg_catalog",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}

_REMEDIES: tuple[tuple[str, type[BackupError], str], ...] = (
    ("password authentication failed", SourceRefused, "correct the password in the URL, or the role's own"),
    ("no password supplied", SourceRefused, "put the password into the URL, PGPASSWORD or a passfile"),
    ("no encryption", SourceRefused, "the server wants TLS: add sslmode=require (better verify-full) to the URL"),
    ("SSL off", SourceRefused, "the server wants TLS: add sslmode=require (better verify-full) to the URL"),
    ("does not support SSL", SourceRefused, "the server offers no TLS: switch it on there, or ask for sslmode=prefer"),
    ("certificate verify failed", SourceRefused, "give the server's CA in sslrootcert, or correct the host name"),
    ("root certificate file", SourceRefused, "give the server's CA file in sslrootcert"),
    ("does not match host name", SourceRefused, "connect by the name that is in the server's certificate"),
    ("no pg_hba.conf entry", SourceRefused, "allow this host, role and database in the server's pg_hba.conf"),
    ("does not exist", SourceRefused, "correct the database or role in the URL"),
    ("not permitted to log in", SourceRefused, "use a role that may log in"),
    ("Tenant or user not found", SourceRefused, "a Supabase pooler wants the role as postgres.PROJECT_REF"),
    ("permission denied to start WAL sender", SourceRefused, "ALTER ROLE … REPLICATION, if the server is yours"),
    ("role to start walsender", SourceRefused, "ALTER ROLE … REPLICATION, if the server is yours"),
    ("max_wal_senders (currently 0)", SourceRefused, "set max_wal_senders to 4 or more, and restart the server"),
    ("unsupported startup parameter", SourceRefused, "this is a pooler: use the direct host, or a session pooler"),
    ("too many", SourceUnreachable, "free connections on the server, or raise max_connections"),
)


def parse(url: str, *, setting: str) -> dict[str, Any]:
    """The keywords of a libpq URI; ConfigurationError names `setting` and never repeats the URI."""
    refusal = ConfigurationError(
        f"{setting} is not a PostgreSQL connection URI",
        remedy="write it like postgresql://role@host:5432/name?sslmode=verify-full, odd characters percent-encoded",
    )
    try:
        parameters = dict(conninfo.conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        raise refusal from None  # libpq's own message repeats the string, password and all
    if _password_astray(url, parameters):
        raise refusal
    return parameters


def _password_astray(url: str, parameters: Mapping[str, Any]) -> bool:
    """Whether libpq took a part of the password for a host, port or name: it would be shown in the next error."""
    ports = str(parameters.get("port") or "").split(",")
    if any(port and not port.isdecimal() for port in ports):
        return True
    if not url.startswith(("postgres://", "postgresql://")):
        return False
    # As libpq reads it: what is before the first @ is the login, unless a slash comes first.
    rest = url.partition("://")[2]
    login, at, address = rest.partition("@")
    return "@" in (address if at and "/" not in login else rest).partition("?")[0]


def described(parameters: Mapping[str, Any]) -> str:
    """`role@host:port/database`, with nothing secret in it."""
    host = parameters.get("host") or parameters.get("hostaddr") or "local socket"
    user = f"{parameters['user']}@" if parameters.get("user") else ""
    return f"{user}{host}:{parameters.get('port') or 5432}/{parameters.get('dbname') or parameters.get('user') or ''}"


def without_password(parameters: Mapping[str, Any], dbname: str) -> str:
    """A URL of that database on the same server, with nothing secret in it."""
    user = f"{quote(str(parameters['user']), safe='')}@" if parameters.get("user") else ""
    host = str(parameters.get("host") or parameters.get("hostaddr") or "")
    host = f"[{host}]" if ":" in host else quote(host, safe="")
    mode = f"?sslmode={parameters['sslmode']}" if parameters.get("sslmode") else ""
    return f"postgresql://{user}{host}:{parameters.get('port') or 5432}/{quote(dbname, safe='')}{mode}"


def environment(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The same parameters as the environment that libpq's programs read; nothing of them need be an argument.

    What the URL leaves to PGPASSWORD, PGPASSFILE, PGSSLMODE and the like is left to them here too.
    """
    names = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    standard = {envvar.decode() for envvar in names.values() if envvar is not None}
    given = {name: value for name in standard if (value := os.environ.get(name)) is not None}
    for keyword, value in parameters.items():
        variable = names.get(keyword)
        if variable is not None:
            given[variable.decode()] = str(value)
        elif "password" in keyword or "secret" in keyword:
            raise ConfigurationError(
                f"{keyword} in a URL cannot be handed to PostgreSQL's programs in secret",
                remedy="use a key without a passphrase, readable by the backup's user alone",
            )
    return given


def connect(url: str, *, setting: str, application: str = "desbuquei_backups", **overrides: Any) -> Connection:
    """An autocommit connection in UTF-8 with no timeouts of its own.

    SourceUnreachable if it may pass by itself, SourceRefused if a person must act; the message has no secret.
    """
    parameters = parse(url, setting=setting) | {"fallback_application_name": application} | overrides
    parameters.setdefault("connect_timeout", "15")
    # A snapshot's session is silent for as long as its dump takes; what lies between must not take it for dead.
    parameters.setdefault("keepalives_idle", "30")
    parameters.setdefault("keepalives_interval", "10")
    parameters["client_encoding"] = "UTF8"
    try:
        return psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise _meaning(error, parameters, setting) from None
    except psycopg.Error as error:
        raise ConfigurationError(f"{setting}: {_text(error)}", remedy="correct that part of the URL") from None


def pin(connection: Connection, *, lc_monetary: str | None = None) -> None:
    """Fix everything in this session that could change how a value is written as text."""
    settings = dict(PINNED)
    if connection.info.server_version >= 170000:
        settings["transaction_timeout"] = "0"
    if lc_monetary is not None:
        settings["lc_monetary"] = lc_monetary
    for name, value in settings.items():
        connection.execute("select pg_catalog.set_config(%s, %s, false)", (name, value))


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn a connection lost while `doing` something into SourceUnreachable, and anything else into its plain text."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise SourceUnreachable(
            f"{doing}: a lock was not granted in time: {_text(error)}",
            remedy="a migration or a VACUUM FULL holds the table; run again when it is done",
        ) from None
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction) as error:
        raise SourceRefused(f"{doing}: {_text(error)}", remedy="grant the role what is missing") from None
    except psycopg.OperationalError as error:
        raise SourceUnreachable(
            f"{doing}: {_text(error)}", remedy="look at the server's log; run again when it answers"
        ) from None
    except psycopg.Error as error:
        raise SourceError(f"{doing}: {_text(error)}", remedy="look at the server's log") from None


def _meaning(error: psycopg.Error, parameters: Mapping[str, Any], setting: str) -> BackupError:
    text = _text(error)
    where = f"cannot connect to {described(parameters)} ({setting}): {text}"
    for words, kind, remedy in _REMEDIES:
        if words in text:
            return kind(where, remedy=remedy)
    return SourceUnreachable(where, remedy="see that the server runs and that this host reaches it, then run again")


def _text(error: psycopg.Error) -> str:
    """The message on one line, without the rows and values that its DETAIL may quote."""
    return " ".join((error.diag.message_primary or str(error)).split())
