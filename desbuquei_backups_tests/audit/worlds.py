"""Facts of a database whose backups all went well, so that a test changes one thing and sees what becomes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from desbuquei_backups.audit.building import CONTROLS, build
from desbuquei_backups.audit.clauses import load_clauses
from desbuquei_backups.audit.facts import Backup, Checked, Event, Facts, Restored, Source, Store, Walked
from desbuquei_backups.audit.judging import RESTORED
from desbuquei_backups.audit.model import Period, Report
from desbuquei_backups.core.comparison import Verdict as Compared
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.slots import Slot, next_due
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups_tests.validation.test_recovery_time import recorded

POLICY = load_policy()
NOW = datetime(2026, 2, 15, 5, 30, tzinfo=UTC)
START = datetime(2026, 2, 1, tzinfo=UTC)
PERIOD = Period(START, NOW)
STORE = Store(
    "s3://backups/",
    "sa-east-1",
    None,
    is_here=False,
    has_lock=True,
    locks={"link 900 of the chain of evidence": "locked until 2033-02-15"},
)
_STEPS = {
    "dump": ("dump_is_complete", "checksums_match", "connection_is_encrypted"),
    "s3_archive": ("archive_matches_manifest", "archive_is_encrypted", "connection_is_encrypted"),
    "restored_copy": tuple(name for _, name in RESTORED),
}


def well(period: Period = PERIOD, now: datetime = NOW, **changed: Any) -> Facts:
    """A period in which every slot of every tier was filled, checked, archived and restored, and a drill was made."""
    backups = {slot: backup(slot) for slot in slots(period.start - timedelta(days=1), period.end)}
    values: dict[str, Any] = {
        "policy": POLICY,
        "period": period,
        "now": now,
        "since": period.start - timedelta(days=1),
        "chain": Walked(1, 900, period.start, 900, "a" * 64, anchors=2, manifests=len(backups), whole_at=now),
        "backups": backups,
        "checks": list(checks(backups.values())),
        "events": [Event(1, period.start, Kind.POLICY, None, "the policy is known from here on: 6 tiers")],
        "recorded": {},
        "store": STORE,
        "listed": frozenset(backups),
        "plan": [],
        "drills": [recorded(drilled_at=period.start + timedelta(days=1))],
        "restored": [Restored(each.backup_id, each.available_at, 42.0) for each in backups.values() if each.tables],
        "on_disk": frozenset(),
        "other_databases": [],
    }
    return Facts(**values | changed)


def slots(start: datetime, end: datetime) -> Iterator[Slot]:
    for name, cron in POLICY.scheduled.items():
        due = next_due(cron, start - timedelta(seconds=1))
        while due < end:
            yield Slot(name, due)
            due = next_due(cron, due)


def backup(slot: Slot, **changed: Any) -> Backup:
    """One that was taken a minute after it was due, and archived two minutes later."""
    values: dict[str, Any] = {
        "taken_at": slot.due + timedelta(minutes=1),
        "archived": True,
        "archived_at": slot.due + timedelta(minutes=3),
        "size": 50_000_000 + int(slot.due.timestamp() // 3600 % 10_000) * 1000,
        "seconds": 12.0,
        "rows": 1000,
        "tables": 3,
        "link": 2,
    }
    return Backup(slot, **{"source": Source.CHAIN, **values, **changed})


def checks(backups: Any) -> Iterator[Checked]:
    """All of them true, in the order in which they are said."""
    link = 2
    for each in sorted(backups, key=lambda one: (one.slot.due, one.slot.tier)):
        for step, names in _STEPS.items():
            link += 1
            for name in names:
                yield Checked(link, each.available_at, each.backup_id, step, name, Compared.MATCHES, "3 match")


def without(facts: Facts, *gone: Slot) -> Facts:
    """The same, had those slots never been filled."""
    ids = {slot.backup_id for slot in gone}
    return replace(
        facts,
        backups={slot: each for slot, each in facts.backups.items() if slot not in gone},
        checks=[each for each in facts.checks if each.backup_id not in ids],
        listed=frozenset(facts.listed or ()) - set(gone),
        restored=[each for each in facts.restored if each.backup_id not in ids],
    )


def said(facts: Facts, check: str, backup_id: str, verdict: Compared, summary: str = "1 differ") -> Facts:
    """The same, had that check of that backup come out so."""
    changed = [
        replace(each, verdict=verdict, summary=summary) if (each.check, each.backup_id) == (check, backup_id) else each
        for each in facts.checks
    ]
    return replace(facts, checks=changed)


def reported(facts: Facts) -> Report:
    return build(facts, load_clauses(None, CONTROLS))


def verdicts(facts: Facts) -> dict[str, str]:
    """By the name of each control."""
    return {each.name: each.verdict.value for each in reported(facts).controls}


def gap(facts: Facts, start: datetime, days: int) -> Sequence[Slot]:
    """The slots that fell due in so many days."""
    return [slot for slot in facts.backups if start <= slot.due < start + timedelta(days=days)]
