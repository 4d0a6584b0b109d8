"""Roles read wrong are owners and grants lost, or an existing role's password reset on a shared server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from desbuquei_backups.postgres.globals import concerning, created_roles, statements

SCRIPT = r'''--
-- PostgreSQL database cluster dump
--

\restrict abc

SET default_transaction_read_only = off;

CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b''c==';
CREATE ROLE "d'água; ""x""";
ALTER ROLE "d'água; ""x""" WITH NOLOGIN;
COMMENT ON ROLE "d'água; ""x""" IS 'a; b
-- not a comment; it''s text
\restrict neither';
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER;
ALTER ROLE app SET search_path TO 'a', 'b';
ALTER ROLE app IN DATABASE vendas SET work_mem TO '1MB';
GRANT pg_read_all_data TO app WITH INHERIT TRUE GRANTED BY postgres;
GRANT app TO "d'água; ""x""" WITH ADMIN OPTION GRANTED BY postgres;
CREATE TABLESPACE frio OWNER app LOCATION '';

\unrestrict abc
'''


def test_every_role_is_found_by_its_real_name() -> None:
    assert created_roles(SCRIPT) == ["app", 'd\'água; "x"', "postgres"]


def test_only_missing_roles_are_made_what_they_were() -> None:
    assert concerning(SCRIPT, {"app"}) == [
        "CREATE ROLE app;",
        "ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b''c==';",
        "ALTER ROLE app SET search_path TO 'a', 'b';",
        "GRANT pg_read_all_data TO app WITH INHERIT TRUE GRANTED BY postgres;",
    ]


def test_a_grant_concerns_the_role_that_receives_it() -> None:
    wanted = concerning(SCRIPT, {'d\'água; "x"'})
    assert len(wanted) == 4
    assert wanted[-1].startswith("GRANT app TO")
    assert wanted[2].endswith("\\restrict neither';")


def test_nothing_is_done_where_nothing_is_missing() -> None:
    assert concerning(SCRIPT, set()) == []


names = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(st.lists(names, unique=True, max_size=5), st.text(st.characters(blacklist_categories=["Cs"]), max_size=40))
def test_no_name_and_no_comment_breaks_the_reading(roles: list[str], comment: str) -> None:
    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    text = comment.replace("'", "''")
    script = "".join(f"CREATE ROLE {quoted(role)};\nCOMMENT ON ROLE {quoted(role)} IS '{text}';\n" for role in roles)
    assert created_roles(script) == roles
    assert len(list(statements(script))) == 2 * len(roles)
    for role in roles:
        assert len(concerning(script, {role})) == 2


@pytest.mark.parametrize("script", ["", "-- only a comment", "\\restrict abc", "SELECT 1"])
def test_a_script_without_a_whole_statement_has_none(script: str) -> None:
    assert list(statements(script)) == []


def test_the_example_is_quoted_as_postgresql_quotes() -> None:
    assert sql.Identifier('d\'água; "x"').as_string(None) in SCRIPT
