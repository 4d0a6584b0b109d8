"""How fast bytes may be sent: one bucket of tokens for all parts that are on their way."""

import threading
import time
from collections.abc import Callable


class Throttle:
    """Lets `rate` bytes a second through, over any time longer than one part takes; None: as many as go.

    `clock` tells seconds and `sleep` waits so many.
    """

    def __init__(
        self,
        rate: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._free_at = 0.0
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may be sent: until those before them are paid for."""
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            start = max(self._free_at, now)
            self._free_at = start + count / self._rate
        if start > now:
            self._sleep(start - now)
