"""Free ports on loopback, the same ones as last time where possible."""

import random
import socket
import threading
from collections.abc import Sequence

__all__ = ["DERIVED", "LOOPBACK", "pick"]

LOOPBACK = "127.0.0.1"
# Below Linux's ephemeral ports (32768 and up), so that nobody's outgoing connection takes one meanwhile; and so low
# that a port 10,000 above, which the S3 server derives, is below them too.
_RANGE = range(15_000, 22_000)
DERIVED = 10_000

_lock = threading.Lock()
_given: set[int] = set()


def pick(count: int, last_time: Sequence[int] = ()) -> list[int]:
    """`count` ports that are free now, and whose derived ports are. Whoever binds them must still be ready to fail."""
    with _lock:
        if len(last_time) == count and all(map(_free, last_time)):
            chosen = list(last_time)
        else:
            candidates = random.SystemRandom().sample(_RANGE, len(_RANGE))
            fresh = (port for port in candidates if port not in _given and _free(port))
            chosen = [next(fresh) for _ in range(count)]
        _given.update(chosen)
        return chosen


def _free(port: int) -> bool:
    for number in (port, port + DERIVED):
        with socket.socket() as probe:
            # As the servers do: a connection of the last server that lingers in TIME_WAIT is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, number))
            except OSError:
                return False
    return True
