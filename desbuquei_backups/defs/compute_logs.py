"""What a run's programs print: kept on this machine's disk, or in S3 where DESBUQUEI_LOGS_URL says so."""

import os
from collections.abc import Mapping
from typing import Any

from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData

from desbuquei_backups.storage.s3_client import bucket_and_prefix

LOGS_URL = "DESBUQUEI_LOGS_URL"


class ComputeLogs(ComputeLogManager):
    """Which of Dagster's own two keeps them, chosen when it starts.

    Not by dagster.yaml: dagster-aws takes seconds to import, and a variable that is not set would fail every run.
    """

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003
    ) -> ComputeLogManager:
        """ConfigurationError if the setting is no URL of a bucket."""
        folder = LocalArtifactStorage(os.environ["DAGSTER_HOME"]).storage_dir
        if not (url := os.environ.get(LOGS_URL)):
            return LocalComputeLogManager(folder, inst_data=inst_data)
        name, prefix = bucket_and_prefix(url, LOGS_URL)
        from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

        return S3ComputeLogManager(
            bucket=name,
            prefix=prefix or "dagster-logs",
            local_dir=folder,
            inst_data=inst_data,
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"),
            skip_empty_files=True,
        )
