"""What one tick finds of the slots of a database, and asks for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import dagster as dg

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.reruns import Action, Decision, Ended, Run, Step, decide
from desbuquei_backups.core.slots import Slot, falls_due, last_due
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.core.waiting import Waiting
from desbuquei_backups.defs.marks import ATTEMPT, BACKUP
from desbuquei_backups.defs.partitions import on_demand_name
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.run_history import runs_at
from desbuquei_backups.operations.missed import record_missed
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unfinished import Look, Unfinished, look
from desbuquei_backups.storage import disk

# Beside dumps: what an outage of days left is made up for little by little, and the next slot need not wait for all.
_AT_ONCE = 4
_MOST_LOOKED_AT = 100
_BUCKET_EVERY = timedelta(minutes=15)


@dataclass
class SlotReruns:
    """`jobs`: the names of the tiers' jobs. `promoted_from`: the tier that each is promoted from, if any.

    `changed`: when settings, policy or program last changed (aware UTC).

    `look` fills the rest: what to ask for, to say, and to call a person for.
    """

    policy: Policy
    since: datetime
    jobs: Mapping[str, str]
    promoted_from: Mapping[str, str | None]
    changed: datetime
    requests: list[dg.RunRequest] = field(default_factory=list)
    registered: list[dg.AddDynamicPartitionsRequest] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    begun_by_nobody: set[str] = field(default_factory=set)

    def look(self, context: dg.SensorEvaluationContext, site: Site, backups: Backups, waiting: Waiting) -> None:
        """Find out, and record what was missed. DiskError, ConfigurationError."""
        found = look(site, self.since)
        priority = Counter(self.promoted_from.values())
        # Those of another schedule would keep all that can be finished from being looked at, as long as they are kept.
        known = []
        for each in found.unfinished:
            if self._is_partition(each.slot):
                known.append(each)
            else:
                self._orphan(each)
        unfinished = sorted(known, key=lambda each: _order(each, priority))[:_MOST_LOOKED_AT]
        runs = runs_at(
            context.instance, self.policy.database, [each.slot for each in unfinished] + found.empty, site.now()
        )
        self._decide(site, unfinished, runs, waiting)
        self._missed(context, site, backups, found, runs, waiting)

    def _decide(
        self, site: Site, unfinished: Sequence[Unfinished], runs: Mapping[Slot, list[Run]], waiting: Waiting
    ) -> None:
        now = site.now()
        busy = {step for step, lock in self._locks().items() if disk.is_locked(site.settings.folder, lock)}
        under_way = sum(_is_under_way(runs[each.slot]) for each in unfinished)
        dumping: set[str] = set()  # tiers; those that are promoted from them come after them
        for each in unfinished:
            backup_id = each.slot.backup_id
            decision = decide(each.missing, runs[each.slot], now=now, changed=self.changed, open_for=each.open_for)
            if Step.DUMP in each.missing and (decision.action is Action.ASK or _is_under_way(runs[each.slot])):
                dumping.add(each.slot.tier)
            if decision.action is Action.CALL:
                self.conditions.append(self._condition(each, decision))
            elif decision.action is Action.ASK and not runs[each.slot]:
                self.begun_by_nobody.add(backup_id)
                if not waiting.is_over(backup_id, now):
                    self.said.append(f"{backup_id}: left to its schedule for a moment")
                    continue
            if decision.action is not Action.ASK:
                self.said.append(f"{backup_id}: {decision.why}")
            elif Step.DUMP in each.missing and self.promoted_from[each.slot.tier] in dumping:
                self.said.append(f"{backup_id}: takes over the dump that is being taken")
            elif each.missing[0] in busy:
                self.said.append(f"{backup_id}: the database's lock is held")
            elif Step.DUMP not in each.missing and under_way >= _AT_ONCE:
                self.said.append(f"{backup_id}: waits for others")
            else:
                under_way += 1
                self._ask(each, decision)

    def _locks(self) -> Mapping[Step, str]:
        database = self.policy.database
        return dict.fromkeys((Step.DUMP, Step.MANIFEST, Step.ARCHIVE), database) | {Step.PROOF: f"{database}-proof"}

    def _is_partition(self, slot: Slot) -> bool:
        """Whether the loaded definitions know the slot: the policy may have changed since, or since it was taken."""
        tier = self.policy.tiers.get(slot.tier)
        if tier is None or tier.cron is None:
            return tier is not None
        return falls_due(tier.cron, slot.due) and slot.due >= last_due(tier.cron, self.since)

    def _ask(self, each: Unfinished, decision: Decision) -> None:
        slot, database = each.slot, self.policy.database
        if self.policy.tiers[slot.tier].cron is None:
            partitions = dg.DynamicPartitionsDefinition(name=on_demand_name(database, slot.tier))
            self.registered.append(partitions.build_add_request([slot.key]))
        self.said.append(f"{slot.backup_id}: {', '.join(each.missing)} asked for: {decision.why}")
        self.requests.append(
            dg.RunRequest(
                run_key=f"{slot.backup_id} after {decision.after or 'nothing'}",
                job_name=self.jobs[slot.tier],
                partition_key=slot.key,
                asset_selection=self._selection(each),
                tags={BACKUP: slot.backup_id, ATTEMPT: str(decision.attempt)},
            )
        )

    def _selection(self, each: Unfinished) -> list[dg.AssetKey] | None:
        """The missing assets; None, which is all of them, where it is the dump that is missing."""
        if Step.DUMP in each.missing:
            return None
        base = ["base_backup"] if Step.MANIFEST in each.missing and self._may_take_base(each.slot) else []
        names = (*base, *(step.value for step in each.missing))
        return [dg.AssetKey([self.policy.database, each.slot.tier, name]) for name in names]

    def _may_take_base(self, slot: Slot) -> bool:
        return self.policy.tiers[slot.tier].base_backup

    def _orphan(self, each: Unfinished) -> None:
        backup_id = each.slot.backup_id
        if each.open_for is not None:
            self.said.append(f"{backup_id}: the policy was changed, and Dagster has not loaded it yet")
            return
        why = "the policy knows no such slot any more, and nothing finishes it"
        self.said.append(f"{backup_id}: {why}")
        self.conditions.append(self._condition(each, Decision(Action.CALL, why)))

    def _condition(self, each: Unfinished, decision: Decision) -> Condition:
        slot = each.slot
        proof_alone = set(each.missing) <= {Step.PROOF}
        return Condition(
            name=f"slot_unfinished/{slot.backup_id}",
            database=self.policy.database,
            severity=Severity.WARNING if proof_alone else Severity.CRITICAL,
            what=f"{slot.backup_id} lacks {', '.join(each.missing)}, and nothing tries it again by itself",
            subject=slot.backup_id,
            since=slot.due,
            tried=": ".join(filter(None, (decision.why, each.error))),
            command=f"desbuquei backup {slot.tier} --slot {slot.key}",
        )

    def _missed(
        self,
        context: dg.SensorEvaluationContext,
        site: Site,
        backups: Backups,
        found: Look,
        runs: Mapping[Slot, list[Run]],
        waiting: Waiting,
    ) -> None:
        """Record what closed empty, unless somebody is at it still: a dump may end after its slot."""
        empty = [each for each in found.empty if not _is_under_way(runs[each])]
        if not empty or disk.is_locked(site.settings.folder, self.policy.database):
            return
        if not waiting.may_look("bucket", site.now(), _BUCKET_EVERY):
            self.said.append(f"{len(empty)} slots closed empty; whether S3 has them is asked again later")
            return
        try:
            with backups.site(context.log, self.policy.database) as reached:
                missed = record_missed(reached, empty)
        except BackupError as error:
            self.said.append(f"{len(empty)} slots closed empty; whether S3 has them cannot be told: {error.what}")
            return
        self.said += [f"{slot.backup_id}: missed" for slot in missed]
        if missed and len(missed) < len(empty):
            waiting.looked.pop("bucket", None)


def _is_under_way(runs: Sequence[Run]) -> bool:
    return any(run.ended is Ended.UNDER_WAY for run in runs)


def _order(each: Unfinished, priority: Mapping[str | None, int]) -> tuple[bool, int, datetime]:
    """Dumps first, of tiers that others are promoted from before those; then the oldest."""
    return Step.DUMP not in each.missing, -priority[each.slot.tier], each.slot.due
