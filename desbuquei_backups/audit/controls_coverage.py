"""The controls of what is taken and kept: protected, frequency, retention."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from desbuquei_backups.audit.facts import Question, Source
from desbuquei_backups.audit.judging import Judging, Part, named, together
from desbuquei_backups.audit.model import Control, Table, Verdict
from desbuquei_backups.audit.plots import Calendar
from desbuquei_backups.audit.slots_due import Due, Outcome, of_outcome, said, stretches
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.retention import Place
from desbuquei_backups.core.slots import next_due
from desbuquei_backups.core.tiers import Tier
from desbuquei_backups.operations.pruning import Planned

_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_OVERDUE = timedelta(days=2)  # after its time, before what retention has not removed is a fault


def protected(judging: Judging) -> Control:
    """Whether every database has a policy, and since when."""
    facts = judging.facts
    since, period = facts.since, facts.period
    if since is None:
        parts = [Part(Verdict.NOT_KNOWN, "since when it is protected is not known: there is no backup, and no record")]
    elif since >= period.end:
        parts = [Part(Verdict.NOT_KNOWN, f"the period ends before protection began, on {since:%Y-%m-%d %H:%M} UTC")]
    else:
        late = since > period.start
        gone = [f"protected from {since:%Y-%m-%d %H:%M} UTC on; before that there was no promise"] if late else []
        parts = [Part(Verdict.HOLDS, f"there is a policy for {facts.policy.database}", gone)]
        if not judging.archived:
            parts.append(Part(Verdict.FAILS, "no backup of the period was ever archived"))
    others = facts.other_databases
    if others is None:
        why = facts.unknown.get(Question.SERVER, "it was not asked")
        parts.append(Part(Verdict.NOT_KNOWN, "whether the server has other databases is not known", [why]))
    elif others:
        why = f"other databases are on the server: {named(others)}; whether another policy protects them is not known"
        parts.append(Part(Verdict.NOT_KNOWN, why))
    found = together(parts)
    return Control(
        "protected",
        "Protected",
        "Every database has a policy that says what is backed up, when, and for how long it is kept.",
        found.verdict,
        found.why,
        evidence=[f"protected since {since:%Y-%m-%d %H:%M} UTC"] if since is not None else [],
        exceptions=found.exceptions,
        tables=[_policy(facts.policy.tiers)],
        figures={"backups archived": len(judging.archived)},
    )


def _policy(tiers: Mapping[str, Tier]) -> Table:
    rows = [
        (
            name,
            _every(tier.cron) if tier.cron is not None else "when asked",
            tier.cron or "-",
            tier.takes.value,
            str(tier.kept_on_disk or "-"),
            str(tier.kept_in_s3),
            str(tier.never_fewer_than),
            tier.storage_class.value,
            tier.object_lock.value if tier.object_lock else "-",
        )
        for name, tier in tiers.items()
    ]
    columns = ("tier", "due", "cron (UTC)", "takes", "kept on disk", "kept in S3", "never fewer", "class", "locked")
    return Table("The policy", columns, rows, right=("never fewer",))


def _every(cron: str) -> str:
    """How often, for who does not read crons."""
    dues = [next_due(cron, _SOME_TIME)]
    for _ in range(13):
        dues.append(next_due(cron, dues[-1]))
    lengths = {later - earlier for earlier, later in pairwise(dues)}
    return f"every {in_words(min(lengths))}" + (f" to {in_words(max(lengths))}" if len(lengths) > 1 else "")


def frequency(judging: Judging) -> Control:
    """What was due, and what became of it."""
    dues, facts = judging.dues, judging.facts
    missed, late = of_outcome(dues, Outcome.MISSED), of_outcome(dues, Outcome.LATE)
    left_out, unknown = of_outcome(dues, Outcome.LEFT_OUT), of_outcome(dues, Outcome.UNKNOWN)
    due = sum(each.outcome is not Outcome.OPEN for tier in dues.values() for each in tier)
    if facts.since is None or not due:
        begun = facts.since is None or facts.since >= facts.period.end
        why = "protection had not begun, as far as is known" if begun else "no slot of it is over yet"
        part = Part(Verdict.NOT_KNOWN, f"no backup was due in the period: {why}")
    elif missed:
        part = Part(Verdict.FAILS, f"{len(missed):,} of {due:,} slots were missed: {_first_and_last(missed)}")
    elif unknown:
        part = Part(Verdict.NOT_KNOWN, f"of {len(unknown):,} of {due:,} slots it is not known: {unknown[0].why}")
    else:
        behind = f", {len(late):,} of them late" if late else ""
        part = Part(Verdict.HOLDS, f"{due - len(left_out):,} of {due:,} slots were filled{behind}, none was missed")
    named_so = {Outcome.MISSED: "missed", Outcome.LATE: "late", Outcome.LEFT_OUT: "left out on purpose"}
    exceptions = [
        f"{word}: {said(stretch)}"
        for outcome, word in named_so.items()
        for tier in dues.values()
        for stretch in stretches(tier, outcome)
    ]
    by_records = [each.backup_id for each in judging.archived if each.source is Source.RECORDS]
    if by_records:
        exceptions.append(f"known by the records on the host alone, not by the chain: {named(by_records)}")
    return Control(
        "frequency",
        "Frequency",
        "A backup of each tier is taken at each of its due times, and archived.",
        part.verdict,
        part.why,
        evidence=["A slot is late if its backup was taken over an hour, or half its interval, after it was due."],
        exceptions=exceptions,
        tables=[_slots(dues)],
        plots=[
            Calendar(name, [(d.slot.due, d.outcome.value) for d in each], facts.period.start, facts.period.end)
            for name, each in dues.items()
            if each
        ],
        figures={
            "slots due": due,
            "slots missed": len(missed) if not unknown else None,
            "slots late": len(late) if not unknown else None,
        },
    )


def _slots(dues: Mapping[str, Sequence[Due]]) -> Table:
    shown = (Outcome.TAKEN, Outcome.LATE, Outcome.MISSED, Outcome.LEFT_OUT, Outcome.UNKNOWN, Outcome.OPEN)
    rows = []
    for name, each in dues.items():
        counts = [sum(due.outcome is outcome for due in each) for outcome in shown]
        rows.append((name, f"{len(each):,}", *(f"{count:,}" for count in counts)))
    columns = ("tier", "due", "in time", "late", "missed", "left out", "not known", "open")
    return Table("Slots", columns, rows, right=columns[1:])


def _first_and_last(missed: Sequence[Due]) -> str:
    """The first and last of what was missed; a week of hourlies is one thing to say."""
    if len(missed) == 1:
        return missed[0].slot.backup_id
    return f"from {missed[0].slot.backup_id} to {missed[-1].slot.backup_id}"


def retention(judging: Judging) -> Control:
    """What must exist, and what does; what must be gone, and is."""
    facts = judging.facts
    parts, rows = list[Part](), []
    if facts.plan is None or facts.listed is None:
        why = facts.unknown.get(Question.RETENTION) or facts.unknown.get(Question.LISTING) or "S3 was not asked"
        parts.append(Part(Verdict.NOT_KNOWN, f"what is kept is not known: {why}"))
    else:
        if facts.lost:
            gone = [f"{each}: it was archived, nobody said that it was pruned, and it is gone" for each in facts.lost]
            parts.append(Part(Verdict.FAILS, f"{len(facts.lost):,} that must exist are gone", gone))
        s3 = [each for each in facts.plan if each.place is Place.S3]
        overdue = [each for each in s3 if not each.keep and _overdue(judging, each.verdict.slot.tier, each)]
        if overdue:
            left = [f"{each.backup_id}: {each.verdict.reason}" for each in overdue]
            parts.append(Part(Verdict.FAILS, f"{len(overdue):,} that must be gone are still there", left))
        if not facts.listed:
            parts.append(Part(Verdict.NOT_KNOWN, "S3 has no backup at all"))
        elif not parts:
            parts.append(Part(Verdict.HOLDS, f"all {len(facts.listed):,} that must exist do, and nothing is overdue"))
        for name, tier in facts.policy.tiers.items():
            there = sorted(slot for slot in facts.listed if slot.tier == name)
            going = sum(not each.keep for each in s3 if each.verdict.slot.tier == name)
            ends = [f"{each.due:%Y-%m-%d}" for each in (there[0], there[-1])] if there else ["-", "-"]
            rows.append((name, str(tier.kept_in_s3), f"{len(there):,}", *ends, f"{going:,}"))
    found = together(parts)
    columns = ("tier", "kept in S3", "there", "oldest", "newest", "to go")
    return Control(
        "retention",
        "Retention",
        "What the policy keeps exists for as long as it says, and what it does not keep is removed.",
        found.verdict,
        f"as of {facts.now:%Y-%m-%d %H:%M} UTC: {found.why}",
        evidence=["Kept longer than its time is what is locked, held, or needed by another backup."],
        exceptions=found.exceptions,
        tables=[Table("In S3 now", columns, rows, right=("there", "to go"))] if rows else [],
        figures={"backups in S3": len(facts.listed) if facts.listed is not None else None},
    )


def _overdue(judging: Judging, tier: str, planned: Planned) -> bool:
    kept = judging.facts.policy.tiers.get(tier)
    oldest = kept.kept_in_s3.before(judging.facts.now - _OVERDUE) if kept is not None else None
    return planned.unfinished or (oldest is not None and planned.verdict.slot.due < oldest)
