"""`desbuquei up`: Dagster's webserver and daemon, with embedded servers where they are asked for."""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from desbuquei_backups.cli.backup_ import check_urls
from desbuquei_backups.cli.output import console, messages
from desbuquei_backups.core.errors import Busy, ConfigurationError, ToolFailed
from desbuquei_backups.embedded.trial import Shape, home_of, in_environment, trial
from desbuquei_backups.operations.settings import EMBEDDED, URLS, Settings, databases_in, from_environment, settings_of

_HOST = "127.0.0.1"
_PORT = 3000
_WORKSPACE = """\
load_from:
  - python_module:
      module_name: desbuquei_backups.definitions
      location_name: desbuquei_backups
"""
_START_SECONDS = 120
_STOP_SECONDS = 15
_PR_SET_PDEATHSIG = 1


@click.command("up")
@click.option("--demo", is_flag=True, help="On embedded servers and the sample database.")
@click.option("--shape", type=click.Choice([*map(str, Shape)]), default="plain", help="The sample, with --demo.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_PORT,
    show_default=True,
    help="The webserver's; another if it is taken.",
)
@click.option(
    "--announce",
    is_flag=True,
    help="Start nothing: let other commands know that a webserver with these settings listens on that port.",
)
def command(demo: bool, shape: str, port: int, announce: bool) -> int:
    """Start Dagster's webserver and daemon on this machine and print the address; Ctrl-C stops both.

    The webserver listens on loopback alone: it asks nobody for a password.
    """
    from desbuquei_backups.defs.instance import dagster_home, embedded_platform
    from desbuquei_backups.defs.remote import Webserver, served_by, write_down
    from desbuquei_backups.embedded.settings import with_embedded_servers

    for stopping in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # a shell that starts us with & ignores SIGINT
        signal.signal(stopping, _interrupt)
    databases = [from_environment(os.environ)] if demo else _usable()
    settings = databases[0]
    if announce:
        write_down(settings.home, Webserver(_HOST, port, [served_by(each) for each in databases]))
        return 0
    home = home_of(settings.home, Shape(shape)) if demo else settings.home
    with ExitStack() as stack:
        stack.enter_context(_alone(home))
        if demo:
            given = stack.enter_context(trial(home, Shape(shape), lambda text: messages().print(text, style="dim")))
            stack.enter_context(in_environment(given))
            stack.enter_context(embedded_platform(home))
            # What a command says that works on the same servers by their word.
            databases = [replace(settings, home=home, backup_dir=home / "backups", urls=dict.fromkeys(URLS, EMBEDDED))]
        else:
            stack.enter_context(dagster_home(settings))
            for each in databases:
                stack.enter_context(with_embedded_servers(each))
        webserver = Webserver(_HOST, _free(port), [served_by(each) for each in databases])
        logs = home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        workspace = home / "workspace.yaml"
        workspace.write_text(_WORKSPACE)
        served = _start(
            stack, "dagster-webserver", ["-h", _HOST, "-p", f"{webserver.port}", "-w", f"{workspace}"], logs
        )
        daemon = _start(stack, "dagster-daemon", ["run", "-w", f"{workspace}"], logs)
        _wait_for(webserver.url, served, logs / "dagster-webserver.log")
        where = write_down(home, webserver)
        stack.callback(where.unlink, missing_ok=True)
        console().print(f"Logs: {logs}. Ctrl-C stops it. Dagster is at [bold]{webserver.url}[/]", soft_wrap=True)
        while served.poll() is None and daemon.poll() is None:
            time.sleep(0.5)
        name = "dagster-webserver" if served.poll() is not None else "dagster-daemon"
        raise ToolFailed(f"{name} ended by itself", remedy=f"read {logs / name}.log, then start again")


def _usable() -> list[Settings]:
    """Those whose settings are whole; what is wrong with the others is said, and keeps none of these waiting.

    ConfigurationError if that is none.
    """
    found, wrong = [], list[ConfigurationError]()
    for each in databases_in(os.environ):
        try:
            settings = settings_of(each, os.environ)
            check_urls(settings)
            found.append(settings)
        except ConfigurationError as error:
            wrong.append(error)
            messages().print(f"{each.name} is not backed up: {error}", style="yellow", markup=False)
    if not found:
        raise wrong[0]
    return found


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the home's lock, which dies with this process: two daemons on one storage would double every run."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"`desbuquei up` runs for {home} already", remedy="use it, or stop it first") from None
        yield


def _start(stack: ExitStack, program: str, arguments: list[str], logs: Path) -> "subprocess.Popen[bytes]":
    """Start one of Dagster's programs in a process group of its own, which is ended with ours."""
    path = Path(sys.executable).with_name(program)
    if not path.exists():
        raise ConfigurationError(f"{program} is not installed beside {sys.executable}", remedy="pip install dagster")
    with (logs / f"{program}.log").open("ab") as output:
        process = subprocess.Popen(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_us,
        )
    stack.callback(_stop, process)
    return process


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for sent in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            break
    # What the program started and left in its group, code servers say, goes with it.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/server_info", timeout=5):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ToolFailed("Dagster's webserver did not start", remedy=f"read {log}, then start again")


def _free(port: int) -> int:
    """`port` if nobody listens there, else one that is free."""
    for wanted in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((_HOST, wanted))
                return int(probe.getsockname()[1])
    return port


def _die_with_us() -> None:
    """However this command ends, Dagster's programs end with it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM.value, 0, 0, 0)


def _interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt
