"""What one tick finds of the jobs that are due by a cron and have no slots: retention, evidence, report and drill."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import dagster as dg

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.reruns import Action, Decision, decide
from desbuquei_backups.core.slots import last_due
from desbuquei_backups.core.waiting import Waiting
from desbuquei_backups.defs.marks import ATTEMPT
from desbuquei_backups.defs.run_history import killed, runs_of
from desbuquei_backups.operations.site import Site


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A job that makes one asset whenever it is due. `command`: how a person does the same."""

    job: str
    asset: dg.AssetKey
    cron: str
    command: str


@dataclass
class UpkeepReruns:
    """`upkeep`: by its name. `look` fills the rest: what to ask for, to say, and to call a person for."""

    database: str
    since: datetime
    upkeep: Mapping[str, Upkeep]
    changed: datetime
    requests: list[dg.RunRequest] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    begun_by_nobody: set[str] = field(default_factory=set)

    def look(self, instance: dg.DagsterInstance, site: Site, waiting: Waiting) -> None:
        """Find out which were not done since they were last due: of those alone the runs are read."""
        now = site.now()
        done = {}
        for record in instance.get_asset_records([each.asset for each in self.upkeep.values()]):
            if (made := record.asset_entry.last_materialization) is not None:
                done[record.asset_entry.asset_key] = made.timestamp
        for name, each in self.upkeep.items():
            due = last_due(each.cron, now)
            if due >= self.since and done.get(each.asset, 0.0) < due.timestamp():
                self._decide(instance, site, waiting, name, due)

    def _decide(self, instance: dg.DagsterInstance, site: Site, waiting: Waiting, name: str, due: datetime) -> None:
        now, job = site.now(), self.upkeep[name].job
        # By a clock that ran ahead, the run of the due time may bear an earlier hour.
        runs = runs_of(instance, job, due - timedelta(minutes=1), now)
        for run_id in killed(instance, site, runs):
            self.said.append(f"run {run_id[:8]} was killed: reported as failed")
        decision = decide((), runs, now=now, changed=self.changed)
        waits_for = f"{name} of {due:%Y-%m-%d %H:%M}"
        if decision.action is Action.CALL:
            self.conditions.append(self._condition(name, decision, due))
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

    def _condition(self, name: str, decision: Decision, due: datetime) -> Condition:
        return Condition(
            name=f"upkeep_unfinished/{name}",
            database=self.database,
            severity=Severity.WARNING,
            what=f"{name} was due at {due:%Y-%m-%d %H:%M} UTC, and nothing tries it again by itself",
            subject=name,
            since=due,
            tried=decision.why,
            command=self.upkeep[name].command,
        )
