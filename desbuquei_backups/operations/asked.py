"""Who asked for a backup that no schedule asks for, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """Both go into the backup's manifest and its records."""

    operator: str
    reason: str

    @property
    def blank(self) -> bool:
        """Whether one of them says nothing."""
        return not (self.operator.strip() and self.reason.strip())
