"""Servers live as long as somebody uses them, and not a moment longer, however their users end."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.embedded import Server, servers
from desbuquei_backups_tests.embedded.processes import eventually, living, process_id

USER = """
import sys
from pathlib import Path
from desbuquei_backups.embedded import Server, servers
with servers(Path(sys.argv[1]), *map(Server, sys.argv[2:])) as endpoints:
    print(*(server.port for server in endpoints.postgres.values()), flush=True)
    sys.stdin.read()
"""


def user(home: Path, *needed: Server) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(home), *needed],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def ports(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(port) for port in process.stdout.readline().split()]


def test_two_users_share_one_server_and_the_last_takes_it_along(own_home: Path) -> None:
    with servers(own_home, Server.SCRATCH) as first:
        supervisor = process_id(own_home, "supervisor")
        with user(own_home, Server.SCRATCH) as second:
            assert ports(second) == [first.postgres[Server.SCRATCH].port]
            assert process_id(own_home, "supervisor") == supervisor
            second.communicate("")
        with psycopg.connect(first.postgres[Server.SCRATCH].url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert eventually(lambda: not living(own_home))


def test_many_users_at_once_start_one_supervisor(own_home: Path) -> None:
    def port(_: int) -> int:
        with servers(own_home, Server.SCRATCH) as endpoints:
            return endpoints.postgres[Server.SCRATCH].port

    with user(own_home, Server.SCRATCH) as other, ThreadPoolExecutor(6) as threads:
        found = set(threads.map(port, range(12))) | set(ports(other))
        assert len(found) == 1
        other.communicate("")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_user_that_is_killed_leaves_nothing(own_home: Path, how: signal.Signals) -> None:
    with user(own_home, Server.SCRATCH) as process:
        assert ports(process)
        assert len(living(own_home)) > 3
        os.killpg(process.pid, how)
        process.communicate()
    assert eventually(lambda: not living(own_home))


def test_a_user_killed_while_servers_start_leaves_nothing(own_home: Path) -> None:
    with user(own_home, Server.SCRATCH, Server.S3) as process:
        assert eventually(lambda: any("weed" in line for line in living(own_home)))
        process.kill()
        process.communicate()
    assert eventually(lambda: not living(own_home))


def test_a_killed_supervisor_leaves_nothing_and_the_data_is_intact(own_home: Path) -> None:
    with user(own_home, Server.SOURCE, Server.S3) as process:
        assert ports(process)
        with (
            servers(own_home, Server.SOURCE) as endpoints,
            psycopg.connect(endpoints.postgres[Server.SOURCE].url) as one,
        ):
            one.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(process_id(own_home, "supervisor"), signal.SIGKILL)
        process.communicate("")
    # At once, while the old servers are still going down.
    with (
        servers(own_home, Server.SOURCE, Server.S3) as again,
        psycopg.connect(again.postgres[Server.SOURCE].url) as two,
    ):
        assert two.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_leftovers_of_a_power_cut_do_not_block_the_next_start(own_home: Path) -> None:
    with servers(own_home, Server.SCRATCH) as endpoints:
        data = endpoints.postgres[Server.SCRATCH].data_dir
    assert eventually(lambda: not living(own_home))
    # The process id of somebody else, alive: PostgreSQL by itself would refuse.
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n1\n\n127.0.0.1\n0 0\nready\n")
    (own_home / "control" / "supervisor.sock").touch()
    with servers(own_home, Server.SCRATCH) as again, psycopg.connect(again.postgres[Server.SCRATCH].url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_died_is_started_again_for_the_next_user(own_home: Path) -> None:
    with servers(own_home, Server.SCRATCH) as first:
        os.kill(process_id(own_home, Server.SCRATCH), signal.SIGKILL)
        assert eventually(lambda: not any("postgres" in line for line in living(own_home)))
        with servers(own_home, Server.SCRATCH) as second:
            assert second.postgres == first.postgres
            with psycopg.connect(second.postgres[Server.SCRATCH].url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
