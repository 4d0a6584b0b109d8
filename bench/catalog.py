"""What a catalog of eleven years of hourly backups costs those who look at it, and how soon the code location is there.

The records have 100,000 lines and the folder as many manifests; S3 has what is kept there.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

from bench.place import ROOT, Place
from desbuquei_backups.core.manifest import FileFacts, Manifest, Role, ServerFacts, manifest_name
from desbuquei_backups.core.slots import Slot, due_before
from desbuquei_backups.core.tiers import Policy, load_policy
from desbuquei_backups.operations.records import FILE
from desbuquei_backups.storage.s3 import Bucket

HOURLIES = 100_000
DATABASES = 10
_WITH_DUMP = 1_000  # so many have a whole manifest and a dump on disk
_LINKED = 10_000  # so many older manifests share one file, of which no file system takes too many names
_COMMANDS = [["list"], ["list", "--json"], ["status"], ["prune", "--dry-run"]]
_DAGSTER, _LOCATION = "import dagster", "from desbuquei_backups.definitions import defs; defs()"


@dataclass(frozen=True, slots=True)
class Ran:
    """A whole process: seconds of wall time and peak memory in bytes."""

    wall: float
    peak_bytes: int


def measured(place: Place, *, times: int = 3, loads: int = 5) -> dict[str, Any]:
    """Each command's processes, and how soon the code location is there."""
    with _catalog(place) as environment:
        commands: dict[str, list[Ran]] = {" ".join(command): [] for command in _COMMANDS}
        for _ in range(times):
            for command in _COMMANDS:
                desbuquei = str(Path(sys.executable).with_name("desbuquei"))
                commands[" ".join(command)].append(ran([desbuquei, *command], environment, may_end=(0, 1)))
        found = loaded(environment, loads=loads)
    return {"hourlies": HOURLIES, "commands": {name: _told(runs) for name, runs in commands.items()}, **found}


def loaded(environment: Mapping[str, str], *, loads: int = 5) -> dict[str, Any]:
    """Fresh processes, in turn: Dagster alone, the code location of one database, and of several."""
    several = Path(environment["DESBUQUEI_BACKUP_DIR"]) / "several.toml"
    packaged = (resources.files("desbuquei_backups.core") / "policy.toml").read_text(encoding="utf-8")
    further = (f"\n[databases.further{number}]\n" for number in range(1, DATABASES))
    several.write_text(packaged + "".join(further), encoding="utf-8")
    programs = {
        "import dagster": (_DAGSTER, environment),
        "code location": (_LOCATION, environment),
        "code location of several": (_LOCATION, {**environment, "DESBUQUEI_POLICY": str(several)}),
    }
    runs: dict[str, list[Ran]] = {name: [] for name in programs}
    for _ in range(loads):
        for name, (program, given) in programs.items():
            runs[name].append(ran([sys.executable, "-c", program], given))
    return {"databases": DATABASES, **{name: _told(each) for name, each in runs.items()}}


def _told(runs: Sequence[Ran]) -> dict[str, Any]:
    return {
        "walls": [round(run.wall, 3) for run in runs],
        "wall": round(statistics.median(run.wall for run in runs), 3),
        "peak_bytes": max(run.peak_bytes for run in runs),
    }


def ran(command: Sequence[str], environment: Mapping[str, str], *, may_end: Sequence[int] = (0,)) -> Ran:
    os.sync()
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", "process", *command],
        env=dict(environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    if said["status"] not in may_end:
        raise RuntimeError(f"{command[-1]} ended with status {said['status']}:\n{done.stderr[-4000:]}")
    return Ran(said["wall"], said["process_peak_bytes"])


@contextmanager
def _catalog(place: Place) -> Iterator[dict[str, str]]:
    """The environment of a folder and a bucket with the catalog; they are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="catalog-", dir=place.home) as name:
        folder = Path(name)
        environment = place.environment("postgres", folder, "catalog")
        policy, now = load_policy(), datetime.now(UTC)
        hourlies = [Slot("hourly", due) for due in islice(due_before(policy.scheduled["hourly"], now), HOURLIES)]
        kept = list(_kept(policy, now))
        bucket = Bucket(environment["DESBUQUEI_S3_URL"], place.aws)
        _records(folder, {*hourlies, *kept}, bucket)
        _files(folder, hourlies)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda slot: _archived(bucket, slot), kept))
        yield environment


def _kept(policy: Policy, now: datetime) -> Iterator[Slot]:
    """What S3 has of each tier."""
    for name, cron in policy.scheduled.items():
        start = policy.tiers[name].kept_in_s3.before(now)
        for due in due_before(cron, now):
            if due < start:
                break
            yield Slot(name, due)


def _records(folder: Path, slots: set[Slot], bucket: Bucket) -> None:
    with (folder / FILE).open("w", encoding="utf-8") as file:
        for slot in sorted(slots, key=lambda slot: slot.due):
            file.write(json.dumps(recorded(slot, bucket.uri("").rstrip("/"))) + "\n")


def recorded(slot: Slot, place: str | None, *, database: str = "desbuquei") -> dict[str, Any]:
    """The line of a backup that is archived below the URI `place`, and proven; None: it is on disk alone."""
    archived = place is not None
    return {
        "backup_id": slot.backup_id,
        "backup_type": slot.tier,
        "backup_timestamp": slot.due.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "database": database,
        "status": "success",
        "size": 123_456_789,
        "total_size": 123_460_000,
        "rows": 1_500_000,
        "egress_bytes": 987_654_321,
        "file": f"{slot.backup_id}.sql.gz",
        "checksum_md5": "0" * 32,
        "checksum_sha256": "0" * 64,
        "s3_uri": f"{place}/{slot.tier}/{slot.backup_id}.sql.gz" if archived else None,
        "storage_class": "STANDARD" if archived else None,
        "recovery_tested": archived,
        "duration_seconds": 12.345,
        **dict.fromkeys(("copy_of", "same_as", "operator", "reason", "error")),
    }


def _files(folder: Path, hourlies: Sequence[Slot]) -> None:
    """A manifest for each, and dumps, which are empty, of the newest: nobody who lists them reads those."""
    for number, slot in enumerate(hourlies):
        path = folder / manifest_name(slot.backup_id)
        if number < _WITH_DUMP:
            path.write_bytes(small_manifest(slot).to_bytes())
            (folder / f"{slot.backup_id}.sql.gz").touch()
        elif number % _LINKED == 0 or number == _WITH_DUMP:
            path.write_bytes(small_manifest(slot).to_bytes())
            shared = path
        else:
            path.hardlink_to(shared)


def _archived(bucket: Bucket, slot: Slot) -> None:
    for name in ("sql.gz", "globals.sql.gz", "database.sql.gz"):
        bucket.put_if_absent(f"{slot.tier}/{slot.backup_id}.{name}", b"")
    bucket.put_if_absent(f"{slot.tier}/{manifest_name(slot.backup_id)}", small_manifest(slot).to_bytes())


def small_manifest(slot: Slot) -> Manifest:
    """Small, and whole in its form."""
    texts = ("version", "database", "encoding", "locale_provider", "collate", "ctype", "lc_monetary")
    nothing = dict.fromkeys(("system_identifier", "timeline", "lsn", "locale", "collation_version", "platform"))
    server = ServerFacts.model_validate(
        {**dict.fromkeys(texts, ""), **nothing, "version_number": 170010, "settings": {}, "tablespaces": []}
    )
    name = f"{slot.backup_id}.sql.gz"
    dump = FileFacts(name=name, role=Role.DUMP, size=1, plain_size=1, md5="0" * 32, sha256="0" * 64)
    lists = ("tables", "sequences", "requirements", "left_out", "warnings")
    return Manifest.model_validate(
        {
            "backup_id": slot.backup_id,
            "tier": slot.tier,
            "slot": slot.due,
            "taken_at": slot.due,
            "duration_seconds": 1,
            "stage_seconds": {},
            "database": "desbuquei",
            "server": server,
            "tools": {},
            "files": [dump],
            "fingerprint": None,
            "large_objects": None,
            **{each: [] for each in lists},
        }
    )
