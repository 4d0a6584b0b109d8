"""How an operation tells whoever watches how far it is: the command line draws bars, Dagster logs stages."""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
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


@contextmanager
def timed(seconds: MutableMapping[str, float], stage: str) -> Iterator[None]:
    """Write into `seconds` how long the block took, if it ends well."""
    begun = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - begun, 3)
