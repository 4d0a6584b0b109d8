"""The controls of what people did and what went wrong: access and changes, incidents."""

from collections.abc import Iterable, Sequence

from desbuquei_backups.audit.incidents import Incident, incidents
from desbuquei_backups.audit.judging import Judging, Part, named
from desbuquei_backups.audit.model import Control, Table, Verdict
from desbuquei_backups.core.evidence import Kind

_MOST_EVENTS = 500


def changes(judging: Judging) -> Control:
    """Manual backups, prunes, holds, adoptions, policies: who did it, and why."""
    facts = judging.facts
    manual = [each for each in judging.archived if each.slot.tier not in facts.policy.scheduled]
    nameless = [each.backup_id for each in manual if not (each.operator and each.reason)]
    events = [each for each in facts.events if facts.period.has(each.at) and each.kind is not Kind.VERIFIED]
    policies = [each for each in facts.events if each.kind is Kind.POLICY and each.at <= facts.period.end]
    if facts.chain.trouble is not None:
        part = Part(Verdict.NOT_KNOWN, f"the chain of evidence could not be walked: {facts.chain.trouble}")
    elif facts.chain.breaks:
        part = Part(Verdict.NOT_KNOWN, "the chain of evidence is broken: something that was done may be missing")
    elif nameless:
        part = Part(Verdict.FAILS, f"nobody is named, or no reason given, for {named(nameless)}")
    elif not policies:
        why = "whether the policy was changed is not known: the daily report says it in the chain, and has not yet"
        part = Part(Verdict.NOT_KNOWN, why)
    else:
        done = f"{len(manual):,} manual backups, {len(events):,} other things done"
        part = Part(Verdict.HOLDS, f"{done}, each with its moment and reason in the chain")
    tables = []
    if manual:
        rows = [(f"{m.taken_at:%Y-%m-%d %H:%M}", m.backup_id, m.operator or "-", m.reason or "-") for m in manual]
        tables.append(Table("Manual backups", ("taken (UTC)", "backup", "operator", "reason"), rows))
    if events:
        done_by = [
            (f"{each.at:%Y-%m-%d %H:%M}", each.kind.value, each.backup_id or "-", each.what, str(each.link))
            for each in sorted(events, key=lambda one: (one.kind is Kind.PRUNED, one.link))
        ]
        more = f", the first {_MOST_EVENTS:,} of {len(done_by):,}" if len(done_by) > _MOST_EVENTS else ""
        columns = ("at (UTC)", "what", "backup", "why", "link")
        tables.append(Table(f"Said in the chain{more}", columns, done_by[:_MOST_EVENTS], right=("link",)))
    kinds = {kind: sum(each.kind is kind for each in events) for kind in sorted({each.kind for each in events})}
    return Control(
        "changes",
        "Access and changes",
        "Who takes, holds, adopts or removes a backup out of turn, or changes the policy, says so with a reason.",
        part.verdict,
        part.why,
        evidence=[f"{kind.value}: {count:,}" for kind, count in kinds.items()],
        exceptions=["Who merely read a backup is known to the store's own access log, not here."],
        tables=tables,
        figures={"manual backups": len(manual)},
    )


def failures(judging: Judging) -> Control:
    """What went wrong in the period, how it was noticed, and when it was over."""
    facts = judging.facts
    found = incidents(judging)
    still = [each for each in found if each.over_at is None]
    if facts.chain.trouble is not None and facts.recorded is None:
        part = Part(Verdict.NOT_KNOWN, f"neither the chain nor the records could be asked: {facts.chain.trouble}")
    elif not judging.archived and not found:
        part = Part(Verdict.NOT_KNOWN, "there is no backup in the period, and nothing is recorded")
    elif still:
        part = Part(Verdict.FAILS, f"{len(still):,} of {len(found):,} are not over: {still[0].what}")
    elif facts.chain.breaks:
        part = Part(Verdict.NOT_KNOWN, "the chain of evidence is broken: a failure that it told of may be missing")
    elif found:
        part = Part(Verdict.HOLDS, f"{len(found):,} were noticed, and are over")
    else:
        part = Part(Verdict.HOLDS, f"none is recorded of {len(judging.archived):,} backups")
    notes = ["What a retry mended within minutes is in Dagster's run history alone."]
    if facts.recorded is None:
        notes.append("There are no records of failed attempts on this machine: only what the chain says is known.")
    return Control(
        "incidents",
        "Incidents",
        "What goes wrong is noticed, and mended or followed by a sound backup.",
        part.verdict,
        part.why,
        exceptions=[*(each.said() for each in still), *notes],
        tables=[_table(found)] if found else [],
        figures={"incidents": len(found)},
    )


def _table(found: Sequence[Incident]) -> Table:
    rows = [
        (f"{each.at:%Y-%m-%d %H:%M}", each.what, each.noticed, f"{each.over_at:%Y-%m-%d %H:%M}: {each.how}")
        if each.over_at is not None
        else (f"{each.at:%Y-%m-%d %H:%M}", each.what, each.noticed, "not over")
        for each in _first(found)
    ]
    return Table("Incidents", ("at (UTC)", "what", "how noticed", "over at (UTC)"), rows)


def _first(found: Iterable[Incident]) -> list[Incident]:
    """Those that are not over come first."""
    return sorted(found, key=lambda each: (each.over_at is not None, each.at))
