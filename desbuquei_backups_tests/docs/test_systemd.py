"""The units of a host that runs by itself: a misspelt option there is found when the host starts again, at night."""

import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from desbuquei_backups.operations.settings import from_environment

_UNITS = Path(__file__).parents[2] / "docs" / "systemd"
_SERVICES = sorted(_UNITS.glob("*.service"))


def _unit(path: Path) -> ConfigParser:
    found = ConfigParser(interpolation=None, strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string(path.read_text())
    return found


@cache
def _help(program: str, *subcommands: str) -> str:
    path = Path(sys.executable).with_name(program)
    return subprocess.run([path, *subcommands, "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("path", _SERVICES, ids=lambda path: path.stem)
def test_what_a_unit_starts_takes_the_options_that_it_gives(path: Path) -> None:
    service = _unit(path)["Service"]
    for key in ("ExecStart", "ExecStartPost"):
        if key not in service:
            continue
        program, *arguments = shlex.split(service[key])
        words = list(takewhile(lambda word: not word.startswith("-"), arguments))
        described = _help(Path(program).name, *words)
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert re.search(rf"{option}\b", described), f"{path.name}: {program} {words} has no {option}"


def test_there_is_one_for_each_program_and_none_listens_beyond_this_machine() -> None:
    assert [path.stem for path in _SERVICES] == [
        f"desbuquei-{name}" for name in ("code", "daemon", "wal-stream", "wal-stream@", "webserver")
    ]
    for path in _SERVICES:
        start = shlex.split(_unit(path)["Service"]["ExecStart"])
        assert "--host" not in start or start[start.index("--host") + 1] == "127.0.0.1"
    (server,) = yaml.safe_load((_UNITS / "workspace.yaml").read_text())["load_from"]
    code = shlex.split(_unit(_UNITS / "desbuquei-code.service")["Service"]["ExecStart"])
    assert str(server["grpc_server"]["port"]) == code[code.index("--port") + 1]


def test_what_all_have_in_common_is_where_systemd_looks_for_it() -> None:
    common = _unit(_UNITS / "desbuquei-.service.d" / "hardened.conf")["Service"]
    assert common["NoNewPrivileges"] == common["ProtectHome"] == "yes"
    assert common["EnvironmentFile"] == "/etc/desbuquei/environment"


def test_the_example_of_an_environment_is_one() -> None:
    lines = (_UNITS / "environment.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert given.pop("DESBUQUEI_POLICY")
    settings = from_environment(given)
    assert settings.database_url
    assert settings.s3_url
    assert settings.restore_url
