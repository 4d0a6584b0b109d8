"""When something is tried again by itself: not twice at once, not in vain for ever, not what only a person mends."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.reruns import MOST_ATTEMPTS, Action, Ended, Run, decide, pause

_NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_MISSING = ("s3_archive", "restored_copy")


def run(ended: Ended, *, minutes_ago: float = 1000, again: bool = True, steps: tuple[str, ...] | None = None) -> Run:
    at = _NOW - timedelta(minutes=minutes_ago)
    return Run(f"{ended.name}-{minutes_ago}", ended, at, None if steps is None else frozenset(steps), again)


def decided(*runs: Run, changed: datetime = _LONG_AGO, open_for: timedelta | None = None):
    return decide(_MISSING, runs, now=_NOW, changed=changed, open_for=open_for)


def test_what_nobody_was_at_is_asked_for():
    assert (decided().action, decided().attempt, decided().after) == (Action.ASK, 1, None)


@pytest.mark.parametrize("before", [[], [run(Ended.FAILED)], [run(Ended.FOR_GOOD)]])
def test_what_a_run_is_at_is_left_alone(before):
    assert decided(run(Ended.UNDER_WAY), *before).action is Action.WAIT
    assert decided(*before, run(Ended.UNDER_WAY)).action is Action.WAIT


def test_pauses_grow_and_are_never_longer_than_six_hours():
    lengths = [pause(tried) for tried in range(1, MOST_ATTEMPTS + 1)]
    assert lengths[:4] == [timedelta(minutes=minutes) for minutes in (5, 10, 20, 40)]
    assert lengths == sorted(lengths)
    assert lengths[-1] == timedelta(hours=6)


def test_an_hour_that_begins_with_an_outage_is_tried_to_its_end():
    hour = timedelta(hours=1)
    tried, at = 1, timedelta()
    while at + pause(tried, hour) < hour:
        at += pause(tried, hour)
        tried += 1
    assert tried >= 6
    assert hour - at <= timedelta(minutes=10)


@pytest.mark.parametrize(("minutes_ago", "action"), [(4, Action.WAIT), (5, Action.ASK)])
def test_what_failed_is_tried_again_after_a_pause(minutes_ago, action):
    found = decided(run(Ended.FAILED, minutes_ago=minutes_ago, again=False))
    assert found.action is action
    assert found.attempt == (2 if action is Action.ASK else 1)


@pytest.mark.parametrize("ended", [Ended.FOR_GOOD, Ended.STOPPED])
def test_what_only_a_person_mends_calls_one_at_once_until_something_was_changed(ended):
    failed = run(ended, minutes_ago=1)
    assert decided(failed).action is Action.CALL
    again = decided(failed, changed=_NOW)
    assert (again.action, again.after) == (Action.ASK, failed.run_id)
    assert decided(run(ended, minutes_ago=0), failed, changed=_NOW - timedelta(seconds=30)).action is Action.CALL


def test_a_person_who_ran_it_again_gives_it_all_its_attempts_back():
    used_up = [run(Ended.FAILED, minutes_ago=1000 + number) for number in range(MOST_ATTEMPTS)]
    assert decided(*used_up).action is Action.CALL
    by_hand = run(Ended.FAILED, minutes_ago=10, again=False)
    assert (decided(by_hand, *used_up).action, decided(by_hand, *used_up).attempt) == (Action.ASK, 2)


def test_a_run_that_went_well_without_what_is_missing_did_what_could_be_done():
    assert decided(run(Ended.SUCCEEDED)).action is Action.LEAVE
    assert decided(run(Ended.SUCCEEDED, steps=_MISSING)).action is Action.LEAVE
    assert decided(run(Ended.SUCCEEDED, steps=("restored_copy",))).action is Action.ASK


def test_a_clock_that_went_back_does_not_make_it_wait_for_the_future():
    assert decided(run(Ended.FAILED, minutes_ago=-60)).action is Action.ASK


@pytest.mark.parametrize(("ended", "action"), [(Ended.FAILED, Action.WAIT), (Ended.FOR_GOOD, Action.CALL)])
def test_a_change_in_a_future_that_the_clock_went_back_from_does_not_ask_every_minute(ended, action):
    assert decided(run(ended, minutes_ago=1), changed=_NOW + timedelta(minutes=50)).action is action


@given(st.lists(st.sampled_from([Ended.FAILED, Ended.FOR_GOOD, Ended.STOPPED, Ended.SUCCEEDED]), max_size=40))
def test_however_it_went_it_is_never_asked_for_without_end(outcomes):
    """Whatever happens from then on, what is asked for and fails is asked for at most so often."""
    runs = [Run(str(number), ended, _NOW, again=False) for number, ended in enumerate(outcomes)]
    now = _NOW
    for number in range(2 * MOST_ATTEMPTS):
        now += timedelta(days=1)
        found = decide(_MISSING, runs, now=now, changed=_LONG_AGO)
        if found.action is not Action.ASK:
            break
        runs.insert(0, Run(f"again-{number}", Ended.FAILED, now, again=True))
    assert number <= MOST_ATTEMPTS
    assert found.action in (Action.CALL, Action.LEAVE)
