"""What it costs to send a large file to S3 and to read it back, beside boto3's own transfer, s5cmd and rclone."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.place import ROOT, Place
from bench.procedures import folder
from bench.transfers import DOWN, OURS, PROGRAMS, RAW, UP, WAYS, program, program_version

_MIB = 1024 * 1024
LARGE, SMALL = 1024 * _MIB, 100 * _MIB
_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, in which a folder of our own is made
_ROOM = 4 * LARGE  # must be free there
_SPACE = 25 * LARGE  # must be free on the disk: S3 gives the room of what is deleted back much later


def measured(place: Place, *, rounds: int = 3) -> dict[str, Any]:
    """Each of those who are here, in turn, each time in a process of its own; every other round runs backwards.

    All send the same file under a key of their own, and read the same object, which was read before. What comes down is
    written to memory by all but ours, which hashes it as it streams, as a restore does.
    """
    if shutil.disk_usage(place.home).free < _SPACE:
        raise RuntimeError(f"less than {_SPACE:,} bytes are free at {place.home}: this sends so much")
    here = [who for who in WAYS if who not in PROGRAMS or program(who)]
    walls: dict[str, dict[str, list[float]]] = {what: {who: [] for who in here} for what in (UP, DOWN)}
    walls[RAW] = {OURS: []}
    peaks: dict[str, dict[str, list[int]]] = {what: {"large": [], "small": []} for what in (UP, DOWN)}
    with folder(place) as files, _sink(place) as sink:
        large, small = _random(files / "large", LARGE), _random(files / "small", SMALL)
        _run(place, OURS, UP, "shared", large)
        _run(place, OURS, RAW, "shared", large)
        _run(place, OURS, UP, "shared-small", small)
        for number in range(1, rounds + 1):
            for who in here if number % 2 else reversed(here):
                up = _run(place, who, UP, f"{number}-{list(WAYS).index(who)}", large)
                down = _run(place, who, DOWN, "shared", sink)
                sink.unlink(missing_ok=True)
                walls[UP][who].append(up["wall"])
                walls[DOWN][who].append(down["wall"])
                if who == OURS:
                    peaks[UP]["large"].append(up["peak_bytes"])
                    peaks[DOWN]["large"].append(down["peak_bytes"])
                    walls[RAW][OURS].append(_run(place, OURS, RAW, "shared", sink)["wall"])
            peaks[UP]["small"].append(_run(place, OURS, UP, f"{number}-small", small)["peak_bytes"])
            peaks[DOWN]["small"].append(_run(place, OURS, DOWN, "shared-small", sink)["peak_bytes"])
    return {
        "bytes": LARGE,
        "small_bytes": SMALL,
        "versions": {"boto3": version("boto3"), **{who: program_version(who) for who in here if who in PROGRAMS}},
        "not_here": [who for who in PROGRAMS if who not in here],
        "walls": walls,
        "wall": {what: {who: _median(each) for who, each in of.items()} for what, of in walls.items()},
        "peak_bytes": peaks,
    }


def _run(place: Place, who: str, what: str, key: str, path: Path) -> dict[str, Any]:
    environment = place.environment("postgres", path.parent, "vault")
    os.sync()
    done = subprocess.run(
        [sys.executable, "-m", "bench.transfers", who, what, f"{environment['DESBUQUEI_S3_URL']}/{key}", str(path)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{who}: {what} ended with status {done.returncode}:\n{done.stderr[-4000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def _random(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        for _ in range(size // _MIB):
            file.write(os.urandom(_MIB))
    return path


@contextmanager
def _sink(place: Place) -> Iterator[Path]:
    """Where the others write what comes down: in memory if there is room, so that no disk is measured."""
    room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    with ExitStack() as stack:
        parent = _MEMORY if room else place.home
        yield Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=parent))) / "down"


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)
