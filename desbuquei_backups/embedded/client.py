"""How a command gets the servers it needs, and holds on to them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desbuquei_backups.embedded import programs
from desbuquei_backups.embedded.endpoints import Endpoints, Server, from_json
from desbuquei_backups.embedded.errors import EmbeddedError, log_tail
from desbuquei_backups.embedded.home import Home, try_lock

__all__ = ["servers"]

_PATIENCE = 90.0
_ATTEMPTS = 3
# No PG*, no AWS_*: the supervisor has no use for anybody's secrets.
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "VIRTUAL_ENV", "PYTHONHOME")


@contextmanager
def servers(home: Path, *needed: Server) -> Iterator[Endpoints]:
    """The servers of `home` that are needed, started if they are not running, for as long as the block lasts.

    Any number of processes and threads may use the same home at once, and get the same servers. When nobody has used
    any of them for a second or two, all stop; their data stays. EmbeddedError if a server can't be had.
    """
    wanted = tuple(dict.fromkeys(Server(name) for name in needed))
    programs.require(wanted)
    folder = Home(home.absolute().resolve())
    try:
        folder.make()
        connection, answer = _ask(folder, wanted)
    except OSError as error:
        raise EmbeddedError(
            f"The home of the embedded servers, {folder.path}, can't be used: {error}",
            remedy="Set DESBUQUEI_HOME to a folder of your own, on a disk with space.",
        ) from error
    with connection:  # the supervisor counts open connections: ours closes however this process ends
        if "error" in answer:
            raise EmbeddedError(answer["error"]["what"], remedy=answer["error"]["remedy"])
        yield from_json(answer["endpoints"])


def _ask(home: Home, needed: tuple[Server, ...]) -> tuple[socket.socket, dict[str, dict[str, str]]]:
    request = json.dumps({"needed": needed}).encode() + b"\n"
    deadline = time.monotonic() + _PATIENCE
    started = 0
    while time.monotonic() < deadline:
        if connection := _dial(home):
            if answer := _converse(connection, request):
                return connection, answer
            connection.close()  # it was about to leave: wait for the lock
        elif (lock := try_lock(home.lock("supervisor"))) is not None:
            try:
                started += 1
                if started > _ATTEMPTS:
                    break
                _start_supervisor(home, lock)
            finally:
                os.close(lock)
        time.sleep(0.03)
    raise EmbeddedError(
        f"The embedded servers' supervisor does not answer. {log_tail(home.log('supervisor'))}",
        remedy=f"If the log names no cause, end the process that holds {home.lock('supervisor')} (`fuser` shows it).",
    )


def _dial(home: Home) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    folder = os.open(home.control, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{home.socket.name}")
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def _converse(connection: socket.socket, request: bytes) -> dict[str, dict[str, str]] | None:
    """The answer, or None if the supervisor left before it gave one. No time limit: its servers' starts have theirs."""
    try:
        connection.sendall(request)
        with connection.makefile("rb") as lines:
            line = lines.readline()
    except (BrokenPipeError, ConnectionResetError):
        return None
    except BaseException:  # Ctrl-C while waiting: the connection is what keeps the servers
        connection.close()
        raise
    return dict(json.loads(line)) if line.endswith(b"\n") else None


def _start_supervisor(home: Home, lock: int) -> None:
    """Start it with the lock already in its hand, so that there can never be two; it leaves our session by itself."""
    package = Path(__file__).parents[2]
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    paths = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    environment["PYTHONPATH"] = os.pathsep.join([*paths, str(package)])
    with home.log("supervisor").open("wb") as log:
        subprocess.run(
            [sys.executable, "-P", "-m", "desbuquei_backups.embedded.supervisor", str(home.path), str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            pass_fds=(lock,),
            start_new_session=True,
            check=False,
        )
