"""What reading the whole database costs: how much was read lately, and how often the budget lets it be read again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from desbuquei_backups.core.budget import MONTH, Cadence, Spent, cadence
from desbuquei_backups.core.slots import slot_of
from desbuquei_backups.core.tiers import Takes, shortest_interval
from desbuquei_backups.operations import records
from desbuquei_backups.operations.held import is_point
from desbuquei_backups.operations.site import Site


@dataclass(frozen=True, slots=True)
class Price:
    """What an incremental tier costs where it takes logical dumps, and the recovery point that it buys.

    `recovery_point` is the age that the newest backup reaches before the next one is there: interval and dump time.
    """

    tier: str
    cadence: Cadence
    spent_bytes: int
    recovery_point: timedelta

    def said(self) -> str:
        """In one sentence, for a person."""
        gb = {name: f"{value / 1e9:,.1f} GB" for name, value in (
            ("wanted", self.cadence.wanted_bytes),
            ("stretched", self.cadence.stretched_bytes),
            ("allowed", self.cadence.allowed_bytes),
            ("spent", self.spent_bytes),
        )}  # fmt: skip
        last = f"{gb['spent']} were read in the last 30 days"
        if not self.cadence.stretched:
            return f"logical dumps read {gb['wanted']} a month of the {gb['allowed']} allowed; {last}"
        how = (
            f"a dump at one due time in {self.cadence.every} reads {gb['stretched']}"
            if self.cadence.every
            else f"the full tiers read {gb['stretched']}, and one dump more between theirs is too many"
        )
        return (
            f"a logical dump at each due time would read {gb['wanted']} a month, {gb['allowed']} are allowed; "
            f"{how}; {last}"
        )


def price(site: Site, tier: str) -> Price | None:
    """The price of that incremental tier by the newest dump; None before the first one."""
    now = site.now()
    spent = spent_so_far(records.lines(site.settings.folder), now)
    if spent.dump_bytes is None:
        return None
    planned = cadence(site.policy, tier, spent.dump_bytes, now)
    interval = max(planned.interval, shortest_interval(site.policy.scheduled[tier]))
    return Price(tier, planned, spent.month_bytes, interval + (spent.dump_duration or timedelta()))


def takes_wal(site: Site, tier: str) -> bool:
    """Whether the tier's newest backup is of WAL: then no logical dumps are taken in its place."""
    newest: Mapping[str, Any] = {}
    for line in records.lines(site.settings.folder):
        if (line.get("backup_type"), line.get("status")) == (tier, "success"):
            newest = max(newest, line, key=lambda each: str(each.get("backup_id", "")))
    return is_point(newest)


def incremental_tiers(site: Site) -> list[str]:
    """The scheduled tiers that take increments."""
    return [name for name in site.policy.scheduled if site.policy.tiers[name].takes is Takes.INCREMENTAL]


def spent_so_far(lines: Iterable[Mapping[str, Any]], now: datetime) -> Spent:
    """What was read, by the records of every attempt: the failed ones were paid for too.

    A slot that is not due yet was filled by a clock that ran ahead: the next one does not wait for it.
    """
    month, newest = 0, None
    since = (now - MONTH).strftime("%Y-%m-%dT%H:%M:%SZ")
    for line in lines:
        at, read, dumped = (line.get(name) for name in ("backup_timestamp", "egress_bytes", "dump_bytes"))
        month += read if isinstance(read, int) and str(at) >= since else 0
        if isinstance(dumped, int) and dumped > 0 and (newest is None or newest["backup_timestamp"] <= str(at)):
            newest = {**line, "backup_timestamp": str(at)}
    if newest is None:
        return Spent(month, None, None, None)
    seconds = newest.get("duration_seconds")
    return Spent(
        month_bytes=month,
        dump_bytes=int(newest["dump_bytes"]),
        dump_duration=timedelta(seconds=seconds) if isinstance(seconds, int | float) else None,
        last_due=slot.due if (slot := slot_of(str(newest["backup_id"]))) and slot.due <= now else None,
    )
