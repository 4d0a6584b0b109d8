"""From a base backup and an increment of it, unpacked beside each other, to the cluster that they stand for."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from desbuquei_backups.core.recovery import Plan
from desbuquei_backups.operations.recovery_folder import RecoveryFolder
from desbuquei_backups.postgres import physical
from desbuquei_backups.postgres.programs import Programs
from desbuquei_backups.storage.disk import disk_errors


@dataclass(frozen=True, slots=True)
class Combining:
    """Where the backups of a plan are unpacked to: a base backup alone is the cluster already."""

    folder: RecoveryFolder
    plan: Plan

    @property
    def unpacked(self) -> Mapping[str, Path]:
        """The folder of each, by its id."""
        if self.plan.increment is None:
            return {self.plan.base.backup_id: self.folder.data}
        return {self.plan.base.backup_id: self._base, self.plan.increment.backup_id: self._increment}

    @property
    def _base(self) -> Path:
        return self.folder.work / "base"

    @property
    def _increment(self) -> Path:
        return self.folder.work / "increment"

    def combine(self, programs: Programs) -> None:
        """Combine them, and keep nothing but the result, in the data directory. ToolFailed, DiskError."""
        combined = self.folder.work / "combined"
        physical.combine(programs, self._base, self._increment, combined)
        with disk_errors(self.folder.data):
            for path in combined.iterdir():
                path.rename(self.folder.data / path.name)
            for left in (combined, self._base, self._increment):
                shutil.rmtree(left)
