"""What went wrong: checks that were untrue, attempts that failed, slots that were missed; and when it was over."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from desbuquei_backups.audit.facts import Checked
from desbuquei_backups.audit.judging import Judging
from desbuquei_backups.audit.slots_due import Outcome, said, stretches
from desbuquei_backups.core.comparison import Verdict as Compared


@dataclass(frozen=True, slots=True)
class Incident:
    """One. `over_at` None: as far as is known it is not over; `how`: mended, or followed by a sound backup."""

    at: datetime
    what: str
    noticed: str
    over_at: datetime | None
    how: str = ""

    def said(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} UTC: {self.what}"


def incidents(judging: Judging) -> list[Incident]:
    """Those of the period, oldest first; a stretch of missed slots of one tier is one."""
    later = _Later(judging)
    found = [*_missed(judging, later), *_untrue(judging), *_failed(judging, later)]
    return sorted(found, key=lambda each: (each.at, each.what))


class _Later:
    """When what was archived after an instant was there."""

    def __init__(self, judging: Judging) -> None:
        ordered = sorted(
            (each.available_at, each.backup_id) for each in judging.facts.backups.values() if each.archived
        )
        self._at = [at for at, _ in ordered]
        self._ordered = ordered

    def after(self, instant: datetime) -> tuple[datetime, str] | None:
        number = bisect_right(self._at, instant)
        return self._ordered[number] if number < len(self._ordered) else None


def _missed(judging: Judging, later: _Later) -> Iterator[Incident]:
    for tier, dues in judging.dues.items():
        for stretch in stretches(dues, Outcome.MISSED):
            healed = later.after(stretch[-1].slot.due)
            yield Incident(
                stretch[0].slot.due,
                f"{tier} missed: {said(stretch)}",
                "the slots are empty",
                healed[0] if healed is not None else None,
                f"{healed[1]} was archived" if healed is not None else "",
            )


def _untrue(judging: Judging) -> Iterator[Incident]:
    """Each untrue check, once for a backup: over when it is true of that backup, or of a later one of its tier.

    Of checks that belong to no backup, what lasts is one.
    """
    facts = judging.facts
    by_tier: dict[tuple[str, str, str], list[Checked]] = {}
    for each in facts.checks:
        tier = each.backup_id.partition("-")[0] if each.backup_id is not None else ""
        by_tier.setdefault((tier, each.step, each.check), []).append(each)
    for results in by_tier.values():
        seen = set[str | None]()
        for number, each in enumerate(results):
            if each.backup_id is None and each.verdict is Compared.MATCHES:
                seen.clear()
            if each.verdict is not Compared.DIFFERS or each.backup_id in seen or not facts.period.has(each.at):
                continue
            seen.add(each.backup_id)
            true = [one for one in results[number + 1 :] if one.verdict is Compared.MATCHES]
            own = next((one for one in true if one.backup_id == each.backup_id), None)
            after = own or next(iter(true), None)
            how = "" if after is None else "it is true now" if own is not None else f"it is true of {after.backup_id}"
            yield Incident(
                each.at,
                f"{each.backup_id or each.step}: {each.check} untrue: {each.summary}",
                f"by the check {each.check} of {each.step}, link {each.link}",
                after.at if after is not None else None,
                how,
            )


def _failed(judging: Judging, later: _Later) -> Iterator[Incident]:
    """Attempts that the records call failed, and no check told of."""
    facts = judging.facts
    told = {each.backup_id for each in facts.checks if each.verdict is Compared.DIFFERS}
    missed = {due.slot for dues in judging.dues.values() for due in dues if due.outcome is Outcome.MISSED}
    for slot, line in (facts.recorded or {}).items():
        if line.status != "failed" or not facts.period.has(slot.due) or slot in missed or slot.backup_id in told:
            continue
        healed = later.after(slot.due)
        yield Incident(
            line.taken_at or slot.due,
            f"{slot.backup_id}: failed{f' in {line.failed_in}' if line.failed_in else ''}: {line.error or 'no reason'}",
            "its run failed, and the records say so",
            healed[0] if healed is not None else None,
            f"{healed[1]} was archived" if healed is not None else "",
        )
