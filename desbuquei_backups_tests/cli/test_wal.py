"""`desbuquei wal` as a shell sees it."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from desbuquei_backups.operations.settings import DATABASE_URL, SECOND_S3_URL
from desbuquei_backups_tests.cli.test_commands import Run, run  # noqa: F401 - a fixture
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.operations.wal import SLOT


@pytest.fixture(autouse=True)
def _slot(endpoints) -> Iterator[None]:
    yield
    with psycopg.connect(endpoints.source, autocommit=True) as connection:
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", (SLOT,)
        )


def test_a_drain_says_which_point_can_be_recovered_to_and_status_what_is_missing(run: Run) -> None:  # noqa: F811
    done = run("wal", "drain", "--name", "antes-da-migracao", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["point"]["name"] == "antes-da-migracao"
    assert document["stored"]
    again = run("wal", "drain", "--name", "antes-da-migracao")
    assert again.returncode == 0
    assert document["point"]["lsn"] in again.stdout
    later = [json.loads(run("wal", "drain", "--json").stdout) for _ in range(2)]
    assert all(each["point"]["name"].startswith("drain-20") and each["stored"] for each in later)
    status = run("wal", "status", "--json")
    assert status.returncode == 1  # there is no base backup
    found = json.loads(status.stdout)
    assert found["newest"] in later[-1]["stored"]
    assert [each["subject"] for each in found["findings"] if each["verdict"] == "does not match"] == ["base backup"]
    assert "WAL recovers nothing yet" in run("wal", "status").stdout


def test_a_second_place_that_is_down_fails_no_drain_and_is_said_by_status(run: Run) -> None:  # noqa: F811
    down = {
        SECOND_S3_URL: "s3://elsewhere/backups",
        "DESBUQUEI_SECOND_AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}",
        "AWS_MAX_ATTEMPTS": "1",
    }
    done = run("wal", "drain", "--name", "antes", "--json", **down)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["stored"]
    assert "Could not connect" in document["second_place"]["trouble"]
    found = json.loads(run("wal", "status", "--json", **down).stdout)
    assert "Could not connect" in found["second_place"]["trouble"]
    assert "second place" in [each["subject"] for each in found["findings"] if each["verdict"] == "does not match"]


@pytest.mark.parametrize("command", ["drain", "status"])
def test_a_server_that_gives_no_wal_is_no_failure(run: Run, project_url, command: str) -> None:  # noqa: F811
    done = run("wal", command, **{DATABASE_URL: project_url})
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "Not applicable")
    assert json.loads(run("wal", command, "--json", **{DATABASE_URL: project_url}).stdout)["applicable"] is False


def test_a_push_that_cannot_be_believed_is_refused(run: Run, tmp_path) -> None:  # noqa: F811
    (tmp_path / "000000010000000000000001").write_bytes(b"x")
    refused = run("wal", "push", "000000010000000000000001", "--into", str(tmp_path))
    assert refused.returncode == 2
    assert "is on this host" in refused.stderr
    assert run("wal", "push", "000000010000000000000001", "--into", str(tmp_path), "--off-host").returncode == 1
