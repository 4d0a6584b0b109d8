"""A program that dies with the process that started it."""

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from desbuquei_backups.postgres.account import Account

__all__ = ["Process"]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Process:
    """A running program; `ended` is set once it is gone and reaped, `returncode` then says how.

    The kernel's parent-death signal is sent when the *thread* that forked ends: each program has a thread that waits
    for it. `last_signal` is what the program gets when this process dies, however that happens.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        log: Path,
        lock: int,
        account: Account | None,
        environment: Mapping[str, str] | None = None,
        last_signal: signal.Signals = signal.SIGKILL,
        commands: str = "",
    ) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self.ended = threading.Event()
        self._failure: Exception | None = None
        started = threading.Event()

        def run() -> None:
            try:
                with log.open("ab", buffering=0) as output:
                    self._run(command, folder, output, lock, account, environment or {}, last_signal, commands, started)
            except Exception as error:  # noqa: BLE001  raised again in the thread that asked
                self._failure = error
            finally:
                self.ended.set()
                started.set()

        threading.Thread(target=run, name=Path(command[0]).name, daemon=True).start()
        started.wait()
        if self._failure:
            raise self._failure

    def _run(
        self,
        command: Sequence[str],
        folder: Path,
        output: BinaryIO,
        lock: int,
        account: Account | None,
        environment: Mapping[str, str],
        last_signal: signal.Signals,
        commands: str,
        started: threading.Event,
    ) -> None:
        mother = os.getpid()

        def bind_to_mother() -> None:  # runs after the change of user, which clears the setting
            _libc.prctl(_PR_SET_PDEATHSIG, last_signal.value, 0, 0, 0)
            if os.getppid() != mother:
                os._exit(1)

        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE if commands else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # An empty environment but for this: a stray PG*, AWS_* or WEED_* would steer the server.
            env={"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C", **environment},
            pass_fds=(lock,),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=bind_to_mother,
        )
        self.pid = process.pid
        started.set()
        process.communicate(commands.encode() if commands else None)
        self.returncode = process.returncode

    def stop(self, gently: signal.Signals, patience: float) -> None:
        """Send `gently`, wait for `patience` seconds, then SIGKILL; returns when it is gone."""
        for sent, wait in ((gently, patience), (signal.SIGKILL, 10.0)):
            if self.ended.is_set():
                return
            os.kill(self.pid, sent)
            self.ended.wait(wait)
