"""Many small requests at once: what they answer, in order, with few of them held."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AT_ONCE = 16

Given = TypeVar("Given")
Made = TypeVar("Made")


def side_by_side(do: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """What `do` makes of each item, in their order. An error of one ends it, those before it being there first."""
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(do, item))
                if len(waiting) >= 2 * AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
