"""The simulation against published physics, as a table: `python -m particle_zoo.benchmark physics`."""

from __future__ import annotations

from particle_zoo.evaluation.physics import cluster_shapes, energy_loss
from particle_zoo.evaluation.physics.rows import Check, Findings, Row

CHECKS: dict[str, Check] = {
    "Landau": energy_loss.landau,
    "protons": energy_loss.protons,
    "electrons": energy_loss.electrons,
    "alphas": cluster_shapes.alphas,
    "pixels": cluster_shapes.electron_pixels,
    "MIPs": cluster_shapes.mips,
    "readout": cluster_shapes.readout,
    "CCD": cluster_shapes.ccd_sizes,
    "lead": cluster_shapes.lead,
}
"""What is measured, by group."""

__all__ = ["CHECKS", "Check", "Findings", "Row"]
