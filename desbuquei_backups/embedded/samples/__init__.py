"""Sample source databases: one with every kind of object, one in the shape of a Supabase project."""

from __future__ import annotations

from importlib.resources import files
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

__all__ = ["PLAIN_ROWS", "SUPABASE_ROWS", "SUPABASE_UNREADABLE", "load_plain", "load_supabase"]

PLAIN_ROWS = 100_000
"""Orders in the plain sample: a dump of about 85 MB."""

SUPABASE_ROWS = 12_000
"""Contacts in the Supabase sample: a dump of about 10 MB."""

SUPABASE_UNREADABLE = (
    "storage.buckets_vectors",
    "storage.vector_indexes",
    "supabase_functions.hooks",
    "supabase_functions.hooks_id_seq",
)
"""Tables and the sequence that the role postgres may not read there: any one of them fails a whole pg_dump."""

_TABLESPACE = "desbuquei_frio"


def load_plain(url: str, *, rows: int = PLAIN_ROWS, tablespace: bool = True) -> None:
    """Fill the empty database at `url`, a superuser's, with the sample "desbuquei".

    Roles, and with `tablespace` an in-place tablespace, are made on its server unless they are there.
    The same `rows` give the same data. Raises psycopg.Error; then the database is left empty.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_tablespace WHERE spcname = %s", (_TABLESPACE,)).fetchone()
        if tablespace and not found:
            connection.execute("SET allow_in_place_tablespaces = on")
            connection.execute(sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(_TABLESPACE)))
        connection.execute("SELECT set_config('samples.tablespace', %s, false)", ("on" if tablespace else "off",))
        _run(connection, "plain.sql", rows)


def load_supabase(url: str, *, postgres_password: str, rows: int = SUPABASE_ROWS) -> str:
    """Make the database "postgres" at `url` a Supabase project; returns the role postgres's URL, password and all.

    `url` is that of supabase_admin, the superuser of a server whose share/extension holds the files of
    samples/extensions. Raises psycopg.Error; then the database is left as it was.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        _run(connection, "supabase.sql", rows)
        # Hashed here: the server's log never sees the password.
        secret = connection.pgconn.encrypt_password(postgres_password.encode(), b"postgres", b"scram-sha-256")
        connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(secret.decode()))
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"postgres:{quote(postgres_password, safe='')}@{address}"))


def _run(connection: psycopg.Connection, script: str, rows: int) -> None:
    connection.execute("SELECT set_config('samples.rows', %s, false)", (str(rows),))
    connection.execute(files(__name__).joinpath(script).read_bytes())
