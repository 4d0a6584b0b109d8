"""What one tick finds of the jobs that are due by a cron and have no slots: retention, evidence, report and drill."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import dagster as dg

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.reruns import Action, Decision, decide
from desbuquei_backups.core.slots import last_due
from desbuquei_backups.core.waiting import Waiting
from desbuquei_backups.defs.jobs import Upkeep
from desbuquei_backups.defs.marks import ATTEMPT
from desbuquei_backups.defs.run_history import runs_of
from desbuquei_backups.operations.site import Site


@dataclass
class UpkeepReruns:
    """`upkeep`: what falls due. `look` fills the rest: what to ask for, to say, and to call a person for."""

    database: str
    since: datetime
    upkeep: Sequence[Upkeep]
    changed: datetime
    requests: list[dg.RunRequest] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    begun_by_nobody: set[str] = field(default_factory=set)

    def look(self, instance: dg.DagsterInstance, site: Site, waiting: Waiting) -> None:
        """Find out which were not done since they were last due: of those alone the runs are read."""
        now = site.now()
        done: dict[dg.AssetKey, float] = {}
        for record in instance.get_asset_records([each.key_of(self.database) for each in self.upkeep]):
            if (made := record.asset_entry.last_materialization) is not None:
                done[record.asset_entry.asset_key] = made.timestamp
        for each in self.upkeep:
            due = last_due(each.cron, now)
            if due >= self.since and done.get(each.key_of(self.database), 0.0) < due.timestamp():
                self._decide(instance, site, waiting, each, due)

    def _decide(self, instance: dg.DagsterInstance, site: Site, waiting: Waiting, each: Upkeep, due: datetime) -> None:
        now, job = site.now(), each.job_of(self.database)
        # By a clock that ran ahead, the run of the due time may bear an earlier hour.
        runs = runs_of(instance, job, due - timedelta(minutes=1), now)
        decision = decide((), runs, now=now, changed=self.changed)
        waits_for = f"{each.name} of {due:%Y-%m-%d %H:%M}"
        if decision.action is Action.CALL:
            self.conditions.append(self._condition(each, decision, due))
        if decision.action is Action.ASK and not runs:
            self.begun_by_nobody.add(waits_for)
            if not waiting.is_over(waits_for, now):
                return
        self.said.append(f"{waits_for}: {'asked for: ' if decision.action is Action.ASK else ''}{decision.why}")
        if decision.action is Action.ASK:
            self.requests.append(
                dg.RunRequest(
                    run_key=f"{self.database} {waits_for} after {decision.after or 'nothing'}",
                    job_name=job,
                    tags={ATTEMPT: str(decision.attempt)},
                )
            )

    def _condition(self, each: Upkeep, decision: Decision, due: datetime) -> Condition:
        return Condition(
            name=f"upkeep_unfinished/{each.name}",
            database=self.database,
            severity=Severity.WARNING,
            what=f"{each.name} was due at {due:%Y-%m-%d %H:%M} UTC, and nothing tries it again by itself",
            subject=each.name,
            since=due,
            tried=decision.why,
            command=each.command,
        )
