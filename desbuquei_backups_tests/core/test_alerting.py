"""Who is told what: nobody is woken twice for one thing, and nothing that a sink missed is lost to it."""

from datetime import UTC, datetime, timedelta

import pytest

from desbuquei_backups.core import alert_words
from desbuquei_backups.core.alerting import Change, Ledger, Look, noted, owed, told, without_finished
from desbuquei_backups.core.conditions import Condition, Severity

T = datetime(2026, 2, 2, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def condition(name: str = "disk_filling", severity: Severity = Severity.WARNING, since: datetime = T) -> Condition:
    return Condition(name, "app", severity, f"{name} is so", "/backups", since, "", "desbuquei prune")


class Story:
    """Looks every minute, and sinks that take what they are owed unless they are down."""

    def __init__(self, settles: timedelta = timedelta()) -> None:
        self.ledger, self.now, self.settles = Ledger(), T, settles
        self.down: set[str] = set()

    def look(self, *found: Condition, source: str = "disk", whole: bool = True) -> dict[str, list[tuple[str, str]]]:
        """What each sink was told in this look."""
        self.ledger = noted(self.ledger, [Look(source, found, self.settles, whole)], self.now)
        heard = {}
        for sink in ("mail", "chat"):
            due = owed(self.ledger, sink, self.now)
            if due and sink not in self.down:
                heard[sink] = [(each.change.value, each.episode.condition.name) for each in due]
                self.ledger = told(self.ledger, sink, due)
        self.ledger = without_finished(self.ledger, ("mail", "chat"), self.now)
        self.now += MINUTE
        return heard


BEGUN, OVER, PASSED = ([(change, "disk_filling")] for change in ("begun", "over", "passed"))


def test_what_lasts_is_told_once_and_once_more_when_it_is_over() -> None:
    story = Story()
    assert story.look(condition()) == {"mail": BEGUN, "chat": BEGUN}
    assert [story.look(condition(since=story.now)) for _ in range(600)] == [{}] * 600
    assert story.ledger.lasting[0].since == T
    assert story.look() == {"mail": OVER, "chat": OVER}
    assert story.ledger.episodes == {}
    assert story.look(condition()) == {"mail": BEGUN, "chat": BEGUN}


def test_a_sink_that_was_down_is_told_later_and_holds_up_no_other() -> None:
    story = Story()
    story.down = {"mail"}
    assert story.look(condition()) == {"chat": BEGUN}
    assert story.look(condition()) == {}
    story.down = set()
    assert story.look(condition()) == {"mail": BEGUN}
    story.down = {"mail"}
    assert story.look() == {"chat": OVER}
    story.down = set()
    assert story.look() == {"mail": OVER}
    assert story.ledger.episodes == {}


def test_what_began_and_was_over_while_a_sink_was_down_is_told_to_it_all_the_same() -> None:
    story = Story()
    story.down = {"mail", "chat"}
    story.look(condition())
    story.look()
    story.down = {"chat"}
    assert story.look() == {"mail": PASSED}
    assert story.look() == {}
    story.down = set()
    assert story.look() == {"chat": PASSED}


def test_what_came_back_before_its_end_was_told_lasts_and_who_knew_of_the_end_is_told_again() -> None:
    story = Story()
    story.look(condition())
    story.down = {"mail"}
    assert story.look() == {"chat": OVER}
    assert story.look(condition()) == {"chat": BEGUN}
    story.down = set()
    assert story.look(condition()) == {}
    assert story.look() == {"mail": OVER, "chat": OVER}


def test_what_may_pass_by_itself_is_told_only_when_it_did_not() -> None:
    story = Story(settles=5 * MINUTE)
    assert [story.look(condition()) for _ in range(3)] == [{}] * 3
    assert story.look() == {}
    assert story.ledger.episodes == {}
    assert [story.look(condition()) for _ in range(5)] == [{}] * 5
    assert story.look(condition()) == {"mail": BEGUN, "chat": BEGUN}
    # A moment of health in between is not an end.
    assert [story.look(), story.look(condition())] == [{}, {}]
    assert [story.look() for _ in range(5)] == [{}] * 5
    assert story.look() == {"mail": OVER, "chat": OVER}


def test_what_gets_worse_is_told_again_and_what_gets_better_is_not() -> None:
    story = Story()
    story.look(condition())
    assert story.look(condition(severity=Severity.CRITICAL)) == {"mail": BEGUN, "chat": BEGUN}
    assert story.look(condition()) == {}


@pytest.mark.parametrize("whole", [True, False])
def test_what_could_not_be_looked_at_is_not_over(whole: bool) -> None:
    story = Story()
    story.look(condition())
    assert story.look(source="reach") == {}
    assert bool(story.look(whole=whole)) is whole
    assert [each.name for each in story.ledger.lasting] == ([] if whole else ["disk_filling"])


def test_a_sink_that_is_new_hears_of_what_lasts() -> None:
    ledger = noted(Ledger(), [Look("disk", [condition()])], T)
    ledger = told(ledger, "mail", owed(ledger, "mail", T))
    assert [each.change for each in owed(ledger, "pager", T)] == [Change.BEGUN]


def test_where_nobody_is_to_be_told_nothing_piles_up() -> None:
    ledger = noted(Ledger(), [Look("disk", [condition()])], T)
    assert without_finished(ledger, (), T) == ledger
    ledger = noted(ledger, [Look("disk", [])], T + MINUTE)
    assert without_finished(ledger, (), T + MINUTE).episodes == {}


def test_a_sink_that_never_comes_back_does_not_fill_the_ledger_for_ever() -> None:
    ledger = noted(Ledger(), [Look("disk", [condition()])], T)
    ledger = noted(ledger, [Look("disk", [])], T + MINUTE)
    assert without_finished(ledger, ("mail",), T + timedelta(days=29)).episodes
    assert not without_finished(ledger, ("mail",), T + timedelta(days=31)).episodes


def test_a_clock_that_was_wrong_keeps_nobody_from_looking() -> None:
    ledger = noted(Ledger(), [Look("reach", [])], T)
    assert not ledger.due("reach", 5 * MINUTE, T + MINUTE)
    assert ledger.due("reach", 5 * MINUTE, T + 5 * MINUTE - timedelta(seconds=2))
    assert ledger.due("reach", 5 * MINUTE, T - MINUTE)


def test_an_alert_says_what_to_what_since_when_what_was_tried_and_what_to_run() -> None:
    ledger = noted(
        Ledger(), [Look("disk", [condition(), condition("recovery_point_stale", Severity.CRITICAL, T - MINUTE)])], T
    )
    due = owed(ledger, "mail", T)
    assert alert_words.title("app", due) == "[desbuquei app] CRITICAL: recovery_point_stale is so (and 1 more)"
    assert alert_words.body(due, T + timedelta(hours=1)).split("\n\n")[0].splitlines() == [
        "CRITICAL: recovery_point_stale is so",
        "  about: /backups",
        "  since: 2026-02-02 02:59 UTC (1 h 1 min)",
        "  tried: nothing",
        "  to do: desbuquei prune",
    ]
    over = owed(told(noted(ledger, [Look("disk", [])], T + MINUTE), "mail", due), "mail", T + MINUTE)
    assert alert_words.title("app", over) == "[desbuquei app] OVER: recovery_point_stale is so (and 1 more)"
    assert "  from 2026-02-02 02:59 to 2026-02-02 03:01 UTC (2 min)" in alert_words.body(over, T)


def test_a_week_of_missed_slots_is_one_message_that_names_them_all_or_says_how_many_more() -> None:
    found = [condition(f"slot_missed/hourly-{number:03}") for number in range(168)]
    due = owed(noted(Ledger(), [Look("slots", found)], T), "mail", T)
    text = alert_words.body(due, T)
    assert text.count("to do:") == 12
    assert text.endswith("… and 116 more: desbuquei notify --dry-run")
