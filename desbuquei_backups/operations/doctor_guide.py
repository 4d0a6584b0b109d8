"""What the guide promises and is not met yet: all may be well set up, and nobody told, or nothing ever restored."""

from collections.abc import Iterator
from datetime import timedelta

from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.tiers import shortest_interval
from desbuquei_backups.operations import records
from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.egress import incremental_tiers, price, takes_wal
from desbuquei_backups.operations.protection import recorded_since
from desbuquei_backups.operations.settings import DATABASE_URL, NOTIFY_URLS, S3_URL, SECOND_S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import Status, status

_AREA = Area("the guide")
_DRILLED_EVERY = timedelta(days=32)  # "monthly", whichever month


def guide(site: Site, *, read_only: bool) -> Iterator[Precondition]:
    """Each promise, kept or not. What is not kept is a warning: it is no fault of the setting-up."""
    if site.settings.urls.get(S3_URL):
        yield from _AREA.guarded("off-site copy", lambda: _off_site(site))
    if site.settings.urls.get(DATABASE_URL):
        yield from _AREA.guarded("recovery point", lambda: _recovery_point(site))
    if read_only and recorded_since(site.settings) is None:
        yield _AREA.not_applicable("backups", "not looked at: since when they are due would be written down")
    elif site.settings.urls.get(S3_URL):
        yield from _AREA.guarded("backups", lambda: _backups(site, status(site)))
    if site.settings.notify_urls:
        yield _AREA.ok("notification", f"{NOTIFY_URLS} is set")
    else:
        yield _AREA.warning(
            "notification",
            f"{NOTIFY_URLS} is not set: what fails at night is seen by whoever looks",
            f"set {NOTIFY_URLS}, or let something else watch the exit status of desbuquei status",
        )


def _off_site(site: Site) -> Iterator[Precondition]:
    if site.bucket.is_here:
        yield _AREA.warning(
            "off-site copy",
            "the bucket is on this very machine: what takes the machine takes the backups",
            f"let {S3_URL} name a bucket elsewhere",
        )
    elif site.second is None:
        yield _AREA.ok("off-site copy", f"in {site.bucket.uri('')}; a second one, elsewhere, would be {SECOND_S3_URL}")
    else:
        yield _AREA.ok("off-site copy", f"in {site.bucket.uri('')} and {site.second.bucket.uri('')}")


def _recovery_point(site: Site) -> Iterator[Precondition]:
    """Whether the objective can be met at all, by the tier that is due most often."""
    promised = site.policy.recovery_point_objective
    tiers = incremental_tiers(site)
    if tiers and not any(line.get("backup_type") in tiers for line in records.lines(site.settings.folder)):
        yield _AREA.warning("recovery point", f"not known before the first {tiers[0]}", f"desbuquei backup {tiers[0]}")
        return
    often = min(map(shortest_interval, site.policy.scheduled.values()), default=None)
    if not tiers and often is not None and often <= promised:
        yield _AREA.ok("recovery point", f"a full dump every {in_words(often)}; promised: {in_words(promised)}")
        return
    for tier in tiers:
        if takes_wal(site, tier):
            yield _AREA.ok("recovery point", f"any second, with {tier}'s WAL; promised: {in_words(promised)}")
            return
        found = price(site, tier)
        if found is not None and found.recovery_point <= promised:
            yield _AREA.ok("recovery point", f"up to {in_words(found.recovery_point)}; promised: {in_words(promised)}")
            return
    yield _AREA.warning(
        "recovery point",
        f"the promised {in_words(promised)} cannot be met: no WAL, and no dump that is taken and done as often",
        "docs/sql/backup_role.sql makes a role that may replicate; where the server forbids it, promise less",
    )


def _backups(site: Site, found: Status) -> Iterator[Precondition]:
    lacking = [tier.tier for tier in found.tiers if tier.next_due is not None and tier.last_good is None]
    if lacking:
        yield _AREA.warning(
            "every tier", f"no backup yet: {', '.join(lacking)}", "desbuquei backup TIER fills each one's open slot"
        )
    else:
        yield _AREA.ok("every tier", "has a backup in S3")
    yield _restored(found)
    yield _drilled(site, found)
    yield _verified(found)


def _restored(found: Status) -> Precondition:
    times = [time for time in found.recoveries if time.total is not None]
    if not times:
        return _AREA.warning("restored copy", "nothing was ever restored", "desbuquei backup daily, which restores too")
    slow = times[0].exceeds(found.recovery_time_objective)
    said = times[0].said(found.recovery_time_objective)
    if slow:
        return _AREA.warning("recovery time", said, "restore on a faster server, or promise less in the policy")
    return _AREA.ok("recovery time", said)


def _drilled(site: Site, found: Status) -> Precondition:
    drill = found.last_drill
    if drill is None:
        return _AREA.warning(
            "monthly drill", "none yet: how long a recovery takes is not known", "desbuquei drill, if WAL is archived"
        )
    said = f"on {drill.drilled_at:%Y-%m-%d}, {drill.recovery_seconds:,.0f} s"
    if drill.faults:
        return _AREA.warning("monthly drill", f"{said}: the copy was not sound", "desbuquei drill: it names each fault")
    if drill.drilled_at < site.now() - _DRILLED_EVERY:
        return _AREA.warning("monthly drill", f"{said}: more than a month ago", "desbuquei drill")
    return _AREA.ok("monthly drill", said)


def _verified(found: Status) -> Precondition:
    oldest = found.last_verified
    if oldest is None or oldest.never:
        said = "nothing in S3 was read back yet" if oldest is None else oldest.said()
        return _AREA.warning("verified in S3", said, "desbuquei verify --all --remote --budget 50GB, every night")
    return _AREA.ok("verified in S3", oldest.said())
