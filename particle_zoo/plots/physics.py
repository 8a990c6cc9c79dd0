"""Figures of the simulation beside published physics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.plots import figure

Curves = dict[str, Any]


def draw(group: str, curves: Curves, path: Path) -> bool:
    """Draw the figure of one group of checks; returns whether there is one.

    Args:
        group: a key of `particle_zoo.evaluation.physics.CHECKS`.
        curves: what its check returned.
        path: PNG to write.
    """
    painter = _PAINTERS.get(group)
    if painter is None:
        return False
    with figure(path, figsize=(6, 4.2)) as (_, axes):
        painter(axes[0, 0], curves)
        axes[0, 0].set_title(f"{group}: fast simulation, not Geant4")
    return True


def _landau(axis: Any, curves: Curves) -> None:
    for name, loss in curves.items():
        axis.hist(loss, bins=np.arange(40, 300, 2), histtype="step", density=True, label=name)
    axis.set_xlabel("energy deposited (keV)")
    axis.set_ylabel("per keV")
    axis.legend(fontsize=8)


def _protons(axis: Any, curves: Curves) -> None:
    axis.loglog(curves["energy"], curves["published"], "k-", label="published")
    axis.loglog(curves["energy"], curves["range"], "o", label="simulated")
    axis.set_xlabel("proton energy (MeV)")
    axis.set_ylabel("range in silicon (um)")
    axis.legend()


def _electrons(axis: Any, curves: Curves) -> None:
    axis.loglog(curves["energy"], curves["published"], "k-", label="Highland")
    axis.loglog(curves["energy"], curves["angle"], "o", label="simulated")
    axis.set_xticks(curves["energy"], [f"{energy:g}" for energy in curves["energy"]])
    axis.minorticks_off()
    axis.set_xlabel("electron energy (MeV)")
    axis.set_ylabel("angle after 55 um (degrees)")
    axis.legend()


def _alphas(axis: Any, curves: Curves) -> None:
    axis.errorbar(curves["energy"], curves["published"], yerr=3, fmt="ks", capsize=3, label="measured, +-3 px")
    axis.plot(curves["energy"], curves["size"], "o", label="simulated")
    axis.set_xlabel("alpha energy (MeV)")
    axis.set_ylabel("median cluster size (px)")
    axis.legend()


def _pixels(axis: Any, curves: Curves) -> None:
    axis.hist(curves["energy"], bins=np.arange(5, 155, 5), histtype="step", label="Sr-90/Y-90, simulated")
    axis.axvspan(18, 20, color="grey", alpha=0.3, label="published median")
    axis.set_xlabel("pixel energy (keV)")
    axis.set_ylabel("pixels")
    axis.legend()


def _mips(axis: Any, curves: Curves) -> None:
    axis.plot(curves["angle"], curves["size"], "o-", label="median")
    axis.plot(curves["angle"], curves["mean"], ":", label="mean")
    axis.errorbar([45], [6], yerr=1, fmt="ks", capsize=3, label="published, 45 degrees")
    axis.set_xlabel("angle to the normal (degrees)")
    axis.set_ylabel("cluster size (px)")
    axis.legend()


def _readout(axis: Any, curves: Curves) -> None:
    for name, (true, reading) in curves.items():
        axis.loglog(true, reading, "-" if name.endswith("off") else "--", label=name)
    axis.set_xlabel("charge of the pixel (keV)")
    axis.set_ylabel("calibrated reading (keV)")
    axis.legend(fontsize=8)


def _ccd(axis: Any, curves: Curves) -> None:
    for name, sizes in curves.items():
        axis.hist(
            sizes, bins=np.geomspace(5, 1500, 40), histtype="step", label=f"{name}, median {np.median(sizes):.0f} px"
        )
    axis.set_xscale("log")
    axis.set_xlabel("cluster size (px)")
    axis.set_ylabel("clusters")
    axis.legend()


def _lead(axis: Any, curves: Curves) -> None:
    axis.imshow(np.log10(np.maximum(curves["image"], 1)), origin="lower", cmap="inferno")
    axis.set_xlabel("column (px)")
    axis.set_ylabel("row (px)")


_PAINTERS: dict[str, Callable[[Any, Curves], None]] = {
    "Landau": _landau,
    "protons": _protons,
    "electrons": _electrons,
    "alphas": _alphas,
    "pixels": _pixels,
    "MIPs": _mips,
    "readout": _readout,
    "CCD": _ccd,
    "lead": _lead,
}
