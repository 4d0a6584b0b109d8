"""Read ahead: one thread makes chunks while another uses them."""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress

_AHEAD = 8


def ahead(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks, some made ahead in another thread; what they raise is raised here.

    When nobody wants more, the thread ends, and `chunks` with it.
    """
    waiting: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
    stopped = threading.Event()
    failure: list[BaseException] = []

    def put(chunk: bytes | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                waiting.put(chunk, timeout=0.1)
                return

    def make() -> None:
        try:
            for chunk in chunks:
                put(chunk)
                if stopped.is_set():
                    break
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that reads
            failure.append(error)
        finally:
            if isinstance(chunks, Generator):
                chunks.close()
            put(None)

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while (chunk := waiting.get()) is not None:
            yield chunk
    finally:
        stopped.set()
        thread.join()
    if failure:
        raise failure[0]
