"""What an auditor's report over a year of hourlies costs, once the chain's links are read: heard, judged, rendered."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from bench.catalog import small_manifest
from desbuquei_backups.core.evidence import NOTHING, Entry, Kind, follow, head_of, link_key
from desbuquei_backups.core.slots import Slot, due_before
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.operations.said import of_manifest

HOURS = 8_760
_CHECKS = {
    "dump": ("dump_is_complete", "checksums_match"),
    "s3_archive": ("archive_matches_manifest", "archive_is_encrypted", "connection_is_encrypted"),
    "restored_copy": ("row_counts_match",),
}
CHECK_RESULTS = HOURS * sum(map(len, _CHECKS.values()))


def reported() -> dict[str, Any]:
    """The seconds of each stage, in this process; no store and no server takes part."""
    from desbuquei_backups.audit.building import CONTROLS, build
    from desbuquei_backups.audit.clauses import load_clauses
    from desbuquei_backups.audit.document import to_json
    from desbuquei_backups.audit.facts import Facts, Walked
    from desbuquei_backups.audit.html import as_html
    from desbuquei_backups.audit.links import Heard
    from desbuquei_backups.audit.model import Period
    from desbuquei_backups.core.evidence_walk import walk

    policy, now = load_policy(), datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    slots = [Slot("hourly", due) for due in islice(due_before(policy.scheduled["hourly"], now), HOURS)][::-1]
    links = list(links_of(slots))
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        done = work()
        seconds[stage] = time.perf_counter() - begun
        return done

    def facts() -> Facts:
        heard = Heard()
        for step in walk(links, policy.database):
            if step.link is not None:
                heard.heard(step.link)
        chain = Walked(links=len(links), last=len(links), anchors=1)
        period, nothing = Period(slots[0].due, now), frozenset[int]()
        backups = {slot: each.as_archived() for slot, each in heard.backups(nothing).items()}
        checks = heard.checks(nothing)
        return Facts(policy, period, now, slots[0].due, chain, backups, checks, listed=frozenset(slots[-168:]), plan=[])

    begun_cpu = time.process_time()
    found = timed("hear", facts)
    report = timed("judge", lambda: build(found, load_clauses(None, CONTROLS)))
    page = timed("html", lambda: as_html(report))
    timed("json", lambda: to_json(report))
    cpu = time.process_time() - begun_cpu
    assert len(found.checks) == CHECK_RESULTS
    return {"stages": seconds, "cpu": cpu, "html_bytes": len(page.encode()), "links": len(links)}


def links_of(slots: list[Slot], second: Kind = Kind.ARCHIVED) -> Iterator[tuple[str, bytes]]:
    """Each backup sealed, archived (or what is said `second`), checked, a minute apart: a link each, and one a step."""
    head = NOTHING
    for slot in slots:
        bodies: list[tuple[Kind, dict[str, Any]]] = [
            (Kind.MANIFEST, of_manifest(small_manifest(slot))),
            (second, {"sha256": "0" * 64, "where": "s3", "place": "s3"}),
        ]
        bodies += [(Kind.CHECKS, {"step": step, "checks": list(map(_true, names))}) for step, names in _CHECKS.items()]
        for number, (kind, body) in enumerate(bodies):
            entry = Entry(
                entry_id=str(head.sequence),
                at=slot.due + timedelta(minutes=number),
                kind=kind,
                database="desbuquei",
                backup_id=slot.backup_id,
                body=body,
            )
            content = follow(head, entry).to_bytes()
            head = head_of(head.sequence + 1, content)
            yield link_key(head.sequence), content


def _true(name: str) -> dict[str, Any]:
    counts = {"matches": 3, "does not match": 0, "could not be compared": 0}
    return {"check": name, "verdict": "matches", "summary": "3 match", "counts": counts, "differing": []}
