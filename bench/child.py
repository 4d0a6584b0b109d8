"""What runs in a process of its own, so that its peak memory is its own. Prints one line of JSON."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_OPERATIONS = {"dump": "take_dump", "seal": "seal", "archive": "archive"}
_TOGETHER = datetime(2028, 10, 1, 2, tzinfo=UTC)  # a Sunday that begins a quarter
_ASSETS = ("dump", "checksum_manifest", "s3_archive")


def operations(*, measured: bool) -> dict[str, Any]:
    """Dump, seal and archive through `operations`, as Dagster's assets and the command line do."""
    from desbuquei_backups.operations.archive import archive
    from desbuquei_backups.operations.dump import take_dump
    from desbuquei_backups.operations.seal import seal
    from desbuquei_backups.operations.settings import from_environment
    from desbuquei_backups.operations.site import Site

    site = Site(from_environment(os.environ))
    slot = site.open_slot("daily")
    seconds: dict[str, float] = {}
    taken = _timed(seconds, "take_dump", lambda: take_dump(site, slot, measured=measured))
    _timed(seconds, "seal", lambda: seal(site, slot))
    _timed(seconds, "archive", lambda: archive(site, slot))
    assert not taken.reused
    dump = taken.manifest.dump
    inside = dict(taken.manifest.stage_seconds)
    return {"stages": seconds, "inside_dump": inside, "bytes": {"plain": dump.plain_size, "gzip": dump.size}}


def proof() -> dict[str, Any]:
    """Dump, seal, archive and prove; the stages are those of the proof."""
    from desbuquei_backups.core.comparison import Verdict
    from desbuquei_backups.embedded.settings import with_embedded_servers
    from desbuquei_backups.operations.archive import archive
    from desbuquei_backups.operations.dump import take_dump
    from desbuquei_backups.operations.restored_copy import prove
    from desbuquei_backups.operations.seal import seal
    from desbuquei_backups.operations.settings import from_environment
    from desbuquei_backups.operations.site import Site

    with with_embedded_servers(from_environment(os.environ)) as settings:
        site = Site(settings)
        slot = site.open_slot("daily")
        for step in (take_dump, seal, archive):
            step(site, slot)
        shown = prove(site, slot)
    assert shown.verdict is Verdict.MATCHES, f"the copy {shown.verdict}"
    return {"stages": dict(shown.seconds), "rows": shown.manifest.rows}


def tier(name: str) -> dict[str, Any]:
    """Dump, seal and archive one tier's slot of an instant at which several fall due."""
    from desbuquei_backups.core.slots import Slot
    from desbuquei_backups.operations.archive import archive
    from desbuquei_backups.operations.dump import Skipped, take_dump
    from desbuquei_backups.operations.seal import seal
    from desbuquei_backups.operations.settings import from_environment
    from desbuquei_backups.operations.site import Site

    site, slot = (
        Site(from_environment(os.environ), now=lambda: _TOGETHER + timedelta(minutes=10)),
        Slot(name, _TOGETHER),
    )
    seconds: dict[str, float] = {}
    taken = _timed(seconds, "take_dump", lambda: take_dump(site, slot))
    _timed(seconds, "seal", lambda: seal(site, slot))
    _timed(seconds, "archive", lambda: archive(site, slot))
    assert not isinstance(taken, Skipped)
    dump = taken.manifest.dump
    return {
        "stages": seconds,
        "copy_of": taken.manifest.copy_of,
        "bytes": {"plain": dump.plain_size, "gzip": dump.size},
    }


def dagster_job() -> dict[str, Any]:
    """The daily job's dump, manifest and archive, in process; the operations are timed where the assets call them."""
    seconds: dict[str, float] = {}
    for module, name in _OPERATIONS.items():
        _watch(f"desbuquei_backups.operations.{module}", name, seconds)
    import dagster as dg

    from desbuquei_backups.definitions import defs
    from desbuquei_backups.defs.jobs import job_name
    from desbuquei_backups.operations.settings import from_environment
    from desbuquei_backups.operations.site import Site

    site = Site(from_environment(os.environ))
    database, slot = site.policy.database, site.open_slot("daily")
    job = defs().resolve_job_def(job_name(database, slot.tier))
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance,
            partition_key=slot.key,
            asset_selection=[dg.AssetKey([database, slot.tier, name]) for name in _ASSETS],
        )
    assert result.success
    assert set(seconds) == set(_OPERATIONS.values()), f"the assets called only {sorted(seconds)}"
    return {"stages": seconds}


def dagster_storage() -> dict[str, Any]:
    """Make Dagster's tables, as the first run ever does: no other run pays for that."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()
    return {}


def upload(path: Path) -> dict[str, Any]:
    """What `aws s3 cp` does: boto3 has the same transfer manager with the same defaults. Start-up is not counted."""
    import boto3

    target = urlsplit(os.environ["DESBUQUEI_S3_URL"])
    client: Any = boto3.client("s3")
    key = f"{target.path.strip('/')}/{path.name}"
    options = {"StorageClass": "STANDARD_IA", "ServerSideEncryption": "AES256"}
    seconds: dict[str, float] = {}
    _timed(seconds, "upload", lambda: client.upload_file(str(path), target.netloc, key, ExtraArgs=options))
    return {"stages": seconds}


def audit() -> dict[str, Any]:
    """An auditor's report over a year."""
    from bench.audit_year import reported

    return reported()


def process(*command: str) -> dict[str, Any]:
    """A whole process, started from a small one: the kernel counts into its peak what its parent held."""
    begun = time.perf_counter()
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(started.pid, 0)
    wall = time.perf_counter() - begun
    started.returncode = os.waitstatus_to_exitcode(status)
    return {"wall": wall, "status": started.returncode, "process_peak_bytes": used.ru_maxrss * 1024}


def _timed(seconds: dict[str, float], stage: str, work: Callable[[], Any]) -> Any:
    begun = time.perf_counter()
    done = work()
    seconds[stage] = time.perf_counter() - begun
    return done


def _watch(module: str, name: str, seconds: dict[str, float]) -> None:
    """Time `module.name` wherever it is called from; to be done before anybody imports it."""
    found = import_module(module)
    original = getattr(found, name)

    def watched(*given: Any, **named: Any) -> Any:
        return _timed(seconds, name, lambda: original(*given, **named))

    setattr(found, name, watched)


def main(what: str, *rest: str) -> None:
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "operations": lambda: operations(measured=True),
        "operations-without-counts": lambda: operations(measured=False),
        "dagster": dagster_job,
        "dagster-storage": dagster_storage,
        "upload": lambda: upload(Path(rest[0])),
        "audit": audit,
        "proof": proof,
        "tier": lambda: tier(rest[0]),
        "process": lambda: process(*rest),
    }
    said = work[what]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write("\n" + json.dumps(said | {"peak_bytes": peak}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
