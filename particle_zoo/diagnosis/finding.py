"""One thing that is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A problem and what to do about it.

    Args:
        problem: what is wrong, with what was found.
        remedy: what to do next.
        fatal: whether nothing can be trained here because of it.
    """

    problem: str
    remedy: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"
