"""What is measured of a site, as samples; what does not answer has none, and its `up` is 0."""

from collections.abc import Callable, Iterator
from functools import partial

from desbuquei_backups.core.conditions import Severity
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.metric_names import Sample
from desbuquei_backups.operations import alert_ledger, disk_history
from desbuquei_backups.operations.conditions_reach import BUCKET, DATABASE, impatient, reach_conditions
from desbuquei_backups.operations.disk_use import disk_use
from desbuquei_backups.operations.in_time import in_time
from desbuquei_backups.operations.last_verdicts import last_verdicts
from desbuquei_backups.operations.measuring_backups import backup_samples
from desbuquei_backups.operations.recovery_point import newest_point
from desbuquei_backups.operations.safety import Safety
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import Status, status
from desbuquei_backups.operations.wal_state import WalState, wal_state

_SECONDS = 20.0  # so long a scrape waits for one server


def samples(site: Site) -> list[Sample]:
    """All that is known now. Nothing is raised for a server that is down, or a folder that is not there."""
    site = impatient(site)
    found: list[Sample] = []
    parts: tuple[Callable[[Site], Iterator[Sample]], ...] = (
        _promises,
        _reach,
        _status,
        _wal,
        _disk,
        _checks,
        _conditions,
    )
    for part in parts:
        try:
            found += in_time((site.settings.folder, part), partial(_listed, part, site), seconds=_SECONDS)
        except BackupError:
            continue
    return [*found, Sample("desbuquei_collected_timestamp_seconds", site.now().timestamp())]


def _listed(part: Callable[[Site], Iterator[Sample]], site: Site) -> list[Sample]:
    return list(part(site))


def _promises(site: Site) -> Iterator[Sample]:
    policy = site.policy
    yield Sample("desbuquei_recovery_point_objective_seconds", policy.recovery_point_objective.total_seconds())
    yield Sample("desbuquei_recovery_time_objective_seconds", policy.recovery_time_objective.total_seconds())


def _reach(site: Site) -> Iterator[Sample]:
    down = {each.name for each in reach_conditions(site)}
    for service, name in (("database", DATABASE), ("s3", BUCKET)):
        yield Sample("desbuquei_up", float(name not in down), {"service": service})


def _status(site: Site) -> Iterator[Sample]:
    found = status(site)
    for state in Safety:
        yield Sample("desbuquei_safety", float(found.safety is state), {"state": state.value})
    yield from _tiers(found)
    yield from _recovery(found)
    yield from backup_samples(site, found.tiers)


def _tiers(found: Status) -> Iterator[Sample]:
    for tier in found.tiers:
        label = {"tier": tier.tier}
        if tier.taken_at is not None and tier.age is not None:
            yield Sample("desbuquei_last_success_timestamp_seconds", tier.taken_at.timestamp(), label)
            yield Sample("desbuquei_backup_age_seconds", tier.age.total_seconds(), label)
        if tier.proven is not None and not tier.wal:
            yield Sample("desbuquei_backup_proven", float(tier.proven), label)
        if tier.next_due is not None:
            yield Sample("desbuquei_next_due_timestamp_seconds", tier.next_due.timestamp(), label)
            yield Sample("desbuquei_missed_slots", len(tier.missed), label)


def _recovery(found: Status) -> Iterator[Sample]:
    total = found.recoveries[0].total if found.recoveries else None
    if total is not None:
        yield Sample("desbuquei_recovery_time_seconds", total.total_seconds())
    if (drill := found.last_drill) is not None:
        yield Sample("desbuquei_drill_timestamp_seconds", drill.drilled_at.timestamp())
        yield Sample("desbuquei_drill_recovery_seconds", drill.recovery_seconds)
        yield Sample("desbuquei_drill_faults", len(drill.faults))


def _wal(site: Site) -> Iterator[Sample]:
    if not site.settings.folder.is_dir():  # looking would make it, where its disk is not mounted
        return
    state = wal_state(site)
    point = newest_point(site, state)
    if point.age is not None:
        yield Sample("desbuquei_recovery_point_age_seconds", point.age.total_seconds())
    if not isinstance(state, WalState):
        return
    if state.age is not None:
        yield Sample("desbuquei_wal_lag_seconds", state.age.total_seconds())
    yield Sample("desbuquei_wal_gaps", len(state.gaps))
    yield Sample("desbuquei_wal_waiting_segments", state.waiting)
    yield Sample("desbuquei_wal_waiting_bytes", state.waiting_bytes)
    if state.slot is not None:
        yield Sample("desbuquei_wal_slot_held_bytes", state.slot.held)


def _disk(site: Site) -> Iterator[Sample]:
    folder, now = site.settings.folder, site.now()
    if (use := disk_use(folder)) is None:
        return
    yield Sample("desbuquei_disk_used_bytes", use.used)
    yield Sample("desbuquei_disk_free_bytes", use.free)
    seen = disk_history.foreseen(folder, use, now)
    if seen is not None and seen.full_at is not None:
        yield Sample("desbuquei_disk_full_timestamp_seconds", seen.full_at.timestamp())


def _checks(site: Site) -> Iterator[Sample]:
    """By each check's last verdict: those of older backups stand before it, and are conditions alone."""
    newest = {(each.of, each.check): each for each in last_verdicts(site.settings.folder)}
    for said in newest.values():
        labels = {"asset": said.of, "check": said.check}
        yield Sample("desbuquei_check_timestamp_seconds", said.at.timestamp(), labels)
        if said.known:
            yield Sample("desbuquei_check_passed", float(not said.untrue), labels)


def _conditions(site: Site) -> Iterator[Sample]:
    lasting = alert_ledger.read(site.settings.folder).lasting
    for severity in Severity:
        count = sum(each.severity is severity for each in lasting)
        yield Sample("desbuquei_conditions", count, {"severity": severity.value})
    for each in lasting:
        labels = {"condition": each.name, "severity": each.severity.value, "subject": each.subject}
        yield Sample("desbuquei_condition", 1.0, labels)
