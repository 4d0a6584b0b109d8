"""What a tick leaves for the next one: no torn cursor and no clock keeps a backup from being asked for."""

from datetime import UTC, datetime, timedelta

import pytest

from desbuquei_backups.core.waiting import PATIENCE, Waiting

_NOW = datetime(2026, 2, 2, 2, tzinfo=UTC)
_ID = "daily-2026-02-02-020000"


def test_a_schedule_has_its_time_before_anybody_else_begins():
    waiting = Waiting.of(None)
    assert not waiting.is_over(_ID, _NOW)
    waiting = Waiting.of(waiting.cursor({_ID}))
    assert not waiting.is_over(_ID, _NOW + PATIENCE - timedelta(seconds=1))
    assert waiting.is_over(_ID, _NOW + PATIENCE)


def test_what_was_begun_is_forgotten():
    waiting = Waiting.of(None)
    waiting.is_over(_ID, _NOW)
    assert Waiting.of(waiting.cursor(())).seen == {}


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"seen": {"x": 1}}', '{"seen": []}'])
def test_a_cursor_that_cannot_be_read_costs_no_more_than_that_time(cursor):
    assert Waiting.of(cursor) == Waiting()


def test_a_clock_that_went_back_begins_the_time_anew():
    waiting = Waiting.of(None)
    waiting.is_over(_ID, _NOW + timedelta(hours=1))
    assert not waiting.is_over(_ID, _NOW)
    assert waiting.is_over(_ID, _NOW + PATIENCE)


def test_a_place_is_looked_at_now_and_then():
    waiting, hour = Waiting.of(None), timedelta(hours=1)
    assert waiting.may_look("bucket", _NOW, hour)
    waiting = Waiting.of(waiting.cursor(()))
    assert not waiting.may_look("bucket", _NOW + timedelta(minutes=59), hour)
    assert waiting.may_look("bucket", _NOW + hour, hour)
    assert waiting.may_look("bucket", _NOW - hour, hour)
