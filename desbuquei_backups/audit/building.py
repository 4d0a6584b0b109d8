"""The report of one period, built from its facts: nothing is asked here, and the same facts make the same report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from desbuquei_backups import __version__
from desbuquei_backups.audit.controls_changes import changes, failures
from desbuquei_backups.audit.controls_coverage import frequency, protected, retention
from desbuquei_backups.audit.controls_proof import evidence, integrity, restorability
from desbuquei_backups.audit.controls_protection import at_rest, client_side, immutability, in_transit, off_site
from desbuquei_backups.audit.controls_recovery import recovery_point, recovery_time
from desbuquei_backups.audit.daily import verification_table
from desbuquei_backups.audit.facts import Facts, Question
from desbuquei_backups.audit.judging import Judging
from desbuquei_backups.audit.model import Clause, Control, Report
from desbuquei_backups.audit.not_covered import PROVES, PROVES_NOT, erasure, not_covered
from desbuquei_backups.audit.plots import Line

CONTROLS: Mapping[str, Callable[[Judging], Control]] = {
    "protected": protected,
    "frequency": frequency,
    "retention": retention,
    "encryption_in_transit": in_transit,
    "encryption_at_rest": at_rest,
    "encryption_client_side": client_side,
    "immutability": immutability,
    "off_site": off_site,
    "evidence": evidence,
    "integrity": integrity,
    "restorability": restorability,
    "recovery_point": recovery_point,
    "recovery_time": recovery_time,
    "changes": changes,
    "incidents": failures,
}


def build(facts: Facts, clauses: Mapping[str, Sequence[Clause]]) -> Report:
    """The report; `clauses` by the name of the control that supports them."""
    judging = Judging(facts)
    controls = [replace(make(judging), clauses=clauses.get(name, ())) for name, make in CONTROLS.items()]
    return Report(
        facts.policy.database,
        facts.period,
        facts.now,
        __version__,
        controls,
        _facts(facts),
        not_covered(facts),
        erasure(facts),
        PROVES,
        PROVES_NOT,
        [each for each in facts.signed_off if each.start < facts.period.end and each.end > facts.period.start],
        verification_table(facts),
        _sizes(judging),
    )


def _facts(facts: Facts) -> dict[str, str]:
    """What else the first page says."""
    store = facts.store
    unknown = f"not known: {facts.unknown.get(Question.BUCKET, 'it was not asked')}"
    region = unknown if store is None else store.region or f"not known: {store.region_unknown}"
    second = unknown if store is None else store.second or "none"
    since = f"{facts.since:%Y-%m-%d %H:%M} UTC" if facts.since is not None else "not known: nothing is recorded"
    return {
        "database": facts.policy.database,
        "protected since": since,
        "bucket": store.uri if store is not None else unknown,
        "the bucket's region": region,
        "second place": second,
        **{f"not answered: {what}": why for what, why in facts.unknown.items()},
    }


def _sizes(judging: Judging) -> list[Line]:
    """The size of each dump of the tier that is taken most often in full."""
    facts = judging.facts
    sized = [each for each in judging.archived if each.size and not each.wal and each.origin is None]
    if not sized:
        return []
    points = [(each.taken_at, float(each.size or 0)) for each in sorted(sized, key=lambda one: one.taken_at)]
    return [Line("Size of each backup that was read", points, facts.period.start, facts.period.end, "bytes")]
