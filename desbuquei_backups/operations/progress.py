"""How an operation tells whoever watches how far it is: the command line draws bars, Dagster logs stages."""

from typing import Protocol


class Progress(Protocol):
    """`stage` begins the next piece of work, of `total` bytes or things (None: not known); `advance` adds to it."""

    def stage(self, name: str, total: int | None = None, *, unit: str = "bytes") -> None: ...

    def advance(self, amount: int) -> None: ...


class Silent:
    """Nobody watches."""

    def stage(self, name: str, total: int | None = None, *, unit: str = "bytes") -> None:
        pass

    def advance(self, amount: int) -> None:
        pass
