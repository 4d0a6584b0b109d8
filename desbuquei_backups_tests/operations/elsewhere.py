"""An operation in a process of its own, so that it can be killed, or run beside another.

It reads its site from stdin as JSON, says `ready`, runs, and says how it ended as one line of JSON. At the stage
`hang_at` it says `hanging` and goes no further.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.evidence import owe, send
from desbuquei_backups.operations.progress import Silent
from desbuquei_backups.operations.prune import prune
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.second_place import archive_in_second_place
from desbuquei_backups.operations.settings import Settings
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket

STEPS: dict[str, Callable[[Site, Slot], object]] = {
    step.__name__: step for step in (take_dump, seal, archive, prove, archive_in_second_place)
}
STEPS["prune"] = lambda site, _: prune(site)
SAYS = ("um", "dois", "três")


def _say(site: Site, _: Slot) -> None:
    for word in SAYS:
        owe(site, Kind.CHECKS, None, {"word": word})
    send(site)


STEPS["say"] = _say


class Hanging(Silent):
    def __init__(self, at: str | None) -> None:
        self._at, self._here = at, False

    def stage(self, name: str, total: int | None = None, *, unit: str = "bytes") -> None:
        self._here = name == self._at
        if self._here and total is None:
            self._hang()

    def advance(self, amount: int) -> None:
        if self._here:
            self._hang()

    def _hang(self) -> None:
        _print("hanging")
        Event().wait()


def main() -> None:
    given = json.load(sys.stdin)
    settings = Settings(
        policy=load_policy().model_copy(update={"lock_timeout": timedelta(seconds=given["lock_timeout"])}),
        backup_dir=Path(given["folder"]),
        home=Path(given["folder"]),
        urls=given["urls"],
        aws=given["aws"],
    )
    now = datetime.fromisoformat(given["now"])
    Bucket.time = lambda self: now  # type: ignore[method-assign]
    site = Site(settings, now=lambda: now, progress=Hanging(given["hang_at"]), lock_wait_seconds=given["lock_wait"])
    _print("ready")
    try:
        result = STEPS[given["step"]](site, Slot.of_id(given["slot"]))
        answer: dict[str, Any] = {"reused": getattr(result, "reused", None)}
    except BackupError as error:
        answer = {"error": type(error).__name__, "what": error.what}
    _print(json.dumps(answer))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def elsewhere(
    site: Site, slot: Slot, step: str, *, hang_at: str | None = None, lock_wait: float = 60
) -> Iterator["subprocess.Popen[str]"]:
    """The process that runs `step` there; the next line of its stdout is `ready`. It is killed if it is left."""
    given = {
        "folder": str(site.settings.folder),
        "urls": dict(site.settings.urls),
        "aws": dict(site.settings.aws),
        "lock_timeout": site.policy.lock_timeout.total_seconds(),
        "now": site.now().isoformat(),
        "slot": slot.backup_id,
        "step": step,
        "hang_at": hang_at,
        "lock_wait": lock_wait,
    }
    with subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


if __name__ == "__main__":
    main()
