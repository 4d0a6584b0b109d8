"""Whether the second place answers, and has what the first one has."""

from collections.abc import Iterator

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.slots import slot_of
from desbuquei_backups.operations import metadata_file
from desbuquei_backups.operations.held import instant
from desbuquei_backups.operations.noticing import noticed
from desbuquei_backups.operations.second_status import second_status
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.tier_status import TierStatus


def second_conditions(site: Site) -> Iterator[Condition]:
    """By the newest backup of each tier that the records call archived."""
    if site.second is None:
        return
    newest: dict[str, TierStatus] = {}
    for line in metadata_file.lines(site.settings.folder):
        tier, backup_id, at = str(line.get("backup_type")), line["backup_id"], instant(line.get("backup_timestamp"))
        if line.get("s3_uri") and tier in site.policy.tiers and at is not None and slot_of(backup_id):
            before = newest.get(tier)
            if before is None or str(before.last_good) < backup_id:
                newest[tier] = TierStatus(tier, backup_id, at, site.now() - at)
    found = second_status(site, list(newest.values()))
    for fault in found.faults if found is not None else ():
        yield noticed(
            site,
            Severity.WARNING,
            "second_place_behind",
            fault,
            found.uri if found is not None else "",
            tried="every backup of these tiers sends what is missing",
            command="desbuquei list --second  # then run second_archive of the slots that are not there",
        )
