"""Read ahead: one thread makes chunks while another uses them."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress

_AHEAD = 8


class Stopped(Exception):
    """Whoever read wants no more."""


def pulled(make: Callable[[Callable[[bytes], None]], None], *, name: str, most: int) -> Iterator[bytes]:
    """The chunks that `make` hands to what it is given, `most` of them waiting, made in a thread of that name.

    What `make` raises is raised here, at the end. When nobody wants more, what it is given raises Stopped.
    """
    waiting: queue.Queue[bytes | None] = queue.Queue(most)
    stopped = threading.Event()
    failure: list[BaseException] = []

    def put(chunk: bytes | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                waiting.put(chunk, timeout=0.1)
                return
        raise Stopped

    def run() -> None:
        try:
            make(put)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that reads
            failure.append(error)
        with suppress(Stopped):
            put(None)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        while (chunk := waiting.get()) is not None:
            yield chunk
    finally:
        stopped.set()
        thread.join()
    if failure:
        raise failure[0]


def ahead(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks, some made ahead in another thread; what they raise is raised here.

    When nobody wants more, the thread ends, and `chunks` with it.
    """

    def make(put: Callable[[bytes], None]) -> None:
        try:
            for chunk in chunks:
                put(chunk)
        finally:
            if isinstance(chunks, Generator):
                chunks.close()

    return pulled(make, name="ahead", most=_AHEAD)
