"""What every control is judged by: the last result of each check of each backup, and verdicts put together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from desbuquei_backups.audit.facts import Backup, Checked, Facts
from desbuquei_backups.audit.model import Verdict
from desbuquei_backups.audit.recovery_points import Peak, peaks
from desbuquei_backups.audit.slots_due import Due, slots_due
from desbuquei_backups.core.comparison import Verdict as Compared
from desbuquei_backups.core.slots import Slot

# The checks by the names that validation gives them, and the steps that say their results in the chain.
DUMP_IS_COMPLETE = ("dump", "dump_is_complete")
CHECKSUMS_MATCH = ("dump", "checksums_match")
CONNECTION_OF_DUMP = ("dump", "connection_is_encrypted")
WAL_IS_CONTINUOUS = ("dump", "wal_is_continuous")
WAL_STAYS_CONTINUOUS = ("wal", "wal_is_continuous")  # looked at all day, and of no backup
BASE_BACKUP_VERIFIES = ("base_backup", "base_backup_verifies")
ARCHIVE_MATCHES = ("s3_archive", "archive_matches_manifest")
ARCHIVE_IS_ENCRYPTED = ("s3_archive", "archive_is_encrypted")
CONNECTION_OF_ARCHIVE = ("s3_archive", "connection_is_encrypted")
SECOND_MATCHES = ("second_archive", "archive_matches_manifest")
# What is asked of a restored copy, and what each question is about.
RESTORED = {
    ("restored_copy", "tables_match"): "tables of restored copies",
    ("restored_copy", "row_counts_match"): "row counts of restored copies",
    ("restored_copy", "content_matches"): "content of restored copies",
    ("restored_copy", "schema_matches"): "schema of restored copies",
    ("restored_copy", "objects_match"): "sequences, large objects, extensions, owners and grants of restored copies",
    ("restored_copy", "indexes_are_valid"): "indexes of restored copies",
    ("restored_copy", "pages_are_sound"): "pages of restored copies, by pg_amcheck",
}
_SOUND = (DUMP_IS_COMPLETE, CHECKSUMS_MATCH, ARCHIVE_MATCHES, *RESTORED)

Check = tuple[str, str]
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One question of a control: its verdict, in one sentence why, and what is not as promised."""

    verdict: Verdict
    why: str
    exceptions: Sequence[str] = ()


def together(parts: Sequence[Part]) -> Part:
    """The worst of the verdicts, with its reasons; HOLDS only if every part does. Of no part: NOT_KNOWN."""
    exceptions = [line for each in parts for line in each.exceptions]
    for verdict in (Verdict.FAILS, Verdict.NOT_KNOWN, Verdict.HOLDS):
        if reasons := [each.why for each in parts if each.verdict is verdict]:
            return Part(verdict, "; ".join(reasons), exceptions)
    return Part(Verdict.NOT_KNOWN, "nothing was asked", exceptions)


def named(items: Iterable[str]) -> str:
    """The first few, and how many more."""
    found = list(items)
    more = len(found) - _NAMED
    return ", ".join(found[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


@dataclass(frozen=True)
class Judging:
    """The facts, and what follows from them, computed once."""

    facts: Facts

    @cached_property
    def _last(self) -> dict[Slot, dict[Check, Checked]]:
        by_id: dict[str, dict[Check, Checked]] = {}
        for each in self.facts.checks:  # in the chain's order: the last one holds
            if each.backup_id is not None:
                by_id.setdefault(each.backup_id, {})[each.step, each.check] = each
        return {slot: by_id.get(slot.backup_id, {}) for slot in self.facts.backups}

    def last(self, backup: Backup, check: Check) -> Checked | None:
        """The last result of a check of a backup; None if it was never run, as far as the chain says."""
        return self._last[backup.slot].get(check)

    @cached_property
    def dues(self) -> dict[str, list[Due]]:
        return slots_due(self.facts)

    @cached_property
    def archived(self) -> list[Backup]:
        """The backups of the period that S3 has, or had."""
        return [each for each in self.facts.in_period() if each.archived]

    @cached_property
    def peaks(self) -> list[Peak]:
        """Ages of the recovery point, by backups that no check found unsound."""
        if self.facts.since is None:
            return []
        sound = [each for each in self.facts.backups.values() if not self._unsound(each)]
        here = [self.facts.looks_here] if self.facts.looks_here is not None else []
        return peaks(sound, self.facts.period, self.facts.since, [*self.facts.looks, *here])

    def _unsound(self, backup: Backup) -> bool:
        results = (self.last(backup, check) for check in _SOUND)
        return any(each is not None and each.verdict is Compared.DIFFERS for each in results)

    def checked(self, check: Check, backups: Sequence[Backup], what: str) -> Part:
        """What a check says of those backups: untrue of any, never run or not compared of any, or true of all."""
        groups: dict[str, list[str]] = {"untrue": [], "never": [], "uncompared": []}
        exceptions = []
        for each in backups:
            found = self.last(each, check)
            if found is None:
                groups["never"].append(each.backup_id)
            elif found.verdict is Compared.DIFFERS:
                groups["untrue"].append(each.backup_id)
                exceptions.append(f"{each.backup_id}: {check[1]}: {found.summary} (link {found.link})")
            elif found.verdict is not Compared.MATCHES:
                groups["uncompared"].append(each.backup_id)
                exceptions.append(f"{each.backup_id}: {check[1]} could not be compared: {found.summary}")
        total = f"of {len(backups):,} backup{'' if len(backups) == 1 else 's'}"
        if not backups:
            return Part(Verdict.NOT_KNOWN, f"{what}: there is no backup in the period that it could be asked of")
        if untrue := groups["untrue"]:
            return Part(Verdict.FAILS, f"{what}: untrue of {named(untrue)}", exceptions)
        if never := groups["never"]:
            exceptions.append(f"{check[1]} was never run, as far as the chain says, of {named(never)}")
            return Part(Verdict.NOT_KNOWN, f"{what}: never checked of {len(never):,} {total}", exceptions)
        if groups["uncompared"]:
            count = len(groups["uncompared"])
            return Part(Verdict.NOT_KNOWN, f"{what}: could not be compared of {count:,} {total}", exceptions)
        return Part(Verdict.HOLDS, f"{what}: true {total}", exceptions)
