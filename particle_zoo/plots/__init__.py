"""Every figure a user sees. Figures are drawn without pyplot, so nothing depends on a display or a global state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from particle_zoo.cli import replacing


@contextmanager
def figure(
    path: Path, rows: int = 1, columns: int = 1, *, heights: Sequence[float] | None = None, **options: Any
) -> Iterator[tuple[Any, Any]]:
    """Yield (figure, axes array) and save to `path` (PNG) at the end; axes always as a (rows, columns) array."""
    from matplotlib.figure import Figure

    canvas = Figure(layout="constrained", **options)
    axes = canvas.subplots(rows, columns, squeeze=False, height_ratios=heights)
    yield canvas, axes
    with replacing(path) as temporary:
        canvas.savefig(temporary, dpi=120)
