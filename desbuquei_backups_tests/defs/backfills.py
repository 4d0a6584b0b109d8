"""Backfills as Dagster's daemon runs them, in this process."""

import logging
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.selector import PartitionRangeSelector, PartitionsByAssetSelector, PartitionsSelector
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_backfill_id
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from desbuquei_backups.core.slots import Slot

_CHAIN = ("dump", "checksum_manifest", "s3_archive", "restored_copy")
_MOST_ITERATIONS = 20


def backfill(instance: dg.DagsterInstance, *slots: Slot) -> BulkActionStatus:
    """Ask for the whole chains of those slots, and let the daemon queue and launch them; how the backfill ended."""
    asked = make_new_backfill_id()
    target = LoadableTargetOrigin(module_name="desbuquei_backups.definitions")
    workspace = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(target))
    with WorkspaceProcessContext(instance, workspace) as context:
        instance.add_backfill(
            PartitionBackfill.from_partitions_by_assets(
                backfill_id=asked,
                asset_graph=context.create_request_context().asset_graph,
                backfill_timestamp=datetime.now(UTC).timestamp(),
                tags={},
                dynamic_partitions_store=instance,
                partitions_by_assets=[_selected(slot, asset) for slot in slots for asset in _CHAIN],
                title=None,
                description=None,
                run_config=None,
            )
        )
        for _ in range(_MOST_ITERATIONS):
            errors = [error for error in execute_backfill_iteration(context, logging.getLogger("backfill")) if error]
            assert errors == []
            launched = QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(context)
            assert [error for error in launched if error] == []
            found = instance.get_backfill(asked)
            assert found is not None
            if found.status not in (BulkActionStatus.REQUESTED, BulkActionStatus.FAILING):
                return found.status
    raise AssertionError("the backfill does not end")


def _selected(slot: Slot, asset: str) -> PartitionsByAssetSelector:
    return PartitionsByAssetSelector(
        asset_key=dg.AssetKey(["desbuquei", slot.tier, asset]),
        partitions=PartitionsSelector([PartitionRangeSelector(slot.key, slot.key)]),
    )
