"""What is not finished, by the records, manifests and drafts in the backup folder: S3 and database are not asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from desbuquei_backups.core.reruns import Step
from desbuquei_backups.core.slots import KEY_FORMAT, Slot, due_before, is_since, last_due, next_due, slot_of
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.operations.folder_names import names
from desbuquei_backups.operations.held import instant, is_point
from desbuquei_backups.operations.metadata_file import Line
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.tier_status import window
from desbuquei_backups.storage import age
from desbuquei_backups.storage.disk import disk_errors

_DRAFT = ".draft.json"
_AFTER_DUMP = (Step.MANIFEST, Step.ARCHIVE, Step.PROOF)
_MOST_EMPTY = 5_000


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A slot, and the steps that it lacks, in their order. `open_for`: how long it is open in all, while it is.

    `error`: what its last attempt left in the records, None if it left nothing.
    """

    slot: Slot
    missing: tuple[Step, ...]
    open_for: timedelta | None = None
    error: str | None = None


@dataclass(slots=True)
class Look:
    """What was found. `empty`: slots that closed, hold nothing here, and are not recorded as missed; oldest first."""

    unfinished: list[Unfinished] = field(default_factory=list)
    empty: list[Slot] = field(default_factory=list)


def look(site: Site, since: datetime) -> Look:
    """All that is unfinished and can still be finished: an open slot, and what the policy still keeps of closed ones.

    `since`: from when on slots count, aware UTC. DiskError if the folder cannot be read; none is empty.
    """
    return _Looking(site, since).look()


class _Looking:
    def __init__(self, site: Site, since: datetime) -> None:
        self.site, self.since, self.now = site, since, site.now()
        self.starts = {name: window(tier, self.now) for name, tier in site.policy.tiers.items()}
        self.keys = {name: f"{start:{KEY_FORMAT}}" for name, start in self.starts.items()}
        folder = site.settings.folder
        self.lines: Mapping[Slot, Line] = {
            slot: line
            for line in metadata_file.chosen(folder, self._matters)
            if (slot := slot_of(line["backup_id"])) is not None
        }
        self.sealed = names(folder).sealed
        with disk_errors(folder):
            self.drafts = {path.name[1:].removesuffix(_DRAFT) for path in folder.glob(f".*{_DRAFT}")}

    def _matters(self, backup_id: str) -> bool:
        return is_since(backup_id, self.keys)

    def look(self) -> Look:
        found = Look()
        for name, cron in self.site.policy.scheduled.items():
            self._of_slots(found, name, cron)
        open_now = {each.slot for each in found.unfinished}
        there = {*self.lines, *filter(None, map(slot_of, {*self.sealed, *self.drafts}))}
        for slot in sorted(there - open_now, key=lambda slot: (slot.due, slot.tier)):
            if slot.due > self.now or not self._matters(slot.backup_id):
                continue
            if missing := self._missing(slot):
                found.unfinished.append(Unfinished(slot, missing, error=self._error(slot)))
        return found

    def _of_slots(self, found: Look, name: str, cron: str) -> None:
        """The slot that is open, and those before it that stayed empty."""
        current = Slot(name, last_due(cron, self.now))
        first = max(last_due(cron, self.since), self.starts[name])
        if current.due < first:  # nothing was promised yet, by this clock
            return
        gone = [Slot(name, due) for due in takewhile(lambda due: due >= first, due_before(cron, current.due))]
        # A later one that is filled: the clock went back, and the slot stays closed.
        filled = max((slot for slot in self.lines if slot.tier == name and self._was_filled(slot)), default=current)
        if filled > current:
            gone.insert(0, current)
        elif self._is_empty(current):
            lasts = next_due(cron, current.due) - current.due
            missing = (Step.DUMP, *self._after(current, _AFTER_DUMP))
            found.unfinished.append(Unfinished(current, missing, lasts, self._error(current)))
        found.empty += [
            slot for slot in reversed(gone[:_MOST_EMPTY]) if self._is_empty(slot) and not self._told(slot, "missed")
        ]

    def _was_filled(self, slot: Slot) -> bool:
        line = self.lines[slot]
        taken_at = instant(line.get("backup_timestamp"))
        return line.get("status") == "success" and taken_at is not None and taken_at >= slot.due

    def _told(self, slot: Slot, *statuses: str) -> bool:
        return self.lines.get(slot, {}).get("status") in statuses

    def _is_empty(self, slot: Slot) -> bool:
        """Whether nothing of a backup is here, or is said to be in S3, and it was not left empty on purpose."""
        if slot.backup_id in self.sealed or slot.backup_id in self.drafts:
            return False
        return not self.lines.get(slot, {}).get("s3_uri") and not self._told(slot, "skipped", "pruned")

    def _missing(self, slot: Slot) -> tuple[Step, ...]:
        line = self.lines.get(slot, {})
        if self._told(slot, "skipped", "pruned"):
            return ()
        if line.get("s3_uri"):
            return () if line.get("recovery_tested") else self._after(slot, (Step.PROOF,))
        if slot.backup_id in self.sealed:
            return self._after(slot, (Step.ARCHIVE, Step.PROOF))
        return self._after(slot, _AFTER_DUMP) if slot.backup_id in self.drafts else ()

    def _after(self, slot: Slot, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Those of the steps that apply: WAL is not restored, nor is what no identity here opens."""
        line = self.lines.get(slot, {})
        closed = str(line.get("file")).endswith(age.SUFFIX) and self.site.settings.age_identity is None
        return tuple(step for step in steps if step is not Step.PROOF or not (is_point(line) or closed))

    def _error(self, slot: Slot) -> str | None:
        error = self.lines.get(slot, {}).get("error")
        return " ".join(str(error).split()) if error else None
