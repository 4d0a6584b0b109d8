"""Who asked for a backup that no schedule asks for, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """Both go into the backup's manifest and its records, without the blanks around them."""

    operator: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "operator", self.operator.strip())
        object.__setattr__(self, "reason", self.reason.strip())

    @property
    def blank(self) -> bool:
        """Whether one of them says nothing."""
        return not (self.operator and self.reason)
