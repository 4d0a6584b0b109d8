"""What is known of a slot's backup: from its manifest, from its line in the records, or from its keys in the bucket."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nlargest
from operator import attrgetter
from typing import Any

from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.objectives import Measured
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import Thaw, by_the_clock
from desbuquei_backups.storage.archives import Archive


@dataclass(frozen=True, slots=True)
class Held:
    """One slot's backup, its failed attempt, or that it was skipped or missed. None: not known from here.

    `size` is bytes of all its files. `on_disk`: its dump is, if need be under another backup's name. `status` is
    sealed, unsealed, failed, skipped or missed: a sealed backup whose archive failed is failed too. `error` is why, or
    what went wrong later with a backup that is archived; one line. `copy_of` and `same_as`: see Manifest. `thaw`: of a
    frozen one that is being thawed or can be read. `measured`: how long its own restored copy took. `wal`: it
    has no dump, and nothing that a restored copy could prove.
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
    storage_class: str | None = None
    thaw: Thaw | None = None
    measured: Measured | None = None
    wal: bool = False

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


@dataclass(frozen=True, slots=True)
class Listing:
    """Backups, newest first, of `total` that there are; what there cannot be read, and why; and what else is odd."""

    held: list[Held]
    total: int
    faults: list[str]
    notes: Sequence[str] = ()


def newest_of(slots: Iterable[Slot], limit: int | None) -> list[Slot]:
    """The newest `limit` of the slots, all of them without one, newest first."""
    newest = attrgetter("due", "tier")
    return sorted(slots, key=newest, reverse=True) if limit is None else nlargest(limit, slots, key=newest)


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
        proven=known.proven if known and manifest.point is None else None,
        status=known.status if known else "sealed",
        error=known.error if known else None,
        copy_of=manifest.copy_of,
        same_as=manifest.same_as,
        operator=manifest.operator,
        reason=manifest.reason,
        storage_class=known.storage_class if known else None,
        thaw=known.thaw if known else None,
        wal=manifest.point is not None,
    )


def of_line(slot: Slot, line: Mapping[str, Any], now: datetime, *, on_disk: bool, sealed: bool) -> Held:
    """By its line alone. `sealed`: its manifest is in the folder; where it is archived, it is sealed too.

    A thaw is known from it if it was asked for from here; how far it is at `now`, the clock tells.
    """
    get = line.get
    said = get("status")
    archived = bool(get("s3_uri"))
    if said == "success" or (sealed and said != "failed"):
        status = "sealed" if sealed or archived else "unsealed"
    else:
        status = str(said) if said in ("skipped", "missed") else "failed"
    size = get("total_size") or get("size") if archived or on_disk else None
    rows = get("rows")
    storage_class = _text(get("storage_class"))
    readable_by = instant(get("thaw_readable_by"))
    return Held(
        slot,
        instant(get("backup_timestamp")),
        size if isinstance(size, int) else None,
        rows if isinstance(rows, int) else None,
        on_disk,
        archived,
        None if is_point(line) else bool(get("recovery_tested")),
        status,
        _one_line(get("error")) or ("unknown reason" if status == "failed" else None),
        _text(get("copy_of")),
        _text(get("same_as")),
        _text(get("operator")),
        _text(get("reason")),
        storage_class,
        by_the_clock(slot.backup_id, storage_class or "", readable_by, instant(get("thaw_until")), now)
        if readable_by is not None
        else None,
        measured(line) if get("restore_seconds") is not None else None,
        is_point(line),
    )


def is_point(line: Mapping[str, Any]) -> bool:
    """Whether it is the line of a backup of WAL: a drill recovers it, no restored copy is made of it."""
    return ".point." in str(line.get("file"))


def measured(line: Mapping[str, Any]) -> Measured | None:
    """How long its restored copy took, by its line; None if there was none."""
    seconds = line.get("restore_seconds")
    if not isinstance(seconds, int | float):
        return None
    return Measured(str(line.get("backup_id")), seconds, instant(line.get("restored_at")))


def of_archive(slot: Slot, archive: Archive) -> Held:
    """By what the bucket lists: its manifest is there only if all of it is; nothing more is known."""
    return Held(
        slot,
        None,
        None,
        None,
        on_disk=None,
        archived=True,
        proven=None,
        status="sealed",
        storage_class=archive.dump.storage_class if archive.dump is not None else None,
    )


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
