"""Retention: whatever succeeded or failed, what the policy promises is still there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.retention import Backup, Place, Verdict, kept_for, verdicts
from desbuquei_backups.core.slots import Slot, due_before
from desbuquei_backups.core.tiers import load_policy

POLICY = load_policy()
NOW = datetime(2026, 2, 2, 2, 30, tzinfo=UTC)
PLACES = st.sampled_from(Place)


def slots(tier: str, count: int, before: datetime = NOW) -> list[Slot]:
    """The newest so many slots of a tier, newest first."""
    dues = due_before(POLICY.scheduled[tier], before)
    return [Slot(tier, next(dues)) for _ in range(count)]


def backup(slot: Slot, **changed: object) -> Backup:
    return replace(Backup(slot, slot.due + timedelta(minutes=1)), **changed)  # type: ignore[arg-type]


def said(backups: list[Backup], place: Place = Place.S3, now: datetime = NOW) -> dict[str, Verdict]:
    return {each.backup_id: each for each in verdicts(backups, POLICY, now, place)}


@pytest.mark.parametrize(
    ("tier", "place", "kept"),
    [
        ("hourly", Place.S3, 7 * 24),
        ("hourly", Place.DISK, 24),
        ("daily", Place.S3, 30),
        ("daily", Place.DISK, 7),
        ("weekly", Place.S3, 12),
        ("monthly", Place.S3, 12),
        ("quarterly", Place.S3, 28),
    ],
)
def test_of_a_tier_without_a_failure_what_its_period_says_is_kept(tier: str, place: Place, kept: int) -> None:
    found = verdicts([backup(slot) for slot in slots(tier, 200)], POLICY, NOW, place)
    assert [each.keep for each in found] == [True] * kept + [False] * (200 - kept)
    assert found[-1].reason == f"older than {kept_for(POLICY.tier(tier), place)}"


def test_backups_that_fail_for_a_year_leave_the_last_good_ones() -> None:
    last_year = slots("daily", 40, NOW - timedelta(days=365))
    found = said([backup(slot) for slot in last_year])
    kept = [each for each in found.values() if each.keep]
    assert [each.slot for each in kept] == last_year[:7]
    assert kept[0].reason == "one of the 7 that are always kept"


def test_failed_backups_do_not_count_as_those_that_are_always_kept() -> None:
    old = slots("daily", 20, NOW - timedelta(days=365))
    found = said([backup(slot, good=number >= 10) for number, slot in enumerate(old)])
    assert [slot for slot in old if found[slot.backup_id].keep] == old[10:17]


def test_the_newest_restorable_is_kept_though_no_tier_keeps_any() -> None:
    (slot,) = [Slot("manual", NOW - timedelta(days=400))]
    assert said([backup(slot)])[slot.backup_id].reason == "the newest restorable of all"
    assert not said([backup(slot, good=False)])[slot.backup_id].keep


def test_what_another_one_needs_is_kept_through_any_number_of_steps() -> None:
    new, old = slots("hourly", 1)[0], slots("hourly", 3, NOW - timedelta(days=90))
    others = [backup(slot) for slot in slots("hourly", 30)[1:]]
    chain = [backup(new, needs=(old[0],)), backup(old[0], needs=(old[1],)), backup(old[1]), backup(old[2])]
    found = said([*chain, *others])
    assert found[old[0].backup_id].reason == f"{new.backup_id} needs its files"
    assert found[old[1].backup_id].reason == f"{old[0].backup_id} needs its files"
    assert not found[old[2].backup_id].keep


def test_what_is_protected_is_kept_and_says_why() -> None:
    old = slots("daily", 20, NOW - timedelta(days=365))
    found = said([backup(slot, protected="locked until 2033-01-01" if n == 19 else None) for n, slot in enumerate(old)])
    assert found[old[19].backup_id].reason == "locked until 2033-01-01"


def test_tiers_that_the_policy_does_not_know_are_kept() -> None:
    slot = Slot("yearly", datetime(1999, 1, 1, tzinfo=UTC))
    assert said([backup(slot)])[slot.backup_id].reason.startswith("the policy has no tier yearly")


def test_a_clock_that_ran_ahead_costs_no_backup() -> None:
    ahead = Slot("daily", NOW + timedelta(days=300))
    assert said([backup(ahead)])[ahead.backup_id].keep


def test_the_open_slot_is_never_pruned_on_disk() -> None:
    late = datetime(2026, 2, 2, 1, 59, tzinfo=UTC)
    open_slot = Slot("hourly", datetime(2026, 2, 2, 1, tzinfo=UTC))
    assert said([backup(open_slot)], Place.DISK, late)[open_slot.backup_id].reason == "its slot is open"


@st.composite
def histories(draw: st.DrawFn) -> list[Backup]:
    """What is left of years of backups: some missing, some failed, some naming an older one's files."""
    made: list[Backup] = []
    for tier in POLICY.scheduled:
        for slot in slots(tier, draw(st.integers(0, 60)), NOW - timedelta(hours=draw(st.integers(0, 24 * 500)))):
            fate = draw(st.sampled_from(["good", "good", "good", "failed", "missing"]))
            if fate != "missing":
                made.append(backup(slot, good=fate == "good"))
    made.sort(key=lambda each: each.slot.due)
    for number in draw(st.lists(st.integers(1, len(made) - 1), max_size=5)) if len(made) > 1 else []:
        made[number] = replace(made[number], needs=(made[draw(st.integers(0, number - 1))].slot,))
    return made


@given(histories(), PLACES)
def test_what_the_policy_promises_is_still_there(history: list[Backup], place: Place) -> None:
    found = {each.slot: each for each in verdicts(history, POLICY, NOW, place)}
    assert found.keys() == {each.slot for each in history}
    assert all(each.reason for each in found.values())
    kept = [each for each in history if found[each.slot].keep]
    for each in history:
        period = kept_for(POLICY.tier(each.slot.tier), place)
        if period is not None and period.before(NOW) <= each.slot.due:
            assert found[each.slot].keep
    for name, tier in POLICY.tiers.items():
        if kept_for(tier, place) is not None:
            good = sorted(each.slot for each in history if each.good and each.slot.tier == name)
            floor = good[-tier.never_fewer_than :] if tier.never_fewer_than else []
            assert set(floor) <= {each.slot for each in kept}
    if good_ones := [each for each in history if each.good]:
        assert found[max(good_ones, key=lambda each: (each.taken_at, each.slot)).slot].keep
    there = {each.slot for each in history}
    for each in kept:
        assert all(found[needed].keep for needed in each.needs if needed in there)


@given(histories(), PLACES)
def test_a_second_look_finds_nothing_more_to_prune(history: list[Backup], place: Place) -> None:
    found = {each.slot: each for each in verdicts(history, POLICY, NOW, place)}
    left = [each for each in history if found[each.slot].keep]
    assert all(each.keep for each in verdicts(left, POLICY, NOW, place))


@given(histories(), PLACES, st.integers(0, 24 * 400))
def test_what_may_go_now_may_go_later(history: list[Backup], place: Place, hours: int) -> None:
    now = {each.slot: each for each in verdicts(history, POLICY, NOW, place)}
    later = {each.slot: each for each in verdicts(history, POLICY, NOW + timedelta(hours=hours), place)}
    assert all(not later[slot].keep for slot, each in now.items() if not each.keep)
