"""What the records on this host add: attempts that failed, slots left out on purpose, how long restored copies took."""

from collections.abc import Mapping

from desbuquei_backups.audit.facts import Backup, Recorded, Restored, Source
from desbuquei_backups.audit.model import Period
from desbuquei_backups.core.errors import NotFound
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.operations.folder_names import names
from desbuquei_backups.operations.held import instant, is_point
from desbuquei_backups.operations.metadata_file import FILE, Line
from desbuquei_backups.operations.site import Site


def recorded(site: Site) -> dict[Slot, Recorded]:
    """What the records say of each slot; NotFound where there are none, as on a new machine. DiskError."""
    if not (site.settings.folder / FILE).exists():
        raise NotFound("there are no records on this machine", remedy="`desbuquei catalog rebuild` makes them again")
    lines = ((slot_of(line["backup_id"]), line) for line in metadata_file.lines(site.settings.folder))
    return {slot: _recorded(line) for slot, line in lines if slot is not None}


def dumps_on_disk(site: Site) -> frozenset[Slot]:
    """The slots whose own dump is in the backup folder; NotFound where there is no such folder. DiskError."""
    folder = site.settings.folder
    if not folder.exists():
        raise NotFound("there is no backup folder on this machine", remedy="see whether its disk is mounted")
    found = (slot_of(name.partition(".")[0]) for name in names(folder).dumps)
    return frozenset(slot for slot in found if slot is not None)


def of_record(slot: Slot, line: Recorded) -> Backup | None:
    """A backup that nothing but the records tells of; None if they say that there was none."""
    if line.status not in ("success", "pruned") or line.taken_at is None:
        return None
    return Backup(
        slot,
        Source.RECORDS,
        line.taken_at,
        archived=line.archived or line.status == "pruned",
        size=line.size,
        seconds=line.seconds,
        wal=line.wal,
    )


def measured(lines: Mapping[Slot, Recorded], period: Period) -> list[Restored]:
    """The restored copies of the period, oldest first."""
    found = [
        Restored(slot.backup_id, each.restored_at, each.restore_seconds)
        for slot, each in lines.items()
        if each.restore_seconds is not None and each.restored_at is not None and period.has(each.restored_at)
    ]
    return sorted(found, key=lambda each: each.at)


def _recorded(line: Line) -> Recorded:
    return Recorded(
        status=str(line.get("status")),
        taken_at=instant(line.get("backup_timestamp")),
        error=_text(line.get("error")),
        failed_in=_text(line.get("failed_in")),
        archived=bool(line.get("s3_uri")),
        proven=line.get("recovery_tested") is True,
        size=_whole(line.get("total_size") or line.get("size")),
        seconds=_number(line.get("duration_seconds")),
        wal=is_point(line),
        restore_seconds=_number(line.get("restore_seconds")),
        restored_at=instant(line.get("restored_at")),
    )


def _text(value: object) -> str | None:
    return " ".join(value.split()) or None if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
