"""What a tick of the sensor costs with ten databases and a year of runs in Dagster's storage, in PostgreSQL.

The runs are rows written by SQL after the pattern of one that Dagster wrote itself; the records have a line for each
backup of the year. Either all is finished, or S3 has been down for three days, and each slot was tried three times.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import psycopg

from bench.catalog import recorded, small_manifest
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.slots import Slot, due_before, last_due
from desbuquei_backups.core.tiers import Policy, load_policy
from desbuquei_backups.defs.instance import embedded_platform
from desbuquei_backups.operations.metadata_file import FILE

DATABASES = 10
_YEAR, _OUTAGE = timedelta(days=365), timedelta(days=3)
_TRIES = 3
_ROUNDS = 3
_TEMPLATE_KEY = "2001-01-01-020000"
_MAKE = """
with made as (
  insert into runs (run_id, snapshot_id, pipeline_name, status, run_body, partition,
                    create_timestamp, update_timestamp, start_time, end_time)
  select each.run_id, template.snapshot_id, template.pipeline_name, %(status)s,
         replace(replace(template.run_body, template.run_id, each.run_id), %(template_key)s, each.key),
         each.key, each.at, each.at, extract(epoch from each.at at time zone 'UTC'),
         extract(epoch from each.at at time zone 'UTC') + 60
  from (select gen_random_uuid()::text run_id, key, at
        from unnest(%(keys)s::text[], %(instants)s::timestamp[]) given (key, at)) each,
       runs template
  where template.run_id = %(template)s
  returning run_id, partition)
insert into run_tags (run_id, key, value)
select made.run_id, tag.key, case tag.key when 'dagster/partition' then made.partition else tag.value end
from made, run_tags tag where tag.run_id = %(template)s
"""


def measured() -> dict[str, Any]:
    """The seconds of ticks in this process, the first of each state left out: it reads the program."""
    with tempfile.TemporaryDirectory(prefix="ticks-") as name, _own_environment():
        home = Path(name)
        home.chmod(0o755)
        with embedded_platform(home):
            return _measured(home)


@contextmanager
def _own_environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _measured(home: Path) -> dict[str, Any]:
    import dagster as dg

    now = datetime.now(UTC)
    names = [f"database{number}" for number in range(DATABASES)]
    with dg.DagsterInstance.get() as instance:
        made = {name: _Made(home, name, now) for name in names}
        for each in made.values():
            each.history(instance, dg)
        _analyze()
        runs = instance.get_runs_count()
        finished = [each.tick(instance, dg) for _ in range(_ROUNDS) for each in made.values()]
        for each in made.values():
            each.outage(instance)
        _analyze()
        outage = [each.tick(instance, dg) for _ in range(_ROUNDS) for each in made.values()]
    lines = len((home / names[0] / FILE).read_text().splitlines())
    return {
        "databases": DATABASES,
        "runs": runs,
        "lines": lines,
        "finished": [wall for wall, _ in finished[1:]],
        "finished_cpu": [cpu for _, cpu in finished[1:]],
        "outage": [wall for wall, _ in outage[1:]],
        "outage_cpu": [cpu for _, cpu in outage[1:]],
        "unfinished": made[names[0]].unfinished,
    }


def _url() -> str:
    names = {name: os.environ[f"DAGSTER_PG_{name.upper()}"] for name in ("host", "port", "username", "password", "db")}
    return psycopg.conninfo.make_conninfo(
        host=names["host"],
        port=names["port"],
        user=names["username"],
        password=names["password"],
        dbname=names["db"],
    )


def _analyze() -> None:
    with psycopg.connect(_url(), autocommit=True) as connection:
        connection.execute("vacuum analyze runs")
        connection.execute("vacuum analyze run_tags")


class _Made:
    """One database: its folder, its definitions, its runs."""

    def __init__(self, home: Path, name: str, now: datetime) -> None:
        from desbuquei_backups.definitions import build

        self.name, self.now = name, now
        self.folder = home / name
        self.folder.mkdir()
        policy = load_policy().model_copy(update={"database": name})
        self.policy: Policy = policy
        since = now - _YEAR
        self.definitions = build(policy, since, loaded=since)
        self.repository = self.definitions.get_repository_def()
        self.slots = [
            Slot(tier, due)
            for tier, cron in policy.scheduled.items()
            for due in (
                last_due(cron, now),
                *takewhile(lambda due: due >= since, due_before(cron, last_due(cron, now))),
                last_due(cron, since),
            )
        ]
        self.slots = sorted({*self.slots}, key=lambda slot: slot.due)
        self.policy_file = home / f"{name}.toml"
        packaged = Path(load_policy.__code__.co_filename).parent / "policy.toml"
        text = packaged.read_text().replace('database = "desbuquei"', f'database = "{name}"', 1)
        self.policy_file.write_text(text)
        os.utime(self.policy_file, (since.timestamp(), since.timestamp()))
        self.unfinished = 0
        self._write(unfinished=set())

    def _write(self, unfinished: set[Slot]) -> None:
        with (self.folder / FILE).open("w") as file:
            for slot in self.slots:
                place = None if slot in unfinished else "s3://bucket"
                file.write(json.dumps(recorded(slot, place, database=self.name)) + "\n")
        for slot in self.slots:
            if slot.due >= self.now - timedelta(days=7):
                (self.folder / manifest_name(slot.backup_id)).write_bytes(small_manifest(slot).to_bytes())

    def history(self, instance: Any, dg: Any) -> None:
        """A run for each slot, and for each time that the upkeep was due; the upkeep is done."""
        for tier in self.policy.scheduled:
            slots = [slot for slot in self.slots if slot.tier == tier]
            self._runs(instance, tier, [(slot.key, slot.due) for slot in slots], "SUCCESS")
        days = [(_TEMPLATE_KEY, self.now - timedelta(days=day)) for day in range(365)]
        for job in ("retention", "evidence", "audit_report"):
            self._runs(instance, job, days, "SUCCESS", partitioned=False)
        for asset in ("retention", "evidence_anchor", "audit_report", "recovery_drill"):
            instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey([self.name, asset])))

    def outage(self, instance: Any) -> None:
        """Nothing was archived for three days, and each slot was tried so often since."""
        out = {slot for slot in self.slots if slot.due >= self.now - _OUTAGE}
        self.unfinished = len(out)
        self._write(out)
        for tier in self.policy.scheduled:
            slots = [slot for slot in out if slot.tier == tier]
            tried = [(slot.key, self.now - timedelta(minutes=number)) for slot in slots for number in range(_TRIES)]
            self._runs(instance, tier, tried, "FAILURE")

    def _runs(
        self, instance: Any, job: str, given: list[tuple[str, datetime]], status: str, *, partitioned: bool = True
    ) -> None:
        definition = self.definitions.resolve_job_def(f"{self.name}_{job}")
        tags = {"dagster/schedule_name": f"{self.name}_{job}_schedule"}
        tags |= {"dagster/partition": _TEMPLATE_KEY} if partitioned else {}
        template = instance.create_run_for_job(definition, tags=tags)
        keys, instants = [key for key, _ in given], [at.replace(tzinfo=None) for _, at in given]
        with psycopg.connect(_url()) as connection:
            connection.execute(
                _MAKE,
                {
                    "status": status,
                    "template_key": _TEMPLATE_KEY,
                    "keys": keys,
                    "instants": instants,
                    "template": template.run_id,
                },
            )
        instance.delete_run(template.run_id)

    def tick(self, instance: Any, dg: Any) -> tuple[float, float]:
        """The seconds of one, and of these the processor's in this process."""
        from desbuquei_backups.defs.resources import Backups

        os.environ["DESBUQUEI_POLICY"], os.environ["DESBUQUEI_BACKUP_DIR"] = str(self.policy_file), str(self.folder)
        sensor = self.definitions.resolve_sensor_def(f"{self.name}_unfinished_slots")
        with dg.build_sensor_context(
            instance=instance, repository_def=self.repository, resources={"backups": Backups()}, sensor_name=sensor.name
        ) as context:
            begun, begun_cpu = time.perf_counter(), time.process_time()
            done = sensor.evaluate_tick(context)
            took = time.perf_counter() - begun, time.process_time() - begun_cpu
        assert not done.run_requests or self.unfinished, done.skip_message
        return took
