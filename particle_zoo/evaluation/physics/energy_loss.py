"""Energy loss: Landau peak and width, proton stopping and range, electron loss, path and scattering."""

from __future__ import annotations

import numpy as np

from particle_zoo.evaluation.physics import tracks
from particle_zoo.evaluation.physics.rows import Findings, between, informs, within
from particle_zoo.simulation.particles import ELECTRON, PROTON, particle
from particle_zoo.simulation.stopping import SILICON, table
from particle_zoo.simulation.tracks import limits
from particle_zoo.simulation.transport import deposit_all, propagate

MPV = {300: (78.5, 83.8), 500: (135.8, 144.2)}
"""Most probable loss (keV) by thickness (um), at minimum ionisation and at beta gamma 100; PDG's Landau-Vavilov form."""

PROTONS = {1: (175.3, 16.4), 5: (59.0, 214), 10: (34.5, 711), 20: (20.2, 2407), 50: (9.85, 12250), 100: (5.84, 41800)}
"""Stopping power (MeV cm2/g) and range (um) by energy (MeV): PSTAR at 1 MeV, Bethe with shell correction above."""

ELECTRON_PATH = {0.5: 938, 1.0: 2297, 2.0: 5068}
"""CSDA range (um) by energy (MeV), Berger-Seltzer."""

SCATTERING = {0.3: 28.0, 0.5: 18.0, 1.0: 10.2, 2.0: 5.6, 5.0: 2.5}
"""Highland's projected rms angle (degrees) after 55 um of silicon by electron energy (MeV)."""

PUNCH_THROUGH = {300: 6.1, 500: 8.2}
"""Proton energy (MeV) that crosses a thickness (um) at a right angle."""


def landau(seed: int, n: int = 100_000) -> Findings:
    """Peak and width of the loss of muons at minimum ionisation and at beta gamma 100."""
    found = Findings()
    muon = particle("muon")
    rng = np.random.default_rng((seed, 10))
    for thickness, published in MPV.items():
        box = limits((tracks.BLOCK_UM, tracks.BLOCK_UM, float(thickness)), 55.0)
        for (label, beta_gamma), value in zip((("minimum", 3.5), ("beta gamma 100", 100.0)), published, strict=True):
            energy = muon.mass_kev * (np.sqrt(1 + beta_gamma**2) - 1)
            deposits = deposit_all(rng, muon, tracks.beam(np.full(n, energy), thickness), box)
            loss = np.bincount(deposits.event, deposits.energy, n)
            peak, width = peak_and_width(loss)
            name = f"{thickness} um, {label}"
            found.rows.append(within("Landau", f"MPV, {name}", peak, value, 0.03, "keV"))
            if thickness == 300:
                found.rows.append(between("Landau", f"FWHM/MPV, {name}", width / peak, 0.27, 0.32))
            else:
                found.rows.append(informs("Landau", f"FWHM, {name}", width, "36-40 keV (4 xi)"))
            found.curves[name] = loss
    return found


def peak_and_width(loss: np.ndarray, sigma_kev: float = 1.0) -> tuple[float, float]:
    """Most probable value and full width at half maximum (keV) of a distribution, smoothed by `sigma_kev`."""
    from scipy.ndimage import gaussian_filter1d

    step = 0.25
    edges = np.arange(0, np.quantile(loss, 0.98), step)
    centre = 0.5 * (edges[1:] + edges[:-1])
    height = gaussian_filter1d(np.histogram(loss, edges)[0].astype(float), sigma_kev / step)
    # A cubic around the maximum: single bins of the flat top are noise.
    top = height > 0.85 * height.max()
    curve = np.polynomial.Polynomial.fit(centre[top], height[top], 3)
    fine = np.linspace(centre[top][0], centre[top][-1], 2001)
    peak, half = float(fine[curve(fine).argmax()]), float(curve(fine).max()) / 2
    above = np.flatnonzero(height > half)
    left = np.interp(half, height[above[0] - 1 : above[0] + 1], centre[above[0] - 1 : above[0] + 1])
    right = np.interp(-half, -height[above[-1] : above[-1] + 2], centre[above[-1] : above[-1] + 2])
    # The smoothing's own width, removed in quadrature.
    return peak, float(np.sqrt((right - left) ** 2 - (2.355 * sigma_kev) ** 2))


def protons(seed: int) -> Findings:
    """Stopping power from the loss on a fiftieth of the range, range from the path to the end, punch-through."""
    found = Findings()
    rng = np.random.default_rng((seed, 11))
    for energy, (stopping, reach) in PROTONS.items():
        n, piece = 5000, 0.02 * reach
        _, _, ends = propagate(rng, PROTON, tracks.inside(1e3 * energy, n), tracks.block(piece, piece))
        per_um = (1e3 * energy - ends.energy).mean() / piece
        # Over the piece the energy falls, and the stopping power rises by the exponent of its power law.
        slope = float(
            table(PROTON).dedx(np.array(1e3 * energy - 0.5 * per_um * piece))
            / table(PROTON).dedx(np.array(1e3 * energy))
        )
        measured = per_um / slope / (0.1 * SILICON.density)
        found.rows.append(within("protons", f"stopping at {energy} MeV", measured, stopping, 0.03, "MeV cm2/g"))
        _, _, ends = propagate(rng, PROTON, tracks.inside(1e3 * energy, 500), tracks.block(reach / 150))
        found.rows.append(within("protons", f"range at {energy} MeV", ends.path.mean(), reach, 0.03, "um"))
        found.curves.setdefault("energy", []).append(energy)
        found.curves.setdefault("range", []).append(ends.path.mean())
        found.curves.setdefault("published", []).append(reach)
    for thickness, threshold in PUNCH_THROUGH.items():
        energies = threshold + np.linspace(-0.4, 0.4, 33)
        n = 200
        _, _, ends = propagate(
            rng, PROTON, tracks.beam(1e3 * np.repeat(energies, n), thickness), tracks.slab(thickness, thickness / 60)
        )
        crossed = np.bincount(ends.event[ends.energy > 0] // n, minlength=len(energies)) / n
        measured = float(np.interp(0.5, np.maximum.accumulate(crossed), energies))
        name = f"punch-through, {thickness} um"
        found.rows.append(between("protons", name, measured, threshold, threshold, plus=0.2, unit="MeV"))
    return found


def electrons(seed: int) -> Findings:
    """Loss per pixel, path of contained electrons, scattering per pixel."""
    found = Findings()
    rng = np.random.default_rng((seed, 12))
    _, _, ends = propagate(rng, ELECTRON, tracks.inside(1e3, 20_000), tracks.block(55 / 3, 55.0))
    loss = (1e3 - ends.energy).mean()
    found.rows.append(between("electrons", "loss per 55 um at 1 MeV", loss, 19.4, 21.0, share=0.05, unit="keV"))
    for energy, published in ELECTRON_PATH.items():
        _, _, ends = propagate(rng, ELECTRON, tracks.inside(1e3 * energy, 5000), tracks.block(55 / 3))
        path = ends.path.mean()
        found.rows.append(within("electrons", f"contained path at {energy:g} MeV", path, published, 0.05, "um"))
    for energy, degrees in SCATTERING.items():
        _, _, ends = propagate(rng, ELECTRON, tracks.inside(1e3 * energy, 20_000), tracks.block(55 / 3, 55.0))
        core, projected = core_angle(ends.direction[0]), projected_rms(ends.direction)
        where = f"per 55 um at {energy:g} MeV"
        found.rows.append(within("electrons", f"core angle {where}", core, degrees, 0.1, "deg"))
        found.rows.append(within("electrons", f"projected rms angle {where}", projected, degrees, 0.1, "deg"))
        found.curves.setdefault("energy", []).append(energy)
        found.curves.setdefault("angle", []).append(core)
        found.curves.setdefault("published", []).append(degrees)
    return found


def core_angle(cosine: np.ndarray) -> float:
    """Projected width (degrees) of the Gaussian core of scattering: the median of the space angles over 1.177.

    Large angles hardly move the median, so this is no rms; `projected_rms` is.
    """
    # The median of a Rayleigh law of width 1.
    return float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))) / np.sqrt(2 * np.log(2)))


def projected_rms(direction: np.ndarray) -> float:
    """Rms (degrees) of the angles, projected onto both planes through x, of particles that started along x.

    Args:
        direction: (3, n) unit vectors.
    """
    along, *sideways = direction
    return float(np.degrees(np.sqrt(np.mean(np.square(np.arctan2(sideways, along))))))
