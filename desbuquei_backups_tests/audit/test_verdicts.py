"""A control that stays green when its evidence changes would tell an auditor what is not so."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from desbuquei_backups.audit.building import CONTROLS
from desbuquei_backups.audit.facts import Checked, Event, Facts, Question, Recorded, Source, Walked
from desbuquei_backups.audit.judging import Judging
from desbuquei_backups.audit.model import Period
from desbuquei_backups.audit.slots_due import Outcome
from desbuquei_backups.core.comparison import Verdict as Compared
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.looks import Looks
from desbuquei_backups.core.retention import Place, Verdict
from desbuquei_backups.core.slots import Slot, next_due
from desbuquei_backups.operations.pruning import Planned
from desbuquei_backups.validation import checks as validated
from desbuquei_backups_tests.audit.worlds import (
    NOW,
    PERIOD,
    POLICY,
    START,
    STORE,
    backup,
    gap,
    reported,
    said,
    verdicts,
    well,
    without,
)
from desbuquei_backups_tests.validation.test_recovery_time import recorded

DAILY = Slot.of_id("daily-2026-02-10-020000")
HOURLY = Slot.of_id("hourly-2026-02-10-130000")
OBJECTIVE = timedelta(hours=2)
Change = Callable[[Facts], Facts]


@pytest.fixture(scope="module")
def facts() -> Facts:
    """Two weeks in which all went well, under a policy whose recovery point an hourly backup can keep."""
    policy = POLICY.model_copy(update={"recovery_point_objective": OBJECTIVE})
    return well(policy=policy)


def test_where_all_was_shown_every_control_that_was_promised_holds(facts: Facts) -> None:
    found = verdicts(facts)
    assert found.pop("encryption_client_side") == "not promised"
    assert set(found.values()) == {"holds"}, found


def test_of_no_evidence_at_all_nothing_holds() -> None:
    nothing = Facts(policy=POLICY, period=PERIOD, now=NOW, since=None)
    assert "holds" not in verdicts(nothing).values()


def _unchecked(check: str) -> Change:
    return lambda facts: replace(facts, checks=[each for each in facts.checks if each.check != check])


def _untrue(check: str) -> Change:
    return lambda facts: said(facts, check, DAILY.backup_id, Compared.DIFFERS)


def _uncompared(check: str) -> Change:
    return lambda facts: said(facts, check, DAILY.backup_id, Compared.UNCOMPARED)


def _changed(**changed: object) -> Change:
    return lambda facts: replace(facts, **changed)


def _store(**changed: object) -> Change:
    return _changed(store=replace(STORE, **changed))


def _planned(due: datetime, *, keep: bool) -> Planned:
    return Planned(Place.S3, Verdict(Slot("hourly", due), keep, "older than 7 days"), 1)


TURNS: list[tuple[str, Change, str]] = [
    ("protected", _changed(since=None), "not known"),
    ("protected", _changed(other_databases=["loja"]), "not known"),
    ("protected", _changed(other_databases=None), "not known"),
    ("protected", _changed(backups={}), "does not hold"),
    ("frequency", lambda facts: without(facts, HOURLY), "does not hold"),
    ("frequency", lambda facts: without(facts, *gap(facts, START + timedelta(days=3), 7)), "does not hold"),
    ("retention", _changed(lost=["daily-2026-02-10-020000"]), "does not hold"),
    ("retention", _changed(plan=[_planned(NOW - timedelta(days=12), keep=False)]), "does not hold"),
    ("retention", _changed(plan=[_planned(NOW - timedelta(days=8), keep=False)]), "holds"),
    ("retention", _changed(plan=None, unknown={Question.RETENTION: "down"}), "not known"),
    ("encryption_in_transit", _untrue("connection_is_encrypted"), "does not hold"),
    ("encryption_in_transit", _unchecked("connection_is_encrypted"), "not known"),
    ("encryption_at_rest", _untrue("archive_is_encrypted"), "does not hold"),
    ("encryption_at_rest", _unchecked("archive_is_encrypted"), "not known"),
    ("encryption_client_side", _changed(recipients=True), "does not hold"),
    ("immutability", _store(has_lock=False), "does not hold"),
    ("immutability", _store(has_lock=None), "not known"),
    ("immutability", _store(locks={"link 900": "not locked"}), "does not hold"),
    ("off_site", _store(is_here=True), "does not hold"),
    ("off_site", _store(region=None, region_unknown="forbidden"), "not known"),
    ("off_site", _store(second="s3://elsewhere/"), "not known"),
    ("off_site", _store(second="s3://elsewhere/", behind=[DAILY.backup_id]), "does not hold"),
    ("evidence", _changed(chain=Walked(trouble="down")), "not known"),
    ("evidence", _changed(chain=Walked()), "not known"),
    ("evidence", _changed(chain=Walked(1, 9, START, 9, "a" * 64)), "not known"),
    ("evidence", _changed(chain=Walked(1, 9, START, 9, anchors=1, breaks=["link 3: altered"])), "does not hold"),
    ("integrity", _untrue("checksums_match"), "does not hold"),
    ("integrity", _uncompared("checksums_match"), "not known"),
    ("integrity", _unchecked("archive_matches_manifest"), "not known"),
    ("restorability", _untrue("content_matches"), "does not hold"),
    ("restorability", _uncompared("schema_matches"), "not known"),
    ("restorability", _unchecked("row_counts_match"), "not known"),
    ("restorability", _changed(drills=[recorded(drilled_at=NOW, faults=["bad page"])]), "does not hold"),
    ("recovery_point", lambda facts: without(facts, *gap(facts, START + timedelta(days=3), 7)), "does not hold"),
    ("recovery_point", _changed(since=None), "not known"),
    ("recovery_time", _changed(drills=[], restored=[]), "not known"),
    ("recovery_time", _changed(drills=[recorded(seconds={"to accepting connections": 1000.0})]), "does not hold"),
    ("recovery_time", _changed(drills=[recorded(present_size=100_000)]), "does not hold"),
    ("changes", _changed(events=[]), "not known"),
    ("incidents", _changed(backups={}, checks=[], since=None), "not known"),
]  # fmt: skip


@pytest.mark.parametrize(("control", "change", "verdict"), TURNS)
def test_a_control_turns_when_its_evidence_does(facts: Facts, control: str, change: Change, verdict: str) -> None:
    assert verdicts(change(facts))[control] == verdict


@pytest.mark.parametrize("control", CONTROLS)
def test_no_control_holds_without_a_backup_in_the_period(facts: Facts, control: str) -> None:
    empty = replace(facts, backups={}, checks=[], listed=frozenset(), restored=[], drills=[], events=[])
    if control not in ("immutability", "off_site", "evidence"):  # those tell of the bucket and the chain
        assert verdicts(empty)[control] != "holds"


def test_a_check_that_was_never_run_is_not_known_and_the_backup_is_named(facts: Facts) -> None:
    never = replace(facts, checks=[each for each in facts.checks if each.backup_id != DAILY.backup_id])
    control = reported(never).control("integrity")
    assert control.verdict.value == "not known"
    assert f"checksums_match was never run, as far as the chain says, of {DAILY.backup_id}" in control.exceptions


def test_a_database_that_was_never_backed_up_has_kept_no_promise(facts: Facts) -> None:
    begun = facts.period.end - timedelta(minutes=5)
    never = replace(without(facts, *facts.backups), since=begun, looks=[], now=facts.period.end)
    control = reported(never).control("recovery_point")
    assert (control.verdict, "no recovery point yet" in control.why) == ("not known", True)


def test_a_week_without_backups_is_one_gap_and_the_worst_recovery_point(facts: Facts) -> None:
    start = START + timedelta(days=3)
    report = reported(without(facts, *gap(facts, start, 7)))
    missed = "missed: hourly-2026-02-04-000000 to hourly-2026-02-10-230000 (168 slots)"
    assert missed in report.control("frequency").exceptions
    worst = "7 d 1 h at 2026-02-11 00:03 UTC, just before hourly-2026-02-11-000000 was there"
    assert worst in report.control("recovery_point").why
    assert "the newest was hourly-2026-02-03-230000" in report.control("recovery_point").why
    table = report.control("incidents").tables[0]
    (row,) = [each for each in table.rows if "hourly" in each[1]]
    assert row[3] == "2026-02-11 00:03: hourly-2026-02-11-000000 was archived"


def _looked(since: datetime, until: datetime, *, at_most: int, seen: int) -> Looks:
    return Looks(
        since=since,
        until=until,
        looks=96,
        recoverable=until - timedelta(minutes=1),
        at_most_seconds=at_most * 60,
        at_most_at=since + timedelta(hours=5, minutes=30),
        seen_seconds=seen * 60,
    )


@pytest.mark.parametrize(
    ("at_most", "seen", "verdict"), [(50, 1, "holds"), (70, 1, "not known"), (70, 61, "does not hold")]
)
def test_where_the_wal_was_looked_at_between_backups_that_decides(at_most: int, seen: int, verdict: str) -> None:
    """Hourly backups are an hour and some minutes apart; what streams in between could be recovered to, too."""
    looks = [
        _looked(day, day + timedelta(days=1), at_most=20, seen=1)
        for day in (START + timedelta(days=number) for number in range(-1, 15))
    ]
    facts = well(looks=looks)
    assert verdicts(replace(facts, looks=[]))["recovery_point"] == "does not hold"
    assert verdicts(facts)["recovery_point"] == "holds"
    day = START + timedelta(days=3)
    bad = [_looked(each.since, each.until, at_most=at_most, seen=seen) if each.since == day else each for each in looks]
    # Of one day no hourly is there either, so that nothing but the looks bounds it.
    control = reported(without(replace(facts, looks=bad), *gap(facts, day, 1))).control("recovery_point")
    assert control.verdict.value == verdict
    assert f"at most {'1 h 10' if at_most == 70 else at_most} min at 2026-02-04 05:30 UTC" in control.why
    assert control.figures == {"recovery point, worst (seconds)": at_most * 60}
    assert "looks at the WAL, as the chain says: 1,440" in control.evidence


def test_a_day_of_which_the_looks_are_lost_is_judged_by_its_backups(facts: Facts) -> None:
    day = START + timedelta(days=3)
    looks = [
        _looked(each, each + timedelta(days=1), at_most=20, seen=1)
        for each in (START + timedelta(days=number) for number in range(-1, 15))
        if each != day
    ]
    control = reported(without(replace(facts, looks=looks), *gap(facts, day, 1))).control("recovery_point")
    assert control.verdict.value == "does not hold"
    assert "1 d" in control.why


def test_a_verdict_of_no_backup_that_lasts_is_one_incident_and_over_when_it_turns(facts: Facts) -> None:
    days = [
        Checked(900 + day, START + timedelta(days=day), None, "wal", "wal_is_continuous", verdict, "a gap")
        for day, verdict in enumerate([Compared.MATCHES, *[Compared.DIFFERS] * 3, Compared.MATCHES, Compared.DIFFERS])
    ]
    report = reported(replace(facts, checks=[*facts.checks, *days]))
    first, second = report.control("incidents").tables[0].rows[::-1]
    assert first[1:] == (
        "wal: wal_is_continuous untrue: a gap",
        "by the check wal_is_continuous of wal, link 901",
        "2026-02-05 00:00: it is true now",
    )
    assert (second[0], second[3]) == ("2026-02-06 00:00", "not over")
    assert "2026-02-06 00:00 UTC: WAL was not continuous: a gap" in report.control("recovery_point").exceptions


@pytest.mark.parametrize("check", ["checksums_match", "tables_match", "objects_match", "pages_are_sound"])
def test_a_backup_that_a_check_found_unsound_is_no_recovery_point(facts: Facts, check: str) -> None:
    """Whoever lost the database then would have had the one before."""
    without_it, unsound = without(facts, HOURLY), said(facts, check, HOURLY.backup_id, Compared.DIFFERS)
    ages = [reported(each).control("recovery_point").figures for each in (without_it, unsound)]
    assert ages[0] == ages[1]


def test_what_was_due_before_protection_began_is_not_missed(facts: Facts) -> None:
    since = datetime(2026, 2, 10, 12, 30, tzinfo=UTC)
    crons = POLICY.scheduled
    later = {slot: each for slot, each in facts.backups.items() if next_due(crons[slot.tier], slot.due) > since}
    report = reported(replace(facts, since=since, backups=later))
    assert report.control("frequency").verdict.value == "holds"
    assert report.control("protected").exceptions == [
        "protected from 2026-02-10 12:30 UTC on; before that there was no promise"
    ]


def test_a_period_before_protection_began_promises_nothing_and_nothing_holds(facts: Facts) -> None:
    period = Period(START - timedelta(days=60), START - timedelta(days=30))
    found = verdicts(replace(facts, period=period))
    assert found["protected"] == found["frequency"] == found["recovery_point"] == "not known"


@pytest.mark.parametrize(
    ("minutes", "tier", "outcome"),
    [(29, "hourly", "taken"), (31, "hourly", "late"), (59, "daily", "taken"), (61, "daily", "late")],
)
def test_a_backup_is_late_after_an_hour_or_half_its_interval(
    facts: Facts, minutes: int, tier: str, outcome: str
) -> None:
    slot = {"hourly": HOURLY, "daily": DAILY}[tier]
    late = backup(slot, taken_at=slot.due + timedelta(minutes=minutes))
    dues = Judging(replace(facts, backups={**facts.backups, slot: late})).dues
    assert [due.outcome.value for due in dues[tier] if due.slot == slot] == [outcome]


def test_a_slot_left_out_on_purpose_is_named_and_not_missed(facts: Facts) -> None:
    left = without(replace(facts, recorded={HOURLY: Recorded("skipped", None, "the egress budget is spent")}), HOURLY)
    control = reported(left).control("frequency")
    assert control.verdict.value == "holds"
    assert f"left out on purpose: {HOURLY.backup_id}: the egress budget is spent" in control.exceptions


def test_a_slot_whose_time_is_not_over_is_open(facts: Facts) -> None:
    last = Slot("hourly", NOW.replace(minute=0))
    assert Judging(without(facts, last)).dues["hourly"][-1].outcome is Outcome.OPEN


def test_where_neither_chain_nor_bucket_answers_a_slot_is_not_called_missed(facts: Facts) -> None:
    blind = replace(facts, backups={}, checks=[], listed=None, chain=Walked(trouble="down"))
    assert verdicts(blind)["frequency"] == "not known"


def test_a_failure_that_was_mended_is_over_and_one_that_was_not_is_named(facts: Facts) -> None:
    name = "archive_matches_manifest"
    first = said(facts, name, DAILY.backup_id, Compared.DIFFERS, "1 differ")
    mended = replace(first, checks=[*first.checks, *(each for each in facts.checks if each.check == name)])
    (row,) = reported(mended).control("incidents").tables[0].rows
    assert "it is true now" in row[3]
    last = max((slot for slot in facts.backups if slot.tier == "daily"), key=lambda slot: slot.due)
    control = reported(said(facts, name, last.backup_id, Compared.DIFFERS)).control("incidents")
    assert control.verdict.value == "does not hold"
    assert last.backup_id in control.why


def test_an_attempt_that_only_the_records_tell_of_is_an_incident(facts: Facts) -> None:
    failed = {DAILY: Recorded("failed", DAILY.due, "connection lost", "second_archive")}
    (row,) = reported(replace(facts, recorded=failed)).control("incidents").tables[0].rows
    assert row[1] == f"{DAILY.backup_id}: failed in second_archive: connection lost"


def test_a_manual_backup_without_a_name_or_a_reason_does_not_pass(facts: Facts) -> None:
    slot = Slot.of_id("manual-2026-02-10-101010")
    asked = {**facts.backups, slot: backup(slot, operator="Ana", reason="antes da migração")}
    assert verdicts(replace(facts, backups=asked))["changes"] == "holds"
    nameless = {**facts.backups, slot: backup(slot, operator="Ana")}
    control = reported(replace(facts, backups=nameless)).control("changes")
    assert control.verdict.value == "does not hold"
    assert slot.backup_id in control.why


def test_a_verification_that_found_something_not_whole_is_no_integrity(facts: Facts) -> None:
    found = Event(800, NOW - timedelta(days=1), Kind.VERIFIED, None, f"1 verified, not whole: {DAILY.backup_id} in s3")
    assert verdicts(replace(facts, events=[*facts.events, found]))["integrity"] == "does not hold"


def test_wal_between_recovery_points_leaves_a_little_more_than_promised_open(facts: Facts) -> None:
    """With dumps it is too much; with WAL in between, what was lost at most was less, and nobody wrote it down."""
    policy = POLICY.model_copy(update={"recovery_point_objective": timedelta(hours=1)})
    dumps = replace(facts, policy=policy)
    assert verdicts(dumps)["recovery_point"] == "does not hold"
    wal = {slot: replace(each, wal=slot.tier == "hourly") for slot, each in facts.backups.items()}
    only = {slot: each for slot, each in wal.items() if each.wal}
    assert verdicts(replace(dumps, backups=only))["recovery_point"] == "not known"
    missed = {slot: each for slot, each in only.items() if not START < slot.due < START + timedelta(hours=5)}
    assert verdicts(replace(dumps, backups=missed))["recovery_point"] == "does not hold"


def test_the_report_says_what_was_compared_and_whether_signatures_were(facts: Facts) -> None:
    def told(**changed: int) -> str:
        walked = replace(facts.chain, checks=7, proofs=5, drills=3, **changed)
        return "\n".join(reported(replace(facts, chain=walked)).control("evidence").evidence)

    assert "7 files of check results, 5 proofs, 3 drills" in told()
    assert "no signature was verified: DESBUQUEI_PUBLIC_KEYS names no key" in told()
    assert "keys that may sign: 1; links with a good signature: 12" in told(keys=1, signed=12)


def test_a_backup_that_only_the_records_know_is_said_to_be_outside_of_the_chain(facts: Facts) -> None:
    known = {**facts.backups, DAILY: backup(DAILY, source=Source.RECORDS, link=None)}
    report = reported(replace(facts, backups=known))
    assert f"the chain does not have: {DAILY.backup_id}" in report.control("evidence").exceptions
    named = f"known by the records on the host alone, not by the chain: {DAILY.backup_id}"
    assert named in report.control("frequency").exceptions


def test_the_checks_bear_the_names_that_validation_gives_them() -> None:
    """By another name nothing would ever be found, and everything be not known."""
    from desbuquei_backups.audit import judging

    named = {value[1] for value in vars(judging).values() if isinstance(value, tuple) and len(value) == 2}
    named |= {name for _, name in judging.RESTORED}
    assert named <= validated.DESCRIPTIONS.keys()
    assert len(named) >= 10
    assert [name for _, name in judging.RESTORED] == list(validated.RESTORED_COPY_CHECKS)
