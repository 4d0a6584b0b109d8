"""The controls of how much is lost and how long it takes: recovery point and recovery time against the objectives."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from desbuquei_backups.audit.judging import WAL_IS_CONTINUOUS, WAL_STAYS_CONTINUOUS, Judging, Part, together
from desbuquei_backups.audit.model import Control, Verdict
from desbuquei_backups.audit.plots import Line
from desbuquei_backups.audit.recovery_points import Peak, worst
from desbuquei_backups.core.comparison import Verdict as Compared
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.thawing import time_to_thaw

_LITTLE = 2  # times the objective: what is longer is named one by one
_HOW = (
    "Counted from the moment that a backup restores to until the next one is archived: at every moment in between, so "
    "much would have been lost."
)
_LESS = "Between recovery points WAL is archived, too: what would really have been lost was less, or equal."
_LOOKS = (
    "Between backups by looks at the WAL: what could be recovered to at one grows older until the next, and no older."
)


def recovery_point(judging: Judging) -> Control:
    """The age that the newest recovery point reached, at its worst."""
    facts = judging.facts
    objective, found = facts.policy.recovery_point_objective, judging.peaks
    top = worst(found)
    over = sorted((each for each in found if each.age > objective), key=lambda each: -each.age)
    long = [each for each in over if each.seen is None and each.age > objective * _LITTLE]
    continuous = [each for each in facts.checks if (each.step, each.check) in (WAL_IS_CONTINUOUS, WAL_STAYS_CONTINUOUS)]
    broken = [each for each in continuous if each.verdict is Compared.DIFFERS and facts.period.has(each.at)]
    exceptions = [_named(each) for each in long]
    if len(over) > len(long):
        most = next(each for each in over if each not in long).age
        exceptions.append(
            f"{len(over) - len(long):,} times a little longer than promised, up to {in_words(most)}: what comes as "
            "often as is promised takes its own time on top"
        )
    exceptions += [
        f"{each.backup_id or f'{each.at:%Y-%m-%d %H:%M} UTC'}: WAL was not continuous: {each.summary}"
        for each in broken
    ]
    told = [_HOW]
    if any(each.seen is not None for each in found):
        told += [_LOOKS, *_looked(judging)]
    elif any(each.wal for each in judging.archived):
        told.append(_LESS)
    return Control(
        "recovery_point",
        "Recovery point",
        f"No more than {in_words(objective)} of changes is ever lost.",
        *_judged(judging, top, over, long),
        evidence=told,
        exceptions=exceptions,
        plots=[_ages(judging)] if found else [],
        figures={"recovery point, worst (seconds)": top.age.total_seconds() if top is not None else None},
    )


def _judged(judging: Judging, top: Peak | None, over: Sequence[Peak], long: Sequence[Peak]) -> tuple[Verdict, str]:
    """Where WAL is archived between recovery points, that they are a little too far apart shows nothing; where somebody
    looked at it, what was seen decides.
    """
    facts = judging.facts
    promised = in_words(facts.policy.recovery_point_objective)
    if top is None:
        return Verdict.NOT_KNOWN, "the period lies before protection began, or when that was is not known"
    if not over and all(each.of is None for each in judging.peaks):
        return Verdict.NOT_KNOWN, f"there is no recovery point yet; promised: {promised}"
    if facts.listed is None and facts.chain.trouble is not None:
        return Verdict.NOT_KNOWN, f"neither the bucket nor the chain could be asked: {facts.chain.trouble}"
    said = f"promised: {promised}; at worst {_named(top)}"
    if not over:
        return Verdict.HOLDS, said
    unbounded = [each for each in over if each.seen is None]
    seen = any(each.seen is not None and each.seen > facts.policy.recovery_point_objective for each in over)
    if seen or long or any(each.until is not None and not each.until.wal for each in unbounded):
        return Verdict.FAILS, said
    why = "WAL in between made it less" if unbounded else "between two looks at the WAL it may have been less"
    return Verdict.NOT_KNOWN, f"{said}; {why}, and how much less is not recorded"


def _looked(judging: Judging) -> Iterator[str]:
    """How often, and what of it is not in the chain."""
    facts = judging.facts
    within = [each for each in facts.looks if facts.period.has(each.until)]
    yield f"looks at the WAL, as the chain says: {sum(each.looks for each in within):,}"
    if (here := facts.looks_here) is not None:
        yield f"since {here.since:%Y-%m-%d %H:%M} UTC as this host remembers them, not in the chain yet: {here.looks:,}"


def _named(peak: Peak) -> str:
    most = "at most " if peak.seen is not None else ""
    at = f"{most}{in_words(peak.age)} at {peak.at:%Y-%m-%d %H:%M} UTC"
    until = f"before {peak.until.name} was there" if peak.until is not None else "at the end of the period"
    if peak.until is None or peak.at == peak.until.at:
        until = until.replace("before", "just before", 1)
    return f"{at}, {until}; {f'the newest was {peak.of.name}' if peak.of is not None else 'there was none'}"


def _ages(judging: Judging) -> Line:
    facts = judging.facts
    return Line(
        "Age of the newest recovery point, at its oldest before the next one",
        [(each.at, each.age.total_seconds()) for each in judging.peaks],
        facts.period.start,
        facts.period.end,
        "seconds",
        facts.policy.recovery_point_objective.total_seconds(),
        f"promised: {in_words(facts.policy.recovery_point_objective)}",
    )


def recovery_time(judging: Judging) -> Control:
    """How long recoveries took: drills of the cluster, where there are any; else restored copies."""
    facts = judging.facts
    objective = facts.policy.recovery_time_objective
    drilled = [(each.drilled_at, each.recovery_seconds, each.backup_id) for each in facts.drills]
    copies = [(each.at, each.seconds, each.backup_id) for each in facts.restored]
    parts = []
    measured, what = (drilled, "recovery drill") if drilled else (copies, "restored copy")
    if measured:
        at, seconds, backup_id = max(measured, key=lambda each: each[1])
        verdict = Verdict.FAILS if seconds > objective.total_seconds() else Verdict.HOLDS
        why = f"the slowest {what} of the period took {seconds:,.1f} s, promised: {in_words(objective)}"
        parts.append(Part(verdict, f"{why}: that of {backup_id}, on {at:%Y-%m-%d}"))
    elif facts.drill_before is not None:
        took = facts.drill_before
        said = f"the one before, on {took.drilled_at:%Y-%m-%d}, took {took.recovery_seconds:,.1f} s"
        parts.append(Part(Verdict.NOT_KNOWN, f"nothing was recovered or restored in the period; {said}"))
    else:
        parts.append(Part(Verdict.NOT_KNOWN, "nothing was recovered or restored in the period"))
    expected = [
        f"as large as the source was on {each.drilled_at:%Y-%m-%d}, it would take {each.expected_seconds:,.0f} s"
        for each in facts.drills
        if each.expected_seconds is not None and each.expected_seconds > objective.total_seconds()
    ]
    if expected:
        parts.append(Part(Verdict.FAILS, expected[-1], expected))
    found = together(parts)
    thawing = {name: time_to_thaw(tier.storage_class, None, facts.now) for name, tier in facts.policy.tiers.items()}
    frozen = [f"{name}: up to {in_words(length)} to thaw" for name, length in thawing.items() if length > timedelta()]
    slowest = max((seconds for _, seconds, _ in measured), default=None)
    return Control(
        "recovery_time",
        "Recovery time",
        f"A recovery takes no longer than {in_words(objective)}.",
        found.verdict,
        found.why,
        evidence=[f"measured: {len(drilled):,} recovery drills and {len(copies):,} restored copies"],
        exceptions=[*found.exceptions, *frozen],
        plots=[_times(judging, drilled, "Seconds that each recovery drill took")] * bool(drilled)
        + [_times(judging, copies, "Seconds that each restored copy took")] * bool(copies),
        figures={"recovery time, worst (seconds)": slowest},
    )


def _times(judging: Judging, measured: list[tuple[datetime, float, str]], title: str) -> Line:
    facts = judging.facts
    objective = facts.policy.recovery_time_objective
    points = [(at, seconds) for at, seconds, _ in measured]
    promised = f"promised: {in_words(objective)}"
    start, end = facts.period.start, facts.period.end
    return Line(title, points, start, end, "seconds", objective.total_seconds(), promised, dots=True)
