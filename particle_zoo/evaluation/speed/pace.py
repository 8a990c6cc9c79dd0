"""When a measurement begins and when it has seen enough, alike for every side."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

WARM = 3
"""Calls before the timed ones, the first of which compiles, at least."""

LEAST_SECONDS = 1.0
"""Fast steps are timed for so long at least."""


@dataclass
class Pace:
    """A clock that is told of every call and says when to stop.

    Args:
        steps: timed steps at least, unless the budget is spent.
        budget: most seconds of timed steps.
        least: fewest seconds of timed steps.
        warm: calls before them.

    Attributes:
        first: seconds to the end of the first call, compilation included.
        waited: seconds of the timed steps in which they waited for data, where someone adds them.
    """

    steps: int
    budget: float
    least: float = LEAST_SECONDS
    warm: int = WARM
    first: float = 0.0
    waited: float = 0.0
    _calls: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _origin: float = field(default=0.0, init=False)
    _end: float = field(default=0.0, init=False)
    _work: float = field(default=0.0, init=False)
    _worked: float = field(default=0.0, init=False)

    def begin(self) -> None:
        """Start the clock, before the first call."""
        self._origin = time.perf_counter()

    @property
    def timing(self) -> bool:
        """Whether the warm-up is over."""
        return self._calls >= self.warm

    def warming_ends(self) -> bool:
        """Whether the call that has just ended is the last of the warm-up: what is still running should be waited for."""
        return self._calls == self.warm - 1

    def call(self, steps: int = 1) -> bool:
        """Count a call of so many steps that has just ended; returns whether there were enough."""
        now = time.perf_counter()
        self._calls += 1
        if self._calls == 1:
            self.first = now - self._origin
        if self._calls <= self.warm:
            self._origin, self._work = now, time.process_time()
            return False
        self._done += steps
        self.finish()
        passed = now - self._origin
        return (self._done >= self.steps and passed >= self.least) or passed >= self.budget

    def finish(self) -> None:
        """Move the end of the last call to now, after what was still running has been waited for."""
        self._end, self._worked = time.perf_counter(), time.process_time() - self._work

    def result(self, batch_size: int) -> dict[str, Any]:
        """What was timed.

        Args:
            batch_size: examples a step.

        Returns:
            `first_step_s`; of the timed `steps` `step_ms`, `cpu_ms` (of all threads of the process, which other programs on the
            same cores change less), `examples_per_s`; and `wait_share`, from 0 to 1.
        """
        seconds = self._end - self._origin
        return {
            "first_step_s": self.first,
            "steps": self._done,
            "step_ms": 1e3 * seconds / self._done,
            "cpu_ms": 1e3 * self._worked / self._done,
            "examples_per_s": batch_size * self._done / seconds,
            "wait_share": min(1.0, max(0.0, self.waited / seconds)),
        }
