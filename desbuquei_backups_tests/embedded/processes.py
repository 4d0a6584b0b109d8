"""Who is still alive of a home's processes, and patience."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from desbuquei_backups.embedded.home import Home
from desbuquei_backups.embedded.place import forget


def eventually(what: Callable[[], bool], patience: float = 40.0) -> bool:
    """Poll until it is so; False if it never was."""
    deadline = time.monotonic() + patience
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def living(home: Path) -> list[str]:
    """The supervisor and the servers' processes of this home, by what /proc says of them."""
    folders = [str(home), str(Home(home).read("place").get("path") or home)]
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            place = str((process / "cwd").readlink())
        except OSError:
            continue  # gone, or not ours to look at
        supervises = "desbuquei_backups.embedded.supervisor" in command and str(home) in command
        if supervises or any(place.startswith(folder) for folder in folders):
            found.append(f"{process.name} {' '.join(command)}")
    return found


@contextmanager
def deserted_in_the_end(home: Path) -> Iterator[Path]:
    """The embedded servers' state there; at the end nobody of it is seen to be alive, and it is removed."""
    yield home
    assert eventually(lambda: not living(home)), living(home)
    forget(home)


def process_id(home: Path, name: str) -> int:
    """The process id of the supervisor or of a server, as the supervisor wrote it down."""
    return int(json.loads((home / "control" / "processes.json").read_text())[name])
