"""Whether what would be lost now is within what was promised, and whether the WAL is whole and its slot no danger."""

from collections.abc import Iterator

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.operations.noticing import noticed
from desbuquei_backups.operations.recovery_point import NewestPoint, by_backups, newest_point, reached
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.slot_safety import is_urgent, slot_safety
from desbuquei_backups.operations.wal_findings import continuity
from desbuquei_backups.operations.wal_slot import Refused
from desbuquei_backups.operations.wal_state import WalState, wal_state

# Where max_slot_wal_keep_size lets a slot hold anything, so many bytes of it are too much.
_MUCH, _TOO_MUCH = 10_000_000_000, 50_000_000_000


def recovery_conditions(site: Site) -> Iterator[Condition]:
    """A stale recovery point, a promise that the schedule cannot keep, a gap in the WAL, a slot that holds it back.

    BackupError after what the records alone tell, where the WAL could not be looked at.
    """
    try:
        state = wal_state(site)
    except BackupError:
        # An outage that takes longer than was promised is a breach, whatever it is an outage of.
        yield from _stale(site, by_backups(site, "S3 could not be asked, the records stand for it"))
        raise
    yield from _stale(site, newest_point(site, state))
    if isinstance(state, Refused):
        yield from _out_of_reach(site)
    else:
        yield from _slot(site, state)
        yield from _gaps(site, state)


def _stale(site: Site, point: NewestPoint) -> Iterator[Condition]:
    if point.late and point.age is not None:
        yield noticed(
            site,
            Severity.CRITICAL,
            "recovery_point_stale",
            f"the newest recovery point is {in_words(point.age)} old, promised: {in_words(point.objective)}",
            f"{point.of}; {point.why}",
            since=site.now() - point.age + point.objective,
            tried="every due slot is tried again while it is open",
            command="desbuquei backup manual --reason 'recovery point stale'  # desbuquei status says what is held up",
        )


def _out_of_reach(site: Site) -> Iterator[Condition]:
    at_best, promised = reached(site), site.policy.recovery_point_objective
    if at_best is not None and at_best > promised:
        yield noticed(
            site,
            Severity.WARNING,
            "recovery_point_out_of_reach",
            f"without WAL the newest backup gets up to {in_words(at_best)} old, promised: {in_words(promised)}",
            "the policy's schedule",
            command="desbuquei doctor  # says what keeps the server from giving WAL; or promise what can be kept",
        )


def _slot(site: Site, state: WalState) -> Iterator[Condition]:
    slot = state.slot
    if slot is None and state.newest is None:  # nobody ever asked for WAL
        return
    name = slot.name if slot is not None else "the replication slot"
    wrong = [f"{each.subject}: {each.why}" for each in slot_safety(slot) if each.verdict is Verdict.DIFFERS]
    urgent = is_urgent(slot)
    if slot is not None and slot.most is None and slot.held >= _MUCH:
        wrong = [f"it holds back {slot.held / 1e9:,.0f} GB of WAL, and may fill the database's disk"]
        urgent = slot.held >= _TOO_MUCH
    if wrong:
        yield noticed(
            site,
            Severity.CRITICAL if urgent else Severity.WARNING,
            "slot_holds_wal",
            f"{name}: {wrong[0]}",
            name,
            tried="every hourly run reads it",
            command="desbuquei wal drain  # once; desbuquei wal stream reads it all the time",
        )


def _gaps(site: Site, state: WalState) -> Iterator[Condition]:
    if state.newest is None:  # the first run that brings it is yet to come, or is late, which the age tells
        return
    of_slot = {each.subject for each in slot_safety(state.slot)}
    wrong = [each for each in continuity(state) if each.verdict is Verdict.DIFFERS and each.subject not in of_slot]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        yield noticed(
            site,
            Severity.CRITICAL,
            "wal_not_continuous",
            f"the WAL in S3 does not lead to now: {wrong[0].subject}: {wrong[0].why}{more}",
            "the WAL in S3",
            tried="every hourly run asks the server for what is missing",
            command="desbuquei backup manual --reason 'gap in the WAL'  # begins anew; desbuquei wal status says more",
        )
