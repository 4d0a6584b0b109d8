"""Whether retention is honoured: what must be there is there, and what must be gone is gone."""

from collections.abc import Sequence

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.retention import Place
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.operations.folder_names import names
from desbuquei_backups.operations.prune import Pruned
from desbuquei_backups.operations.pruning import look
from desbuquei_backups.operations.site import Site


def honoured(site: Site, done: Sequence[Pruned]) -> list[Finding]:
    """Look once more at the bucket and the folder after a prune: a finding for each backup in each place.

    So is one for each that is recorded as archived, is within its tier's period, and is not in S3 any more: nobody who
    asked us pruned it. StoreError if S3 cannot be asked.
    """
    there = look(site)
    dumps = names(site.settings.folder).dumps
    found = []
    for each in done:
        slot, place = each.planned.verdict.slot, each.planned.place
        is_there = (
            slot in there.sealed if place is Place.S3 else any(name.startswith(f"{slot.backup_id}.") for name in dumps)
        )
        found.append(
            _finding(f"{slot.backup_id}, {place}", should_be=not each.done, is_there=is_there, why=each.reason)
        )
        if each.error:
            found[-1] = Finding(found[-1].subject, "gone", "there", Verdict.DIFFERS, each.error)
    listed = {each.planned.verdict.slot for each in done if each.planned.place is Place.S3}
    if site.first is not None:  # the records are of the first place
        return found
    return found + [
        _finding(f"{slot.backup_id}, {Place.S3}", should_be=True, is_there=False, why="recorded as archived, and lost")
        for slot in _promised(site)
        if slot not in listed
    ]


def _promised(site: Site) -> list[Slot]:
    """The backups that are recorded as archived and are within their tier's period."""
    now, found = site.now(), []
    oldest = {name: tier.kept_in_s3.before(now) for name, tier in site.policy.tiers.items()}
    for line in metadata_file.lines(site.settings.folder):
        slot = slot_of(line["backup_id"])
        if slot is not None and line.get("s3_uri") and slot.tier in oldest and slot.due >= oldest[slot.tier]:
            found.append(slot)
    return sorted(found)


def _finding(subject: str, *, should_be: bool, is_there: bool, why: str) -> Finding:
    words = {True: "there", False: "gone"}
    verdict = Verdict.MATCHES if should_be is is_there else Verdict.DIFFERS
    return Finding(subject, words[should_be], words[is_there], verdict, why)
