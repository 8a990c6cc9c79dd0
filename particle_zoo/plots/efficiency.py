"""How many events are found, against their energy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from particle_zoo.plots import figure


def against_energy(path: Path, methods: dict[str, pd.DataFrame], *, title: str) -> None:
    """Draw one panel a class, one line with 95 % intervals a method.

    Args:
        path: PNG to write.
        methods: rows of `particle_zoo.evaluation.anomaly.efficiency` by `class` and `energy_kev`, by the name of the method.
        title: of the figure.
    """
    classes = sorted({name for rows in methods.values() for name in rows["class"]})
    with figure(path, 1, max(len(classes), 1), figsize=(1 + 4.5 * max(len(classes), 1), 4)) as (canvas, axes):
        canvas.suptitle(title, fontsize=10)
        for axis, kind in zip(axes.flat, classes, strict=False):
            for number, (name, rows) in enumerate(methods.items()):
                own = rows[rows["class"] == kind].sort_values("energy_kev")
                # Lines beside each other where methods agree.
                energy = own["energy_kev"] * 1.04 ** (number - (len(methods) - 1) / 2)
                axis.errorbar(
                    energy,
                    own["efficiency"],
                    [own["efficiency"] - own["low"], own["high"] - own["efficiency"]],
                    fmt="o-",
                    markersize=3,
                    linewidth=0.9,
                    capsize=2,
                    label=name,
                )
            axis.set_xscale("log")
            axis.minorticks_off()
            ticks = sorted({x for rows in methods.values() for x in rows.loc[rows["class"] == kind, "energy_kev"]})
            axis.set_xticks(ticks, [f"{x:g}" for x in ticks])
            axis.set_ylim(-0.03, 1.03)
            axis.set_xlabel("energy (keV)")
            axis.set_title(kind, fontsize=9)
        axes[0, 0].set_ylabel("share of events found")
        axes[0, 0].legend(fontsize=7)
