from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from particle_zoo import InputError
from particle_zoo.pipelines.ahead import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("most", [1, 4, 50])
def test_values_come_in_the_order_of_their_numbers(most: int, workers: int) -> None:
    def make(i: int) -> int:
        # With several threads later ones are done first.
        time.sleep(0.002 * (i % 3 == 0))
        return i * i

    assert list(ahead(make, range(30), most=most, threads=workers)) == [i * i for i in range(30)]
    assert not threads()


def test_one_thread_makes_one_value_at_a_time_and_never_more_than_asked_for() -> None:
    begun: list[int] = []
    busy = threading.Lock()

    def make(i: int) -> int:
        assert busy.acquire(blocking=False)
        begun.append(i)
        busy.release()
        return i

    values = ahead(make, itertools.count(), most=4)
    for taken in range(10):
        assert next(values) == taken
        # The one in use, and four that wait.
        wait_until(lambda taken=taken: len(begun) == taken + 5)  # type: ignore[misc]
    time.sleep(0.02)
    assert begun == list(range(14))
    values.close()


def test_an_error_comes_through_as_itself_in_its_place_and_ends_the_thread() -> None:
    error = InputError("no 6")

    def make(i: int) -> int:
        if i == 6:
            raise error
        return i

    values = ahead(make, itertools.count(), most=4)
    assert [next(values) for _ in range(6)] == list(range(6))
    with pytest.raises(InputError) as raised:
        next(values)
    assert raised.value is error
    assert not threads()


def test_closing_gives_up_what_has_not_begun_and_ends_the_thread() -> None:
    go = threading.Event()
    begun: list[int] = []

    def make(i: int) -> int:
        begun.append(i)
        if i:
            go.wait(30)
        return i

    values = ahead(make, itertools.count(), most=4)
    assert next(values) == 0
    wait_until(lambda: begun == [0, 1])
    threading.Timer(0.05, go.set).start()
    values.close()
    # It waited for the one that had begun.
    assert go.is_set()
    assert begun == [0, 1]
    assert not threads()
