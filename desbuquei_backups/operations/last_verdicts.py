"""What each check said last, by tier, in `last-verdicts.json`: by it one that turned untrue is told of.

The whole results lie beside the manifests; this is what can be looked at every minute.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk

FILE = "last-verdicts.json"
_LOG = logging.getLogger(__name__)


class Said(BaseModel):
    """What one check said of one backup, or of what is no backup's (None). `of`: the asset, without the database."""

    model_config = ConfigDict(frozen=True)
    of: str
    check: str
    backup_id: str | None
    verdict: Verdict
    summary: str
    at: AwareDatetime

    @property
    def untrue(self) -> bool:
        return self.verdict is Verdict.DIFFERS

    @property
    def known(self) -> bool:
        return self.verdict is not Verdict.UNCOMPARED


_ALL = TypeAdapter(list[Said])


def last_verdicts(folder: Path) -> list[Said]:
    """The last one of each check of each tier, and before them those of older backups that were looked at again and
    found untrue. None if it cannot be read: the next checks bring them again.
    """
    try:
        return _ALL.validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        _LOG.warning("what the checks said last cannot be read: %s", type(error).__name__)
        return []


def remember(site: Site, of: str, backup_id: str | None, results: Sequence[Mapping[str, Any]]) -> None:
    """Take note of check results, as they are kept; what keeps it from being written is only logged."""
    folder, now = site.settings.folder, site.now()
    try:
        disk.prepare(folder)
        with metadata_file.lock(folder, FILE):
            known = last_verdicts(folder)
            for result in results:
                known = _with(known, _said(of, backup_id, result, now))
            disk.write_file(folder / FILE, _ALL.dump_json(known, indent=1) + b"\n")
    except BackupError as error:
        _LOG.warning("what the checks said is not remembered: %s", error.what)


def _said(of: str, backup_id: str | None, result: Mapping[str, Any], now: datetime) -> Said:
    return Said(
        of=of,
        check=str(result.get("check")),
        backup_id=backup_id,
        verdict=Verdict(str(result.get("verdict"))),
        summary=str(result.get("summary") or ""),
        at=now,
    )


def _with(known: Sequence[Said], said: Said) -> list[Said]:
    """Of each check the newest backup's verdict stands last, and a newer backup's takes its place.

    Before it stand those of older backups that were looked at again, if untrue. What could not be compared mends none.
    """
    same = [each for each in known if (each.of, each.check) == (said.of, said.check)]
    newest = same[-1] if same else said
    untrue = {each.backup_id for each in same if each.untrue}
    if said.verdict is Verdict.UNCOMPARED and untrue & {said.backup_id, newest.backup_id}:
        return list(known)
    is_newest = (said.backup_id or "") >= (newest.backup_id or "")
    replaced = [each for each in same if each.backup_id == said.backup_id or (is_newest and each is newest)]
    kept = [each for each in known if each not in replaced]
    if is_newest:
        return [*kept, said]
    if not said.untrue:
        return kept
    at = kept.index(newest)
    return [*kept[:at], said, *kept[at:]]
