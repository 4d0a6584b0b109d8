"""The home folder: what outlives the servers and tells their users where they are."""

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desbuquei_backups.embedded.errors import EmbeddedError

__all__ = ["Home", "locked", "try_lock"]

_writing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Home:
    """One home: one supervisor, one of each server, one set of credentials."""

    path: Path

    @property
    def control(self) -> Path:
        """What only the home's owner may read: lock, socket, credentials, logs."""
        return self.path / "control"

    @property
    def socket(self) -> Path:
        return self.control / "supervisor.sock"

    def lock(self, name: str) -> Path:
        return self.control / f"{name}.lock"

    def log(self, name: str) -> Path:
        return self.control / f"{name}.log"

    def make(self) -> None:
        """Create the folders; a home in a checkout keeps itself out of git."""
        if not self.path.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / ".gitignore").write_text("*\n")
        self.control.mkdir(mode=0o700, exist_ok=True)

    def read(self, name: str) -> dict[str, Any]:
        """The JSON document `name`; empty if there is none yet."""
        path = self.control / f"{name}.json"
        try:
            return dict(json.loads(path.read_text()))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise EmbeddedError(
                f"{path} is damaged: {error}", remedy=f"Move {self.path} away to begin anew."
            ) from error

    def write(self, name: str, changes: Mapping[str, Any]) -> None:
        """Merge `changes` into the JSON document `name`, readable by its owner alone."""
        with _writing:
            text = json.dumps(self.read(name) | dict(changes), indent=1)
            aside = self.control / f"{name}.json.new"
            aside.touch(mode=0o600)
            aside.write_text(text)
            aside.replace(self.control / f"{name}.json")

    def secret(self, name: str) -> str:
        """A password of 40 characters, made once and kept, so that old data can still be opened."""
        known = self.read("credentials")
        if name not in known:
            self.write("credentials", {name: secrets.token_urlsafe(30)})
            known = self.read("credentials")
        return str(known[name])


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the file's lock until it and every inherited copy of it are closed; None if taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def locked(path: Path, patience: float) -> Iterator[int]:
    """A server's lock, to be inherited by it: so it stays taken exactly as long as any process of the server lives.

    An earlier supervisor's server may still be going down: wait for `patience` seconds, then EmbeddedError.
    """
    deadline = time.monotonic() + patience
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"An earlier server of this home is still running: its lock {path} is taken.",
                remedy=f"End the process that `fuser {path}` shows, then try again.",
            )
        time.sleep(0.05)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
