"""Values made in threads before they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Number = TypeVar("Number")
Made = TypeVar("Made")


def ahead(
    make: Callable[[Number], Made], numbers: Iterable[Number], *, most: int, threads: int = 1
) -> Generator[Made, None, None]:
    """Yield what is made of each number, in order, while threads make the next ones.

    NumPy, compiled drawing, inflating and parsing leave Python's lock to whoever uses what was made. Closing the generator, or
    an error, gives up what has not begun and waits for what has.

    Args:
        make: called with each number, in a thread; with one thread one call at a time, in order.
        numbers: as many as there may be, also without end.
        most: values that are made or being made beside the one in use.
        threads: in which they are made.

    Raises:
        Exception: what `make` raises, at the place of its value.
    """
    pool = ThreadPoolExecutor(threads, "ahead")
    waiting: deque[Future[Made]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
