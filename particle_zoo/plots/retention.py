"""How much light is kept, against how much of the area is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from particle_zoo.plots import figure


def against_area(
    path: Path, curves: Mapping[str, Mapping[str, Sequence[float]]], *, discarded: float, title: str
) -> None:
    """Draw one line a method.

    Args:
        path: PNG to write.
        curves: `area` and `light` that are kept, shares, by the name of the method.
        discarded: share of the area to mark.
        title: of the figure.
    """
    from matplotlib import colormaps

    with figure(path, figsize=(8, 4.5)) as (_, axes):
        axis = axes[0, 0]
        for number, (name, curve) in enumerate(curves.items()):
            axis.plot(curve["area"], curve["light"], color=colormaps["tab20"](number % 20), linewidth=1.1, label=name)
        axis.axvline(1 - discarded, color="0.6", linewidth=0.8, linestyle="--")
        axis.set_xscale("log")
        axis.set_xlim(1e-3, 1)
        axis.set_ylim(0.5, 1.005)
        axis.set_xlabel("share of the area kept")
        axis.set_ylabel("share of the light kept")
        axis.set_title(title, fontsize=10)
        axis.legend(fontsize=7, loc="lower right")
