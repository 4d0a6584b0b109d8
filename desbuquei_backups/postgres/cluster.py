"""A cluster in a folder of ours: what it says of itself while it stands still, and its server, started and stopped."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import ToolFailed
from desbuquei_backups.postgres.account import Account
from desbuquei_backups.postgres.process import Process
from desbuquei_backups.postgres.programs import Programs, clean_environment

_LOOK_SECONDS = 0.03
_STOP_PATIENCE = 300.0
_AT_ONCE = 4
_SAID = re.compile(r"(?:FATAL|PANIC|ERROR):.*")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data directory, the programs of its version, and who runs them (None: whoever runs this)."""

    data: Path
    programs: Programs
    account: Account | None

    def control(self) -> Mapping[str, str]:
        """What pg_controldata says. ToolFailed if it cannot be read."""
        said = self.run("pg_controldata", [str(self.data)])
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}

    def settings(self, names: Iterable[str], given: Mapping[str, str]) -> Mapping[str, str]:
        """What the server would use of these settings, started with those `given`; it is not started."""
        options = _options(given)

        def asked(name: str) -> tuple[str, str]:
            # -C must come first, or postgres does not start for whoever is root.
            return name, self.run("postgres", ["-C", name, "-D", str(self.data), *options]).strip()

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(pool.map(asked, names))

    def run(self, program: str, arguments: Sequence[str], *, statuses: Sequence[int] = (0,)) -> str:
        """Run one of the cluster's programs as its owner, and return what it prints. ToolFailed."""
        done = subprocess.run(
            [self.programs.path(program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=self.data,
            env=clean_environment(),
            check=False,
            **self._owner(),
        )
        if done.returncode not in statuses:
            raise ToolFailed(
                f"{program} {self.programs.version} failed on {self.data}: {' '.join(done.stderr.split())[:1000]}",
                remedy="mend what it names, then run again",
            )
        said: str = done.stdout
        return said

    def start(
        self,
        log: Path,
        given: Mapping[str, str],
        lock: int,
        *,
        watching: Callable[[str], object] = lambda _: None,
    ) -> "Server":
        """Start the server and wait until it accepts connections, however long it replays; it dies with this process.

        `given`: settings for this run alone. `lock`: a descriptor that stays open for as long as any of its processes
        lives. `watching` is shown each line of its log. ToolFailed, with what the server said, if it ends by itself.
        """
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        begin = log.stat().st_size if log.exists() else 0
        process = Process(
            [self.programs.path("postgres"), "-D", str(self.data), *_options(given)],
            folder=self.data,
            log=log,
            lock=lock,
            account=self.account,
            last_signal=signal.SIGQUIT,
        )
        server = Server(process, log, begin)
        with log.open(errors="replace") as lines:
            lines.seek(begin)
            try:
                while not process.ended.wait(_LOOK_SECONDS):
                    for line in lines:
                        watching(line)
                    if self._answers(process):
                        return server
            except BaseException:
                process.stop(signal.SIGQUIT, _STOP_PATIENCE)
                raise
        raise ToolFailed(
            f"the server in {self.data} ended: {server.fault() or f'with status {process.returncode}'}",
            remedy="mend what it names (memory, disk, permissions), then run again",
        )

    def _answers(self, process: Process) -> bool:
        """By the postmaster's process id and status, as pg_ctl reads them from its file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and (lines[0], lines[7].strip()) == (str(process.pid), "ready")

    def _owner(self) -> dict[str, Any]:
        if self.account is None or os.geteuid() != 0:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and where in the log its own lines begin."""

    process: Process
    log: Path
    begin: int

    def said(self) -> str:
        with self.log.open(errors="replace") as file:
            file.seek(self.begin)
            return file.read()

    def fault(self) -> str:
        """The last errors in its log, on one line."""
        return " ".join(" ".join(_SAID.findall(self.said())[-3:]).split())

    def stop(self) -> None:
        """A fast shutdown: nothing is lost. ToolFailed if it did not end well."""
        begun = time.monotonic()
        self.process.stop(signal.SIGINT, _STOP_PATIENCE)
        if self.process.returncode != 0:
            raise ToolFailed(
                f"the server did not stop cleanly within {time.monotonic() - begun:.0f} s: {self.fault()}",
                remedy=f"look at {self.log}",
            )


def _options(given: Mapping[str, str]) -> list[str]:
    return [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
