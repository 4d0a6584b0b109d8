"""What Dagster's daemon does with a tick of the sensor, in this process, on a clock that the test moves."""

from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.storage.tags import RUN_KEY_TAG
from dagster._core.test_utils import freeze_time

from desbuquei_backups.defs.resources import Backups
from desbuquei_backups_tests.conftest import Clock

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Daemon:
    """One that ticks when it is told to. Two of them on one instance share nothing but that."""

    instance: dg.DagsterInstance
    clock: Clock
    definitions: dg.Definitions
    cursor: str | None = None
    said: list[str] = field(default_factory=list)

    def tick(self) -> list[dg.RunRequest]:
        """Let the sensor look; what it asks for. A tick that raises leaves the cursor as it was."""
        with freeze_time(self.clock()):
            context = dg.build_sensor_context(
                instance=self.instance,
                cursor=self.cursor,
                repository_def=self.definitions.get_repository_def(),
                sensor_name="desbuquei_unfinished_slots",
                resources={"backups": Backups()},
            )
            done: SensorExecutionData = self.definitions.resolve_sensor_def("desbuquei_unfinished_slots").evaluate_tick(
                context
            )
        self.cursor = done.cursor
        self.said.append(done.skip_message or "")
        for each in done.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(each.partitions_def_name, list(each.partition_keys))
        return list(done.run_requests or ())

    def asked(self) -> list[dg.RunRequest]:
        """What is asked for when schedules have had their time: nobody else began it."""
        self.tick()
        self.clock.pass_by(seconds=90)
        return self.tick()

    def launch(self, requests: list[dg.RunRequest], *, during: Callable[[], None] = lambda: None) -> list[bool]:
        """Execute those of the requests whose keys no run bears yet; whether each went well."""
        done = []
        for request in requests:
            if self.instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: request.run_key or ""})):
                continue
            during()
            with freeze_time(self.clock()):
                job = self.definitions.resolve_job_def(request.job_name or "")
                result = job.execute_in_process(
                    partition_key=request.partition_key,
                    asset_selection=list(request.asset_selection) if request.asset_selection else None,
                    tags={**request.tags, RUN_KEY_TAG: request.run_key or ""},
                    instance=self.instance,
                    raise_on_error=False,
                    run_config=_QUIET,
                )
            done.append(result.success)
        return done
