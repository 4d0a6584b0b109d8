"""One step of ours with WAL and base backups, or boto3's with WAL, in a process of its own; prints one line of JSON."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.transfers import peak_bytes

_AT_ONCE = 4


def _site() -> Any:
    from desbuquei_backups.operations.settings import from_environment
    from desbuquei_backups.operations.site import Site

    return Site(from_environment(os.environ))


class _Took:
    """Seconds since it was made: `wall`, and `cpu` of this process and of the programs that it has waited for."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _used()

    def told(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self._wall, "cpu": _used() - self._cpu}


def _used() -> float:
    return sum(os.times()[:4])


def base() -> dict[str, Any]:
    """A base backup beside a dump of next to nothing. `streamed`: until it is on disk, hashed; `wall`: and verified."""
    from desbuquei_backups.operations.base_backup import BaseTaken, take_base_backup
    from desbuquei_backups.operations.dump import take_dump

    site = _site()
    slot = site.open_slot("daily")
    take_dump(site, slot, measured=False)
    took = _Took()
    taken = take_base_backup(site, slot)
    told = took.told()
    assert isinstance(taken, BaseTaken)
    facts = taken.manifest.base
    assert facts is not None
    return {**told, "backup_id": slot.backup_id, "streamed": facts.duration_seconds, "bytes": facts.size}


def increment(number: str) -> dict[str, Any]:
    """What an hourly run takes since that base. `streamed`: what has changed, on disk and hashed; `wall`: all of it."""
    from desbuquei_backups.core.slots import Slot
    from desbuquei_backups.operations.increment import take_increment
    from desbuquei_backups.operations.wal_slot import Refused

    site = _site()
    due = site.open_slot("hourly").due - timedelta(hours=int(number))
    took = _Took()
    taken = take_increment(site, Slot("hourly", due))
    told = took.told()
    assert not isinstance(taken, Refused)
    assert taken.base is not None
    assert taken.parent is not None
    stages = dict(taken.stage_seconds)
    return {**told, "streamed": taken.base.duration_seconds, "stages": stages, "bytes": taken.base.size}


def archive(backup_id: str) -> dict[str, Any]:
    """Seal and archive what `base` made."""
    from desbuquei_backups.core.slots import Slot
    from desbuquei_backups.operations.archive import archive
    from desbuquei_backups.operations.seal import seal

    site, slot = _site(), Slot.of_id(backup_id)
    seal(site, slot)
    archive(site, slot)
    return {}


def drain(name: str) -> dict[str, Any]:
    """What an hourly run does with WAL."""
    from desbuquei_backups.operations.wal_drain import Drained, drain

    site = _site()
    site.bucket.check()
    took = _Took()
    done = drain(site, name)
    told = took.told()
    assert isinstance(done, Drained)
    assert not done.archived.faults
    return {**told, "bytes": done.archived.plain_bytes, "stored_bytes": done.archived.stored_bytes}


def recover(target: str, data: str) -> dict[str, Any]:
    """From S3 until the server accepts connections."""
    from desbuquei_backups.core.targets import parse_target
    from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy

    took = _Took()
    with recovered_copy(_site(), Wanted(parse_target(target)), Path(data)) as copy:
        told, seconds = took.told(), dict(copy.seconds)
        segments = len(copy.plan.segments)
    return {**told, "wall": seconds.pop("to accepting connections"), "stages": seconds, "segments": segments}


def boto3(folder: str, *command: str) -> dict[str, Any]:
    """WAL received by that command, then compressed and uploaded, some at once: as a script of few lines would."""
    import zstandard
    from boto3 import client

    to = urlsplit(os.environ["DESBUQUEI_S3_URL"])
    store: Any = client("s3")
    took = _Took()
    subprocess.run(command, check=True)

    def send(path: Path) -> int:
        packed = path.with_name(f"{path.name}.zst")
        with path.open("rb") as plain, packed.open("wb") as file:
            zstandard.ZstdCompressor(level=1).copy_stream(plain, file)
        store.upload_file(str(packed), to.netloc, f"{to.path.strip('/')}/{packed.name}")
        return path.stat().st_size

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        size = sum(pool.map(send, sorted(Path(folder).iterdir())))
    return {**took.told(), "bytes": size}


def main(what: str, *rest: str) -> None:
    work: dict[str, Callable[..., dict[str, Any]]] = {
        "base": base,
        "increment": increment,
        "archive": archive,
        "drain": drain,
        "recover": recover,
        "boto3": boto3,
    }
    said = work[what](*rest)
    sys.stdout.write(json.dumps({**said, "peak_bytes": peak_bytes()}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
