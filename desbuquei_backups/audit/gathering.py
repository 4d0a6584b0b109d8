"""Gather the facts of a period: from the bucket alone as far as it tells, from this host where it has more.

Nothing is written. What does not answer is named, and is not known: it keeps nothing else from being told.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from desbuquei_backups.audit.facts import Backup, Facts, Question, Recorded, Walked
from desbuquei_backups.audit.from_bucket import Drills, begun, drills, kept_slots, known_backups, restored, store
from desbuquei_backups.audit.from_records import dumps_on_disk, measured, of_record, recorded
from desbuquei_backups.audit.links import Heard
from desbuquei_backups.audit.model import Period
from desbuquei_backups.core.anchors import Anchor
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import verified
from desbuquei_backups.operations.beside import other_databases
from desbuquei_backups.operations.chain_audit import Audited, audit
from desbuquei_backups.operations.chain_since import first_since
from desbuquei_backups.operations.daily_audit import remembered, second_answers
from desbuquei_backups.operations.disk_use import disk_use
from desbuquei_backups.operations.evidence_head import WALKED_WHOLE, find, recall, recalled_at
from desbuquei_backups.operations.protection import recorded_since
from desbuquei_backups.operations.pruning import plan
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.standing import looks_since

# Before a period: what was said late, clocks that differ, and the recovery point that was there when it began.
_BEFORE = timedelta(days=3)

Made = TypeVar("Made")


@dataclass
class _Asking:
    """Asks one thing after the other; why one did not answer is kept under what it would have told."""

    unknown: dict[Question, str] = field(default_factory=dict)

    def ask(self, what: Question, ask: Callable[[], Made]) -> Made | None:
        try:
            return ask()
        except BackupError as error:
            self.unknown[what] = error.what
            return None


def gather(site: Site, period: Period, *, anchors: Sequence[Anchor] = (), ask_source: bool = True) -> Facts:
    """All that can be known of the period. `ask_source`: which databases are beside this one is asked of the server.

    `anchors`: heads of the chain that were carried away; what this machine remembers is compared, too.
    """
    asking = _Asking()
    heard, chain = _walk(site, period, anchors)
    listed = asking.ask(Question.LISTING, lambda: kept_slots(site))
    there = listed or frozenset()
    lines = asking.ask(Question.RECORDS, lambda: recorded(site))
    told = heard.backups(chain.broken)
    wanted = _wanted(period, told, there)
    read = asking.ask(Question.MANIFESTS, lambda: known_backups(site, wanted)) or {}
    backups = {**_of_records(period, lines or {}), **read, **told}
    backups = {
        slot: each.as_archived(heard.archived_at(slot, chain.broken), there=slot in there)
        for slot, each in backups.items()
    }
    vouched = heard.drills(chain.broken)
    drilled = asking.ask(Question.DRILLS, lambda: drills(site, period, vouched)) or Drills()
    took = measured(lines or {}, period)
    took = took or asking.ask(Question.COPIES, lambda: restored(site, period, there)) or []
    others = None
    if ask_source:
        others = asking.ask(Question.SERVER, lambda: other_databases(site))
    else:
        asking.unknown[Question.SERVER] = "the server was not asked"
    since = asking.ask(Question.SINCE, lambda: recorded_since(site.settings))
    return Facts(
        policy=site.policy,
        period=period,
        now=site.now(),
        since=since or begun(backups.values()),
        chain=chain,
        backups=backups,
        checks=heard.checks(chain.broken),
        events=heard.events(chain.broken),
        signed_off=heard.signed_off(chain.broken),
        recorded=lines,
        store=asking.ask(Question.BUCKET, lambda: store(site, there, chain.last)),
        listed=listed,
        plan=asking.ask(Question.RETENTION, lambda: plan(site)),
        lost=_lost(site, backups, lines or {}, listed),
        drills=drilled.found,
        drill_before=drilled.before,
        unvouched=drilled.unvouched,
        looks=heard.looks(chain.broken),
        looks_here=asking.ask(Question.LOOKS, lambda: looks_since(site)),
        restored=took,
        verified=verified.oldest(verified.last_whole(site), [slot.backup_id for slot in there]) if there else None,
        recipients=bool(site.settings.age_recipients),
        disk=disk_use(site.settings.folder) if lines is not None else None,
        on_disk=asking.ask(Question.DISK, lambda: dumps_on_disk(site)),
        other_databases=others,
        unknown=asking.unknown,
    )


def _walk(site: Site, period: Period, anchors: Sequence[Anchor]) -> tuple[Heard, Walked]:
    """The chain from shortly before the period to its end; a sign-off may come much later than the period."""
    heard = Heard()
    try:
        start = first_since(site.bucket, period.start - _BEFORE, find(site.bucket))
        second = second_answers(site)
        known = [*anchors, *remembered(site)]
        done = audit(site, anchors=known, second=second, start=start, heard=heard.heard)
    except BackupError as error:
        return Heard(), Walked(trouble=error.what)
    return heard, _walked(site, done)


def _walked(site: Site, done: Audited) -> Walked:
    broken = {
        number
        for each in done.breaks
        if each.sequence is not None
        for number in range(each.sequence, (each.last or each.sequence) + 1)
    }
    whole = recall(site, WALKED_WHOLE)
    return Walked(
        start=done.start,
        links=done.links,
        first_at=done.first.at if done.first is not None else None,
        last=done.head.sequence if done.head is not None else None,
        head_sha256=done.head.sha256 if done.head is not None else None,
        anchors=done.anchors,
        second=done.copies > 0,
        manifests=done.manifests,
        checks=done.checks,
        proofs=done.proofs,
        drills=done.drills,
        keys=done.keys,
        signed=done.signed,
        breaks=[each.said() for each in done.breaks],
        broken=frozenset(broken),
        whole_at=recalled_at(site, WALKED_WHOLE) if whole is not None else None,
    )


def _wanted(period: Period, told: Mapping[Slot, Backup], there: frozenset[Slot]) -> list[Slot]:
    """Slots that S3 has and the chain, as it was walked, has not: the period's, and each tier's newest before it."""
    wanted = {slot for slot in there if period.has(slot.due)}
    before: dict[str, Slot] = {}
    for slot in there:
        if slot.due < period.start and (slot.tier not in before or before[slot.tier] < slot):
            before[slot.tier] = slot
    return sorted((wanted | set(before.values())) - told.keys())


def _of_records(period: Period, lines: Mapping[Slot, Recorded]) -> dict[Slot, Backup]:
    found = {slot: of_record(slot, line) for slot, line in lines.items() if period.has(slot.due)}
    return {slot: each for slot, each in found.items() if each is not None}


def _lost(
    site: Site, backups: Mapping[Slot, Backup], lines: Mapping[Slot, Recorded], listed: frozenset[Slot] | None
) -> list[str]:
    """What was archived, is within its tier's period, nobody said that it was pruned, and S3 has it not."""
    if listed is None:
        return []
    said = {slot for slot, each in backups.items() if each.archived_at is not None and each.pruned_at is None}
    said |= {slot for slot, each in lines.items() if each.archived}
    oldest = {name: tier.kept_in_s3.before(site.now()) for name, tier in site.policy.tiers.items()}
    gone = {slot for slot in said if slot not in listed and slot.tier in oldest and slot.due >= oldest[slot.tier]}
    return sorted(slot.backup_id for slot in gone)
