"""What is measured: the guide's procedure, ours, `pg_dump > /dev/null`, and ours inside Dagster."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.place import ROOT, Place
from desbuquei_backups.storage.age_keys import RECIPIENTS


@dataclass(frozen=True, slots=True)
class Measured:
    """One execution. Seconds of wall time; `wall` is the work, `process` the whole process with Python's start."""

    wall: float
    process: float
    stages: dict[str, float]
    peak_bytes: int | None = None
    inside_dump: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {key: _rounded(value) for key, value in asdict(self).items() if value not in (None, {})}


def guide(place: Place, database: str, label: str) -> Measured:
    """pg_dump to a file, gzip, md5sum, sha256sum, upload; the shell between them costs nothing here."""
    with folder(place) as files:
        plain, packed = files / "guide.sql", files / "guide.sql.gz"
        command, environment = place.program("pg_dump", database, f"--file={plain}")
        stages = {"pg_dump": _wall(command, env=environment), "gzip": _wall(["gzip", str(plain)])}
        for program in ("md5sum", "sha256sum"):
            with (files / f"{packed.name}.{program}").open("wb") as output:
                stages[program] = _wall([program, str(packed)], stdout=output)
        _, said = child(place, database, files, label, "upload", str(packed))
        stages |= said["stages"]
        size = {"gzip": packed.stat().st_size}
    whole = sum(stages.values())
    return Measured(wall=whole, process=whole, stages=stages, bytes=size)


def bare_pg_dump(place: Place, database: str, _label: str) -> Measured:
    """`pg_dump > /dev/null`: what the server and pg_dump cost by themselves."""
    command, environment = place.program("pg_dump", database)
    wall = _wall(command, env=environment, stdout=subprocess.DEVNULL)
    return Measured(wall=wall, process=wall, stages={"pg_dump": wall})


def ours(place: Place, database: str, label: str) -> Measured:
    """Dump, manifest and archive with counts and fingerprints."""
    return _ours(place, database, label, "operations")


def ours_without_counts(place: Place, database: str, label: str) -> Measured:
    """The same without counts and fingerprints."""
    return _ours(place, database, label, "operations-without-counts")


def ours_encrypted(place: Place, database: str, label: str) -> Measured:
    """Without counts and fingerprints, encrypted with age as it streams."""
    from pyrage import x25519

    recipient = str(x25519.Identity.generate().to_public())
    return _ours(place, database, label, "operations-without-counts", {RECIPIENTS: recipient})


def ours_in_dagster(place: Place, database: str, label: str) -> Measured:
    """The daily job's dump, manifest and archive, with counts and fingerprints, in process."""
    return _ours(place, database, label, "dagster")


def prepare_dagster(place: Place, database: str) -> None:
    with folder(place) as files:
        child(place, database, files, "prepare", "dagster-storage")


def _ours(place: Place, database: str, label: str, what: str, settings: Mapping[str, str] | None = None) -> Measured:
    with folder(place) as files:
        process, said = child(place, database, files, label, what, settings=settings or {})
    wall = sum(said["stages"].values())
    return Measured(wall=wall, process=process, **said)


def child(
    place: Place,
    database: str,
    folder: Path,
    label: str,
    *arguments: str,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> tuple[float, dict[str, Any]]:
    """Seconds of a fresh process of bench.child, and what it said."""
    os.sync()
    environment = place.environment(database, folder, label) | dict(settings)
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} ended with status {done.returncode}:\n{done.stderr[-4000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return wall, said


def _wall(command: list[str], **options: Any) -> float:
    """Seconds of a program that must succeed. What others wrote before is on disk when it starts; caches are warm."""
    os.sync()
    begun = time.perf_counter()
    subprocess.run(command, check=True, **options)
    return time.perf_counter() - begun


@contextmanager
def folder(place: Place) -> Iterator[Path]:
    """A new folder on the same disk as everything else, gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="files-", dir=place.home))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 3) if isinstance(value, float) else value
