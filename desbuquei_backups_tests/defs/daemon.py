"""What Dagster's daemon does with a tick of the sensor, in this process, on a clock that the test moves."""

import os
import signal
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.storage.tags import RUN_KEY_TAG
from dagster._core.test_utils import freeze_time

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.defs import resources
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.run_process import end_orphans
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
        """Let the sensors look; what is asked for. A tick that raises leaves the cursor as it was."""
        with freeze_time(self.clock()), partition_loading_context(dynamic_partitions_store=self.instance):
            end_orphans(self.instance)
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

    def launch(self, requests: list[dg.RunRequest]) -> list[bool]:
        """Execute those of the requests whose keys no run bears yet; whether each went well."""
        new = [each for each in requests if not self.instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: _key(each)}))]
        return [self._executed(each, self.instance) for each in new]

    def scheduled(self, slot: Slot) -> bool:
        """Execute what the tier's schedule asks for; whether it went well."""
        return self._executed(dg.RunRequest(job_name=f"desbuquei_{slot.tier}", partition_key=slot.key), self.instance)

    def killed(self, request: dg.RunRequest, *, at: str) -> None:
        """Execute the request in a process that is killed when it comes to a stage whose name begins with `at`."""
        if (child := os.fork()) == 0:
            resources.StageLog.stage = lambda self, name, *_, **__: (
                name.startswith(at)
                and os.kill(  # type: ignore
                    os.getpid(), signal.SIGKILL
                )
            )
            try:
                with dg.DagsterInstance.from_ref(self.instance.get_ref()) as instance:
                    self._executed(request, instance)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"it never came to {at}"

    def _executed(self, request: dg.RunRequest, instance: dg.DagsterInstance) -> bool:
        with freeze_time(self.clock()):
            job = self.definitions.resolve_job_def(request.job_name or "")
            result = job.execute_in_process(
                partition_key=request.partition_key,
                asset_selection=list(request.asset_selection) if request.asset_selection else None,
                tags={**request.tags, **({RUN_KEY_TAG: _key(request)} if request.run_key else {})},
                instance=instance,
                raise_on_error=False,
                run_config=_QUIET,
            )
        return result.success


def _key(request: dg.RunRequest) -> str:
    return request.run_key or ""
