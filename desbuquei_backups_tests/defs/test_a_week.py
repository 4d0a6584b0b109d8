"""A week in which everything fails now and then: each slot is filled in the end, or somebody was told that it is not.

The operations are fakes, which write what the real ones leave in the folder; the sensor, the rule, the records and
Dagster's storage are the real ones.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, freeze_time

from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.slots import Slot, last_due, next_due
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.definitions import build
from desbuquei_backups.defs import resources
from desbuquei_backups.defs.marks import FAILED_FOR_GOOD, mark
from desbuquei_backups.defs.run_process import TAG, this_process
from desbuquei_backups.operations import missed
from desbuquei_backups.operations.metadata_file import FILE, lines
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unfinished_told import conditions
from desbuquei_backups_tests.conftest import Clock
from desbuquei_backups_tests.defs.daemon import Daemon
from desbuquei_backups_tests.policies import written

_BEGUN = datetime(2026, 2, 2, 0, 1, tzinfo=UTC)
_STEP = timedelta(minutes=30)
_POLICY = """
database = "desbuquei"
recovery_point_objective = "6 hours"
recovery_time_objective = "1 hour"
lock_timeout = "5 minutes"
[tiers.often]
cron = "0 */2 * * *"
kept_in_s3 = "30 days"
never_fewer_than = 7
storage_class = "STANDARD"
[tiers.daily]
cron = "0 2 * * *"
kept_in_s3 = "30 days"
never_fewer_than = 7
storage_class = "STANDARD"
"""
_GONE = f"{this_process().rpartition(':')[0]}:0"  # of this machine, and its time of starting is another
_CHAIN = ("dump", "checksum_manifest", "s3_archive", "restored_copy")


@dataclass
class FakeChain:
    """The steps of a slot's run, each of which may fail for a while, fail for good, or be killed with its process."""

    daemon: Daemon
    folder: Path
    chance: random.Random
    done: dict[Slot, list[str]] = field(default_factory=dict)
    dumps: Counter[Slot] = field(default_factory=Counter)
    healthy: bool = False
    out_until: dict[str, datetime] = field(default_factory=dict)

    def run(self, slot: Slot, steps: list[str] | None, tags: dict[str, str]) -> None:
        clock, instance = self.daemon.clock, self.daemon.instance
        with freeze_time(clock()):
            run = create_run_for_test(instance, f"desbuquei_{slot.tier}", tags={**tags, "dagster/partition": slot.key})
            instance.report_dagster_event(_event(dg.DagsterEventType.RUN_START, run), run.run_id)
            for step in steps or _CHAIN:
                how = self._fares(step)
                if how == "killed":
                    instance.add_run_tags(run.run_id, {TAG: mark(_GONE, run.run_id)})
                    return
                if how != "well":
                    if how == "for good":
                        instance.add_run_tags(run.run_id, {FAILED_FOR_GOOD: mark("SourceRefused", run.run_id)})
                    instance.report_run_failed(run)
                    return
                self._leave(slot, step)
            instance.report_dagster_event(_event(dg.DagsterEventType.RUN_SUCCESS, run), run.run_id)

    def _fares(self, step: str) -> str:
        if self.healthy:
            return "well"
        now, what = self.daemon.clock(), "database" if step == "dump" else "S3"
        if self.out_until.get(what, now) > now:
            return "badly"
        if self.chance.random() < 0.05:
            self.out_until[what] = now + timedelta(hours=self.chance.choice([1, 3, 9]))
            return "badly"
        return self.chance.choices(["well", "killed", "for good"], [0.93, 0.05, 0.02])[0]

    def _leave(self, slot: Slot, step: str) -> None:
        done = self.done.setdefault(slot, [])
        if step == "dump":
            assert last_due(_crons()[slot.tier], self.daemon.clock()) == slot.due, "a backup taken in the past"
            self.dumps[slot] += "dump" not in done
            (self.folder / f".{slot.backup_id}.draft.json").touch()
        elif step == "checksum_manifest":
            (self.folder / manifest_name(slot.backup_id)).touch()
        if step not in done:
            done.append(step)
        line = {
            "backup_id": slot.backup_id,
            "status": "success",
            "backup_timestamp": slot.due.isoformat(),
            "s3_uri": "s3://b/k" if "s3_archive" in done else None,
            "recovery_tested": "restored_copy" in done,
        }
        missed.records.metadata_file.replace(self.folder, line)


def _event(kind: dg.DagsterEventType, run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name)


def _crons() -> dict[str, str]:
    return {"often": "0 */2 * * *", "daily": "0 2 * * *"}


def test_after_a_week_of_faults_every_promise_is_kept_or_its_breach_is_told(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    clock, folder = Clock(_BEGUN), tmp_path / "backups"
    folder.mkdir()
    (folder / "protected-since").write_text(_BEGUN.isoformat())
    path = written(tmp_path, _POLICY)
    monkeypatch.setattr(resources, "Site", partial(Site, now=clock))
    monkeypatch.setattr("desbuquei_backups.defs.unfinished_slots.policy_changed", lambda: _BEGUN)
    monkeypatch.setenv("DESBUQUEI_POLICY", str(path))
    monkeypatch.setenv("DESBUQUEI_BACKUP_DIR", str(folder))
    monkeypatch.setenv("DESBUQUEI_S3_URL", "s3://no-such-bucket")
    daemon = Daemon(instance, clock, build(load_policy(path), _BEGUN, loaded=_BEGUN))
    chain = FakeChain(daemon, folder, random.Random(1))  # noqa: S311 - the same week each time
    monkeypatch.setattr(missed, "archived", lambda *_, **__: {})
    due: dict[str, datetime] = {}
    told: set[str] = set()
    off_until = _BEGUN
    end = _BEGUN + timedelta(days=7)
    while clock() < end + timedelta(hours=18):
        clock.now += _STEP
        chain.healthy = clock() >= end
        if not chain.healthy and chain.chance.random() < 0.01:
            off_until = clock() + timedelta(hours=chain.chance.choice([2, 7]))
        if clock() < off_until and not chain.healthy:
            continue
        for tier, cron in _crons().items():
            slot = Slot(tier, last_due(cron, clock()))
            if due.get(tier) != slot.due and clock() - slot.due < _STEP:  # else its tick was lost
                chain.run(slot, None, {})
            due[tier] = slot.due
        requests = [each for each in daemon.tick() if each.partition_key]
        assert len({each.run_key for each in requests}) == len(requests)
        for each in requests:
            steps = [key.path[-1] for key in each.asset_selection] if each.asset_selection else None
            tier = (each.job_name or "").removeprefix("desbuquei_")
            chain.run(Slot.of_key(tier, each.partition_key or ""), steps, dict(each.tags))
        found = conditions(resources.Backups().at_rest("desbuquei"))
        told |= {each.subject for each in found}
        for each in found:  # somebody comes, after a while, and runs the command
            if each.name.startswith("slot_unfinished/") and chain.healthy:
                slot = Slot.of_id(each.subject)
                chain.run(slot, [step for step in _CHAIN if step not in chain.done.get(slot, [])], {})
    recorded = {line["backup_id"]: line for line in lines(folder)}
    assert (folder / FILE).exists()
    broken = 0
    for tier, cron in _crons().items():
        instant = last_due(cron, _BEGUN)
        while instant < last_due(cron, end):
            slot = Slot(tier, instant)
            line = recorded[slot.backup_id]
            if line["status"] == "missed":
                broken += 1
            else:
                assert chain.done[slot] == list(_CHAIN), slot
                assert line["recovery_tested"]
            instant = next_due(cron, instant)
    assert 0 < broken < 30
    assert max(chain.dumps.values()) == 1
    first_told = {each for each in told if recorded[each]["status"] == "missed"}
    assert first_told
    left = [each.name for each in conditions(resources.Backups().at_rest("desbuquei"))]
    assert not [name for name in left if name.startswith("slot_unfinished/")]
