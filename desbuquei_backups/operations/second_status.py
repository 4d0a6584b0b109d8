"""Whether the second place has what the first one has: each tier's newest backup."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.second_place import behind
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.tier_status import TierStatus

_GRACE = timedelta(hours=1)  # after the backup was taken, before its absence is a fault


@dataclass(frozen=True, slots=True)
class SecondPlace:
    """`behind`: the tiers' newest backups that it has not; `late`: those of them that it should have by now.

    `trouble`: why it could not be asked, or None.
    """

    uri: str
    behind: Sequence[str]
    late: Sequence[str]
    trouble: str | None

    @property
    def faults(self) -> list[str]:
        """What is the matter with it, each in one sentence."""
        if self.trouble is not None:
            return [f"the second place could not be asked: {self.trouble}"]
        return [f"not in the second place: {', '.join(self.late)}"] if self.late else []

    def said(self) -> str:
        """In one line, for a person."""
        if self.trouble is not None:
            return f"could not be asked: {self.trouble}"
        return f"not there yet: {', '.join(self.behind)}" if self.behind else "has the newest of every tier"


def second_status(site: Site, tiers: Sequence[TierStatus]) -> SecondPlace | None:
    """By each tier's newest backup in the first place; None if there is no second one."""
    if site.second is None:
        return None
    slots = {Slot.of_id(tier.last_good): tier for tier in tiers if tier.last_good is not None}
    uri = site.second.bucket.uri("")
    try:
        lacking = behind(site, sorted(slots))
    except BackupError as error:
        return SecondPlace(uri, (), (), error.what)
    late = [slot.backup_id for slot in lacking if (slots[slot].age or timedelta()) > _GRACE]
    return SecondPlace(uri, [slot.backup_id for slot in lacking], late, None)
