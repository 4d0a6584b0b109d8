"""Checks that are run all day and belong to no backup, in the chain: each change of a verdict, and one a day.

What was said last is remembered on this machine. Where that is lost, it is said once more.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.looks import Looks, after
from desbuquei_backups.operations import said
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk

WAL = "wal"
_LOG = logging.getLogger(__name__)
Looked = Callable[[Looks | None], Looks | None]


class _Remembered(BaseModel):
    """What was said last in the chain of the bucket `place`, and the looks since then."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    place: str
    said_at: AwareDatetime | None = None
    verdicts: Mapping[str, str] = {}
    looks: Looks | None = None


def checks(site: Site, step: str, results: Sequence[dict[str, Any]], *, looked: Looked = lambda before: before) -> None:
    """Say the results if they are worth it. `looked`: makes of the looks until now those with this one.

    What stands in the way is logged, and keeps no check from being judged: it is said next time.
    """
    try:
        _say(site, step, results, looked)
    except BackupError as error:
        _LOG.warning("what the checks of %s found is not in the chain of evidence: %s", step, error.what)


def _say(site: Site, step: str, results: Sequence[dict[str, Any]], looked: Looked) -> None:
    before, now = _recall(site, step), site.now()
    verdicts = {str(each["check"]): str(each["verdict"]) for each in results}
    looks = looked(before.looks)
    if not worth_saying(before.said_at, before.verdicts, verdicts, now):
        _remember(site, step, before.model_copy(update={"looks": looks}))
        return
    told = {"looks": looks.model_dump(mode="json")} if looks is not None else {}
    said.general_checks(site, step, results, **told)
    looks = after(looks) if looks is not None else None
    _remember(site, step, _Remembered(place=before.place, said_at=now, verdicts=verdicts, looks=looks))


def worth_saying(
    said_at: datetime | None, before: Mapping[str, str], verdicts: Mapping[str, str], now: datetime
) -> bool:
    """Whether a verdict is another one than was said last, or nothing was said on this day (UTC)."""
    return said_at is None or said_at.date() != now.date() or before != verdicts


def looks_since(site: Site) -> Looks | None:
    """The looks at the WAL that are not in the chain yet, as this machine remembers them; None if there are none."""
    found = _recall(site, WAL).looks
    return found if found is not None and found.looks else None


def _path(site: Site, step: str) -> Path:
    return site.settings.folder / f".said-{step}.json"


def _recall(site: Site, step: str) -> _Remembered:
    path, place = _path(site, step), site.bucket.uri("")
    with disk.disk_errors(path):
        content = path.read_bytes() if path.exists() else b"{}"
    try:
        found = _Remembered.model_validate_json(content)
    except ValidationError:
        return _Remembered(place=place)
    return found if found.place == place else _Remembered(place=place)


def _remember(site: Site, step: str, remembered: _Remembered) -> None:
    disk.prepare(site.settings.folder)
    disk.write_file(_path(site, step), (remembered.model_dump_json() + "\n").encode())
