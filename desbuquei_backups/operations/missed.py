"""Slots that closed empty: recorded once as missed recovery points, and told as conditions until they are old news."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.slots import KEY_FORMAT, Slot, is_since, next_due, slot_of
from desbuquei_backups.operations import metadata_file, records
from desbuquei_backups.operations.conditions_reach import impatient
from desbuquei_backups.operations.inventory import archived
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.tier_status import window

_AT_ONCE = 25
_NEWS = timedelta(days=1)
_LOOKED_BACK = timedelta(days=31)


def record_missed(site: Site, empty: Sequence[Slot]) -> list[Slot]:
    """Record the oldest of those slots as missed; returns those that are.

    The bucket is looked at before, with little patience: what it has was not missed, though nothing here knows of it
    any more. StoreError if it cannot be asked; nothing is recorded then.
    """
    bucket = impatient(site).bucket
    there: set[Slot] = set()
    for tier in {slot.tier for slot in empty}:
        there |= archived(bucket, tier, start=min(slot.due for slot in empty if slot.tier == tier)).keys()
    missed = [slot for slot in empty if slot not in there][:_AT_ONCE]
    for slot in missed:
        records.miss(site, slot)
    return missed


def missed_conditions(site: Site) -> list[Condition]:
    """The missed recovery points of the last day; those of a tier that follow one another are one, named by the first.

    A person must come as long as no later slot of the tier is filled. DiskError.
    """
    now, scheduled = site.now(), site.policy.scheduled
    tiers = {name: site.policy.tiers[name] for name in scheduled}
    starts = {name: f"{min(window(tier, now), now - _LOOKED_BACK):{KEY_FORMAT}}" for name, tier in tiers.items()}
    missed: dict[Slot, str] = {}
    filled: dict[str, Slot] = {}
    for line in metadata_file.chosen(site.settings.folder, lambda backup_id: is_since(backup_id, starts)):
        slot = slot_of(line["backup_id"])
        if slot is None:
            continue
        if line.get("status") == "missed":
            missed[slot] = str(line.get("error"))
        elif line.get("status") == "success":
            filled[slot.tier] = max(slot, filled.get(slot.tier, slot))
    found = []
    for stretch in _stretches(sorted(missed), scheduled):
        tier, closed = stretch[0].tier, next_due(scheduled[stretch[-1].tier], stretch[-1].due)
        if closed + _NEWS >= now:
            over = tier in filled and filled[tier] > stretch[-1]
            found.append(_condition(site, stretch, missed[stretch[-1]], over=over))
    return found


def _condition(site: Site, stretch: Sequence[Slot], why: str, *, over: bool) -> Condition:
    first, last = stretch[0], stretch[-1]
    slots = first.backup_id if first == last else f"{first.backup_id} to {last.backup_id}, {len(stretch)} slots"
    return Condition(
        name=f"slot_missed/{first.backup_id}",
        database=site.policy.database,
        severity=Severity.WARNING if over else Severity.CRITICAL,
        what=f"missed: {slots}. A backup cannot be taken in the past, and there is no recovery point of then",
        subject=first.backup_id,
        since=next_due(site.policy.scheduled[first.tier], first.due),
        tried=why,
        command="desbuquei status" if over else f"desbuquei backup {first.tier}",
    )


def _stretches(slots: Sequence[Slot], scheduled: Mapping[str, str]) -> Iterator[list[Slot]]:
    """Slots that follow one another, in order, together; one that the tier's cron does not know any more is alone."""
    stretch: list[Slot] = []
    for slot in slots:
        if stretch and slot != Slot(stretch[-1].tier, next_due(scheduled[stretch[-1].tier], stretch[-1].due)):
            yield stretch
            stretch = []
        stretch.append(slot)
    if stretch:
        yield stretch
