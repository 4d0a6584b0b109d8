"""What is asked for again by itself, when, and when a person is called instead: the rule, without any clock of its own.

A slot that a run is at work on is left alone. What may pass by itself is tried again after pauses that grow; what does
not is not, until something was changed or a person has run it again. Step retries and run retries are one attempt.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from desbuquei_backups.core.periods import in_words

MOST_ATTEMPTS = 24
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_FIRST_PAUSE = timedelta(minutes=5)
_LONGEST_PAUSE = timedelta(hours=6)
# Of the time that a slot is open, how much is waited at the most: an hour that begins with an outage is not lost to it.
_OF_OPEN = 6


class Step(StrEnum):
    """The steps of a chain by the names of their assets, in their order."""

    DUMP = "dump"
    MANIFEST = "checksum_manifest"
    ARCHIVE = "s3_archive"
    PROOF = "restored_copy"


class Ended(StrEnum):
    """How a run ended, as far as it matters here."""

    UNDER_WAY = "under way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # it may pass by itself; or its process was killed
    FOR_GOOD = "failed for good"
    STOPPED = "was stopped by a person"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `at`: when it ended, or began if it is under way; aware UTC. `steps` None: the whole chain.

    `again`: it was asked for by this rule, and not by a schedule or a person.
    """

    run_id: str
    ended: Ended
    at: datetime
    steps: frozenset[str] | None = None
    again: bool = False


class Action(StrEnum):
    """What is to be done now. CALL: a person is to come, nothing happens by itself any more."""

    ASK = "ask"
    WAIT = "wait"
    LEAVE = "leave"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done of one piece of work, and why. `attempt`: the number of the one that is asked for, from 1.

    `after`: the run that it follows; at most one follows each.
    """

    action: Action
    why: str
    attempt: int = 1
    after: str | None = None


def decide(
    missing: Collection[str],
    runs: Sequence[Run],
    *,
    now: datetime,
    changed: datetime,
    open_for: timedelta | None = None,
) -> Decision:
    """What is to be done of `missing`, given all runs that were at it, newest first.

    `changed`: when policy, settings or program were last changed. `open_for`: how long the slot is open in all, where
    it is the dump that is missing.
    """
    if changed > now:  # by a clock that went back: whatever failed would have failed before it, without end
        changed = _LONG_AGO
    for run in runs:
        if run.ended is Ended.UNDER_WAY:
            return Decision(Action.WAIT, f"run {_short(run)} is under way")
    if not runs:
        return Decision(Action.ASK, "no run was at it yet")
    last = runs[0]
    if last.ended is Ended.SUCCEEDED:
        if last.steps is None or last.steps >= set(missing):
            return Decision(Action.LEAVE, f"run {_short(last)} did what could be done")
        return Decision(Action.ASK, f"run {_short(last)} was for something else", after=last.run_id)
    if changed > last.at:
        return Decision(Action.ASK, "something was changed since it failed", after=last.run_id)
    if last.ended is not Ended.FAILED:
        return Decision(Action.CALL, f"run {_short(last)} {last.ended}", after=last.run_id)
    tried = attempts([run for run in runs if run.at >= changed])
    if tried >= MOST_ATTEMPTS:
        return Decision(Action.CALL, f"{tried} attempts failed", attempt=tried, after=last.run_id)
    wait = pause(tried, open_for)
    # By a clock that went back, it ended in the future: nobody knows how long that is ago.
    if last.at <= now < last.at + wait:
        return Decision(
            Action.WAIT,
            f"attempt {tried} of {MOST_ATTEMPTS} failed, the next one is in {in_words(last.at + wait - now)}",
            attempt=tried,
            after=last.run_id,
        )
    return Decision(Action.ASK, f"attempt {tried} of {MOST_ATTEMPTS} failed", attempt=tried + 1, after=last.run_id)


def attempts(runs: Sequence[Run]) -> int:
    """How many of the newest runs failed one after the other, back to the last that a schedule or a person began."""
    failed = list(takewhile(lambda run: run.ended is Ended.FAILED, runs))
    first = next((number for number, run in enumerate(failed) if not run.again), len(failed) - 1)
    return first + 1


def pause(tried: int, open_for: timedelta | None = None) -> timedelta:
    """How long to wait after so many attempts: twice as long each time."""
    longest = _LONGEST_PAUSE if open_for is None else min(_LONGEST_PAUSE, max(_FIRST_PAUSE, open_for / _OF_OPEN))
    doubled: timedelta = _FIRST_PAUSE * 2 ** (min(tried, MOST_ATTEMPTS) - 1)
    return min(longest, doubled)


def _short(run: Run) -> str:
    return run.run_id[:8]
