"""What is wrong, and what is not: a person is called for the one, and never for the other."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import StoreUnreachable
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.operations import conditions_recovery, drill_record, last_verdicts, records
from desbuquei_backups.operations.conditions_checks import check_conditions
from desbuquei_backups.operations.conditions_drill import drill_conditions
from desbuquei_backups.operations.conditions_recovery import recovery_conditions
from desbuquei_backups.operations.conditions_second import second_conditions
from desbuquei_backups.operations.drill_record import DrillRecord
from desbuquei_backups.operations.protection import protected_since
from desbuquei_backups.operations.recovery_point import newest_point
from desbuquei_backups.operations.settings import SECOND_S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_state import WalState
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.operations.test_wal_state import forget, segments, state_of, with_base
from desbuquei_backups_tests.operations.wal import SLOT, drained, write

HOUR = timedelta(hours=1)


def names(found: Sequence[Condition]) -> list[str]:
    return [each.name for each in found]


def recorded(site: Site, *taken: datetime, tier: str = "hourly", **changed: object) -> None:
    """Backups that the records call archived."""
    site.settings.folder.mkdir(exist_ok=True)
    with (site.settings.folder / records.FILE).open("a") as file:
        for at in taken:
            line = {"backup_id": f"{tier}-{at:%Y-%m-%d-%H}0000", "backup_type": tier, "status": "success"}
            told = {"s3_uri": "s3://b/k", "backup_timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
            file.write(json.dumps({**line, **told, **changed}) + "\n")


def test_wal_that_comes_in_is_nothing_to_tell_and_a_segment_that_is_lost_is(wal_site, own_server, clock) -> None:
    with own_server.connect() as connection:  # as the first base backup does, an hour before the first WAL comes
        connection.execute(f"select pg_create_physical_replication_slot('{SLOT}', immediately_reserve => true)")
    assert list(recovery_conditions(wal_site)) == []
    write(own_server, 4)
    drained(wal_site)
    have = segments(wal_site)
    with_base(wal_site, clock.now, have[0].start)
    assert list(recovery_conditions(wal_site)) == []
    forget(wal_site, have[2])
    (found,) = recovery_conditions(wal_site)
    assert (found.name, found.severity) == ("wal_not_continuous", Severity.CRITICAL)
    assert have[2].name in found.what
    assert found.command.startswith("desbuquei backup manual --reason")


@pytest.mark.parametrize(
    ("held", "most", "severity"),
    [
        (100, 1_000, None),
        (500, 1_000, Severity.WARNING),
        (800, 1_000, Severity.CRITICAL),
        (9_000, None, None),
        (10_000, None, Severity.WARNING),
        (50_000, None, Severity.CRITICAL),
    ],
)
def test_a_slot_that_holds_back_wal_is_told_before_it_fills_the_database_s_disk(
    wal_site, own_server, clock, monkeypatch, held, most, severity
) -> None:
    write(own_server, 1)
    drained(wal_site)
    with_base(wal_site, clock.now, segments(wal_site)[0].start)
    state = state_of(wal_site)
    assert state.slot is not None
    megabyte = 1_000_000
    slot = replace(state.slot, held=held * megabyte, most=None if most is None else most * megabyte)
    monkeypatch.setattr(conditions_recovery, "wal_state", lambda site: replace(state, slot=slot))
    found = list(recovery_conditions(wal_site))
    assert [(each.name, each.severity) for each in found] == ([("slot_holds_wal", severity)] if severity else [])


@pytest.mark.parametrize("late", [timedelta(minutes=70), timedelta(minutes=71)])
def test_wal_that_is_late_is_stale_after_the_objective_and_ten_minutes(
    wal_site, own_server, clock, monkeypatch, late
) -> None:
    drained(wal_site)
    state: WalState = state_of(wal_site)
    monkeypatch.setattr(conditions_recovery, "wal_state", lambda site: replace(state, age=late))
    stale = [each for each in recovery_conditions(wal_site) if each.name == "recovery_point_stale"]
    assert len(stale) == (late > timedelta(minutes=70))
    for each in stale:
        assert each.what == f"the newest recovery point is {in_words(late)} old, promised: 1 h"
        assert each.since == clock.now - timedelta(minutes=11)


@pytest.mark.usefixtures("no_wal")
@pytest.mark.parametrize(("minutes", "stale"), [(59, False), (70, False), (84, False), (86, True)])
def test_where_the_server_gives_no_wal_the_newest_archived_backup_tells(site, clock, minutes, stale) -> None:
    recorded(site, clock.now - timedelta(minutes=minutes), clock.now - timedelta(hours=9))
    recorded(site, clock.now, s3_uri=None)  # it is not archived: it saves nobody
    found = names(list(recovery_conditions(site)))
    assert ("recovery_point_stale" in found) is stale
    point = newest_point(site)
    assert point.age == timedelta(minutes=minutes)
    assert point.finding().verdict.value == ("matches" if minutes <= 60 else "does not match")


@pytest.mark.usefixtures("no_wal")
def test_where_no_backup_ever_came_into_s3_that_is_told_too(site, clock) -> None:
    protected_since(site.settings, clock.now)
    assert list(recovery_conditions(site)) == []
    clock.pass_by(hours=2)
    assert names(list(recovery_conditions(site))) == ["recovery_point_stale"]


@pytest.mark.usefixtures("no_wal")
def test_a_promise_that_the_schedule_cannot_keep_is_a_warning_once_a_dump_tells_how_long_it_takes(site, clock) -> None:
    recorded(site, clock.now, dump_bytes=10**9, egress_bytes=10**9, duration_seconds=120)
    (found,) = recovery_conditions(site)
    assert (found.name, found.severity) == ("recovery_point_out_of_reach", Severity.WARNING)
    assert "promised: 1 h" in found.what


def test_while_s3_is_down_for_longer_than_was_promised_the_records_tell(site, make_site, source_url, clock) -> None:
    down = make_site(
        source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}", "AWS_MAX_ATTEMPTS": "1"}
    )
    recorded(down, clock.now - 3 * HOUR)
    found: list[Condition] = []
    with pytest.raises(StoreUnreachable):
        found.extend(recovery_conditions(down))
    assert names(found) == ["recovery_point_stale"]


def test_lost_records_make_no_alarm_while_the_bucket_has_the_backups(wal_site, own_server, clock, monkeypatch) -> None:
    drained(wal_site)
    state = state_of(wal_site)
    with_base(wal_site, clock.now - HOUR / 2, segments(wal_site)[0].start)
    point = newest_point(wal_site, replace(state, newest=None))
    assert point.age == HOUR / 2
    assert point.of.startswith("daily-2026-02-02")


def drill(at: datetime, *, seconds: float = 60, faults: Sequence[str] = ()) -> DrillRecord:
    return DrillRecord(
        drilled_at=at,
        place="S3",
        target="latest",
        backup_id="daily-2026-02-02-020000",
        system_identifier="7",
        server_version="17.10",
        reached="0/3000000",
        committed_at=None,
        timeline=1,
        base_size=1,
        wal_size=1,
        present_size=None,
        seconds={drill_record.ACCEPTING: seconds},
        databases=[],
        dumped_rows={},
        checked=[],
        unchecked=[],
        faults=list(faults),
        notes=[],
    )


def test_a_drill_that_was_not_done_is_told_a_day_after_it_was_due_until_it_is_done(wal_site, own_server, clock) -> None:
    protected_since(wal_site.settings, clock.now)
    drained(wal_site)
    with_base(wal_site, clock.now, segments(wal_site)[0].start)
    clock.now = datetime.fromisoformat("2026-03-02T04:59:00Z")
    assert list(drill_conditions(wal_site)) == []
    clock.pass_by(minutes=1)
    (found,) = drill_conditions(wal_site)
    assert (found.name, found.command) == ("drill_overdue", "desbuquei drill")
    assert found.what == "the recovery drill due on 2026-03-01 was not done; there was none yet"
    drill_record.keep(wal_site, drill(clock.now))
    assert list(drill_conditions(wal_site)) == []
    clock.now = datetime.fromisoformat("2026-04-02T05:00:00Z")
    (found,) = drill_conditions(wal_site)
    assert "the last one was on 2026-03-02" in found.what


def test_where_there_is_nothing_to_recover_from_no_drill_is_missed(site, clock) -> None:
    protected_since(site.settings, clock.now)
    clock.pass_by(days=90)
    assert list(drill_conditions(site)) == []


@pytest.mark.parametrize(
    ("shown", "severity"),
    [
        ({"seconds": 899.0}, None),
        ({"seconds": 901.0}, Severity.WARNING),
        ({"faults": ["app: 3 rows are missing"]}, Severity.CRITICAL),
    ],
)
def test_what_a_drill_showed_is_told_until_the_next_one(site, clock, shown, severity) -> None:
    site.settings.folder.mkdir()
    drill_record.keep(site, drill(clock.now, **shown))
    assert [each.severity for each in drill_conditions(site)] == ([severity] if severity else [])


def judged(site: Site, backup_id: str | None, verdict: str, of: str = "hourly/dump", check: str = "a_is_b") -> None:
    last_verdicts.remember(site, of, backup_id, [{"check": check, "verdict": verdict, "summary": "1 differ"}])


def test_an_untrue_check_lasts_until_a_newer_backup_s_is_true(site, clock) -> None:
    judged(site, "hourly-2026-02-02-020000", "does not match")
    (first,) = check_conditions(site)
    assert first.since == clock.now
    clock.pass_by(hours=1)
    judged(site, "hourly-2026-02-02-030000", "does not match")
    (second,) = check_conditions(site)
    assert second.name == first.name == "check_untrue/hourly/dump/a_is_b"  # one state, told once
    judged(site, "hourly-2026-02-02-040000", "could not be compared")  # which mends nothing
    assert len(list(check_conditions(site))) == 1
    judged(site, "hourly-2026-02-02-050000", "matches")
    assert list(check_conditions(site)) == []


def test_an_old_backup_that_turned_out_bad_is_not_forgotten_for_a_newer_one_that_is_good(site, clock) -> None:
    old, new = "quarterly-2026-01-01-020000", "quarterly-2026-04-01-020000"
    recorded(site, datetime.fromisoformat("2026-01-01T02:00:00Z"), tier="quarterly")
    judged(site, new, "matches", "quarterly/restored_copy")
    judged(site, old, "does not match", "quarterly/restored_copy")
    judged(site, new, "matches", "quarterly/restored_copy")
    (found,) = check_conditions(site)
    assert (found.name, found.command) == (f"check_untrue/{old}/a_is_b", f"desbuquei verify {old} --remote")
    judged(site, old, "matches", "quarterly/restored_copy")
    assert list(check_conditions(site)) == []


def test_what_was_pruned_or_is_of_no_tier_any_more_is_no_longer_wrong(site, clock) -> None:
    recorded(site, datetime.fromisoformat("2026-01-01T02:00:00Z"), tier="quarterly", status="pruned")
    judged(site, "quarterly-2026-04-01-020000", "matches", "quarterly/dump")
    judged(site, "quarterly-2026-01-01-020000", "does not match", "quarterly/dump")
    judged(site, "yearly-2026-01-01-020000", "does not match", "yearly/dump")
    judged(site, None, "does not match", "evidence_anchor", "evidence_is_unbroken")
    (found,) = check_conditions(site)
    assert (found.name, found.command) == (
        "check_untrue/evidence_anchor/evidence_is_unbroken",
        "desbuquei audit verify",
    )


def test_damaged_verdicts_are_no_alarm_and_are_written_anew(site, clock, caplog) -> None:
    judged(site, "hourly-2026-02-02-020000", "does not match")
    (site.settings.folder / last_verdicts.FILE).write_bytes(b"{")
    assert list(check_conditions(site)) == []
    assert "cannot be read" in caplog.text
    judged(site, "hourly-2026-02-02-020000", "does not match")
    assert len(list(check_conditions(site))) == 1


def test_a_second_place_that_lacks_the_newest_backup_after_an_hour_is_told(make_site, source_url, clock) -> None:
    both = make_site(source_url, urls={SECOND_S3_URL: f"s3://elsewhere-{free_port()}/backups"})
    recorded(both, clock.now - 2 * HOUR)
    (found,) = second_conditions(both)
    assert (found.name, found.severity) == ("second_place_behind", Severity.WARNING)
    assert list(second_conditions(make_site(source_url))) == []


def test_a_kept_copy_that_is_wrong_is_told_with_the_command_that_restores_what_is_due(site) -> None:
    judged(site, None, "does not match", "reproof", "kept_copies_match")
    (found,) = check_conditions(site)
    assert (found.name, found.command) == ("check_untrue/reproof/kept_copies_match", "desbuquei prove --due")
