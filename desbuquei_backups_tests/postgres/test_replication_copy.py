"""A base backup that the protocol brings short of a byte, or that claims to be whole, is no way back."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.errors import SourceUnreachable, ToolFailed
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.unpacking import unpack
from desbuquei_backups.postgres import physical, replication_copy
from desbuquei_backups.postgres.programs import choose
from desbuquei_backups.postgres.replication_copy import Part, base_backup_parts
from desbuquei_backups_tests.embedded.processes import eventually

LABEL = "it's daily"


@pytest.fixture
def spaces(sample_url: str, database_name: str) -> Iterator[list[int]]:
    """The two tablespaces of the cluster: the sample's, and one more, with a table in it."""
    with psycopg.connect(sample_url, autocommit=True) as connection:
        connection.execute("set allow_in_place_tablespaces = on")
        connection.execute(f"create tablespace {database_name} location ''")
        connection.execute(f"create table longe tablespace {database_name} as select generate_series(1, 5000) as a")
        found = connection.execute("select oid::int8 from pg_tablespace where spcname !~ '^pg_' order by 1").fetchall()
        yield [oid for (oid,) in found]
        connection.execute("drop table longe")
        connection.execute(f"drop tablespace {database_name}")


def parts_of(url: str) -> Iterator[tuple[Part, Iterator[bytes]]]:
    return base_backup_parts(url, label=LABEL, setting=DATABASE_URL)


def test_every_tablespace_the_data_directory_and_the_manifest_come_whole(sample_url, spaces, tmp_path: Path) -> None:
    found = {}
    for part, chunks in parts_of(sample_url):
        found[part.oid] = part
        if part.is_manifest:
            (tmp_path / part.name).write_bytes(b"".join(chunks))
        else:
            unpack(chunks, tmp_path / f"pg_tblspc/{part.oid}" if part.oid else tmp_path, name="a part")
    assert sorted(oid for oid in found if oid) == spaces
    assert {found[oid].location for oid in spaces} == {f"pg_tblspc/{oid}" for oid in spaces}
    assert f"LABEL: {LABEL}\n" in (tmp_path / "backup_label").read_text()
    # Every file by its SHA-256, and the WAL that makes it consistent, by PostgreSQL's own programs.
    assert physical.verify(choose(17), tmp_path) == []
    assert physical.wal_range((tmp_path / physical.MANIFEST).read_bytes()).timeline == 1


def backups(connection: psycopg.Connection) -> list[int]:
    return [pid for (pid,) in connection.execute("select pid from pg_stat_progress_basebackup").fetchall()]


def test_one_that_is_given_up_does_not_go_on_on_the_server(sample_url, spaces) -> None:
    parts = parts_of(sample_url)
    next(parts)
    with psycopg.connect(sample_url, autocommit=True) as connection:
        assert backups(connection)
        parts.close()
        assert eventually(lambda: not backups(connection))


def test_one_that_the_server_ends_is_no_whole_one(sample_url, spaces) -> None:
    parts = parts_of(sample_url)
    next(parts)
    with psycopg.connect(sample_url, autocommit=True) as connection:
        (pid,) = backups(connection)
        connection.execute("select pg_terminate_backend(%s)", (pid,))
        assert eventually(lambda: not backups(connection))
    with pytest.raises(SourceUnreachable, match=r"copying the cluster: .*terminat"):
        list(parts)


def test_what_the_server_says_against_it_is_said(sample_url, spaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replication_copy, "_options", lambda label: "NONSENSE")
    with pytest.raises(ToolFailed, match="the server made no base backup: ERROR: unrecognized base backup option"):
        next(parts_of(sample_url))
