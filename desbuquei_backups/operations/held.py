"""What is known of a slot's backup: from its manifest, from its line in the records, or from its key in the bucket."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot


@dataclass(frozen=True, slots=True)
class Held:
    """One slot's backup, its failed attempt, or that it was skipped. None: not known from here.

    `size` is bytes of all its files. `on_disk`: its dump is, if need be under another backup's name. `status` is
    sealed, unsealed, failed or skipped: a sealed backup whose archive failed is failed too. `error` is why, or what
    went wrong later with a backup that is archived; one line. `copy_of` and `same_as`: see Manifest.
    """

    slot: Slot
    taken_at: datetime | None
    size: int | None
    rows: int | None
    on_disk: bool | None
    archived: bool | None
    proven: bool | None
    status: str
    error: str | None = None
    copy_of: str | None = None
    same_as: str | None = None
    operator: str | None = None
    reason: str | None = None

    @property
    def backup_id(self) -> str:
        return self.slot.backup_id

    @property
    def origin(self) -> str | None:
        """The id of the backup whose dump this one holds, if the database was not read for it."""
        return self.copy_of or self.same_as

    @property
    def where(self) -> list[str]:
        return [name for name, there in (("disk", self.on_disk), ("s3", self.archived)) if there]


def of_manifest(
    manifest: Manifest, known: Held | None, *, on_disk: bool | None = None, archived: bool | None = None
) -> Held:
    """A sealed backup, and what is known from its line, if it has one, of what was done with it."""
    return Held(
        slot=Slot.of_id(manifest.backup_id),
        taken_at=manifest.taken_at,
        size=manifest.size,
        rows=manifest.rows if manifest.tables else None,
        on_disk=on_disk,
        archived=known.archived if known else archived,
        proven=known.proven if known else None,
        status=known.status if known else "sealed",
        error=known.error if known else None,
        copy_of=manifest.copy_of,
        same_as=manifest.same_as,
        operator=manifest.operator,
        reason=manifest.reason,
    )


def of_line(slot: Slot, line: Mapping[str, Any], *, on_disk: bool, sealed: bool) -> Held:
    """By its line alone. `sealed`: its manifest is in the folder; where it is archived, it is sealed too."""
    get = line.get
    said = get("status")
    archived = bool(get("s3_uri"))
    if said == "success" or (sealed and said != "failed"):
        status = "sealed" if sealed or archived else "unsealed"
    else:
        status = "skipped" if said == "skipped" else "failed"
    size = get("total_size") or get("size") if archived or on_disk else None
    rows = get("rows")
    return Held(
        slot,
        instant(get("backup_timestamp")),
        size if isinstance(size, int) else None,
        rows if isinstance(rows, int) else None,
        on_disk,
        archived,
        bool(get("recovery_tested")),
        status,
        _one_line(get("error")) or ("unknown reason" if status == "failed" else None),
        _text(get("copy_of")),
        _text(get("same_as")),
        _text(get("operator")),
        _text(get("reason")),
    )


def of_key(slot: Slot) -> Held:
    """By its manifest's key in the bucket, which is there only if all of it is; nothing more is known."""
    return Held(slot, None, None, None, on_disk=None, archived=True, proven=None, status="sealed")


def _one_line(error: object) -> str | None:
    return " ".join(str(error).split()) or None if error else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def instant(written: object) -> datetime | None:
    """The instant in a line, aware; None if it was written by hand and is none."""
    try:
        found = datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
