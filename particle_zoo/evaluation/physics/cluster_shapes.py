"""What clusters look like: alphas, electrons, MIPs at an angle, readout, the CCD classes, lead ions."""

from __future__ import annotations

import numpy as np

from particle_zoo.evaluation.physics import tracks
from particle_zoo.evaluation.physics.rows import Findings, Row, between, informs
from particle_zoo.simulation import ccd, simulate
from particle_zoo.simulation.charge import Charge, collect
from particle_zoo.simulation.generate import box_of, to_clusters
from particle_zoo.simulation.particles import particle
from particle_zoo.simulation.readout import read_out
from particle_zoo.simulation.sensor import TIMEPIX3_500UM, TIMEPIX_300UM
from particle_zoo.simulation.spectra import Spectrum
from particle_zoo.simulation.transport import deposit_all, straight

ALPHA_PX = {(3, 4): 16, (4, 5): 18, (5, 6): 20, (6, 7): 22, (7, 9): 25}
"""Median size (px) of alpha clusters by energy (MeV); a Timepix of 300 um at 155 V (mPIXdaq data)."""

CCD_PX = {"xray": (22, 5), "muon": (130, 39), "electron": (158, 47.4)}
"""Median sizes (px) of the hand-labelled CCD clusters of seed 003, and tolerances: 5 px, and 30 % of the tracks."""

ANGLES = (0, 15, 30, 45, 60, 75)


def alphas(seed: int) -> Findings:
    """Sizes in five bins of energy; flat spectrum in each."""
    found = Findings()
    for i, ((low, high), published) in enumerate(ALPHA_PX.items()):
        law = Spectrum("power", low_mev=low, high_mev=high, index=0.0)
        clusters = simulate("timepix_300um", particle="alpha", n=5000, seed=seed + i, spectrum=law, angles="cosine")
        size = float(np.median(clusters.sizes))
        name = f"median size, {low}-{high} MeV"
        found.rows.append(between("alphas", name, size, published, published, plus=3, unit="px"))
        found.curves.setdefault("energy", []).append((low + high) / 2)
        found.curves.setdefault("size", []).append(size)
        found.curves.setdefault("published", []).append(published)
    return found


def beta_spectrum(end_points_mev: tuple[float, ...]) -> Spectrum:
    """Allowed beta spectra, p E (Q - T)^2, of equal activities."""
    energy = np.linspace(0.05, 0.999 * max(end_points_mev), 200)
    total = energy + 0.511
    momentum = np.sqrt(total**2 - 0.511**2)
    flux = np.zeros_like(energy)
    for end in end_points_mev:
        one = momentum * total * np.maximum(end - energy, 0) ** 2
        flux += one / one.sum()
    return Spectrum("tabulated", energies_mev=tuple(energy.tolist()), flux=tuple(flux.tolist()))


def electron_pixels(seed: int) -> Findings:
    """Median energy of a pixel under a Sr-90/Y-90 source."""
    law = beta_spectrum((0.546, 2.28))
    clusters = simulate("timepix_300um", particle="electron", n=20_000, seed=seed, spectrum=law, angles="cosine")
    energy = clusters.column("energy")
    row = between("pixels", "median under Sr-90/Y-90", float(np.median(energy)), 18, 20, plus=2, unit="keV")
    quantiles = np.quantile(energy, (0.25, 0.5, 0.75, 0.95))
    informed = [
        informs("pixels", f"{share} % quantile under Sr-90/Y-90", float(value), f"{real} keV (mPIXdaq)")
        for share, value, real in zip((25, 75, 95), quantiles[[0, 2, 3]], (11, 34, 79), strict=True)
    ]
    return Findings([row, *informed], {"energy": energy})


def mips(seed: int) -> Findings:
    """Size of clusters of 4 GeV muons against the angle to the normal, 300 um."""
    found = Findings()
    for angle in ANGLES:
        clusters = simulate(
            "timepix_300um", particle="muon", n=5000, seed=seed, energy_mev=4000, angles=f"fixed:{angle}"
        )
        size = float(np.median(clusters.sizes))
        if angle == 45:
            found.rows.append(between("MIPs", "median size at 45 deg", size, 5, 7, unit="px"))
        elif angle == 60:
            found.rows.append(informs("MIPs", "median size at 60 deg", size, "about 10 px (mPIXdaq)"))
        found.curves.setdefault("angle", []).append(angle)
        found.curves.setdefault("size", []).append(size)
        found.curves.setdefault("mean", []).append(float(clusters.sizes.mean()))
    return found


def readout(seed: int) -> Findings:
    """Charge before the threshold, the threshold itself, saturation and volcano on and off."""
    found = Findings()
    rng = np.random.default_rng((seed, 20))
    for name, energy in (("muon", 4e6), ("electron", 1e3), ("alpha", 5.5e3)):
        kind, n = particle(name), 5000
        deposits = deposit_all(
            rng, kind, tracks.entering(rng, kind, TIMEPIX_300UM, np.full(n, energy), 30.0), box_of(TIMEPIX_300UM)
        )
        charge = collect(deposits, TIMEPIX_300UM)
        lost = abs(charge.energy.sum() / deposits.energy.sum() - 1)
        found.rows.append(Row("readout", f"charge lost, {name}", 100 * lost, "0 %", "0.1 %", 0, 0.1))
    clusters = simulate("timepix_300um", particle="muon", n=5000, seed=seed, energy_mev=4000, angles="fixed:60")
    lowest = float(clusters.column("energy").min())
    found.rows.append(between("readout", "lowest pixel at a threshold of 5 keV", lowest, 5.0, 5.1, unit="keV"))
    energies = np.geomspace(5.5, 4000, 400)
    for bits, sensor in ((10, TIMEPIX3_500UM), (14, TIMEPIX_300UM)):
        quiet = sensor.with_(noise_kev=0.0, gain_spread=0.0, fano=0.0)
        for on in (False, True):
            pixel = Charge(np.arange(400), np.zeros(400, int), np.zeros(400, int), energies, np.zeros(400))
            reading = read_out(pixel, quiet.with_(saturation=on), np.random.default_rng(0))
            found.curves[f"{sensor.chip}, saturation {'on' if on else 'off'}"] = (energies, reading.energy)
            if bits == 10:
                top = float(reading.tot.max())
                accepted = (1023, 1023) if on else (6000, 7000)
                name = f"largest ToT up to 4 MeV, saturation {'on' if on else 'off'}"
                found.rows.append(between("readout", name, top, *accepted))
            else:
                over = float(np.max(reading.energy[energies < 2000] / energies[energies < 2000]))
                accepted_over = (1.05, 2.0) if on else (0.9, 1.05)
                name = f"overshoot at 1-2 MeV, saturation {'on' if on else 'off'}"
                found.rows.append(between("readout", name, over, *accepted_over))
    return found


def ccd_sizes(seed: int) -> Findings:
    """Median sizes of the three classes of the hand-labelled set."""
    found = Findings()
    for i, (name, (published, plus)) in enumerate(CCD_PX.items()):
        sizes = ccd.generate(1500, seed + i, mix={name: 1.0}).sizes
        size = float(np.median(sizes))
        found.rows.append(between("CCD", f"median size, {name}", size, published, published, plus=plus, unit="px"))
        found.curves[name] = sizes
    return found


def lead(seed: int, n: int = 150) -> Findings:
    """Lead ions of 150 GeV a nucleon in 500 um, normal incidence: loss, saturated core, halo of delta electrons."""
    kind, sensor = particle("pb"), TIMEPIX3_500UM
    rng = np.random.default_rng((seed, 30))
    ions = tracks.entering(rng, kind, sensor, np.full(n, 208 * 150e6), 0.0)
    local, knocked = straight(rng, kind, ions, box_of(sensor))
    loss = (local.energy.sum() + knocked.energy.sum()) / (n * sensor.thickness_um) * 1e-3
    deposits = deposit_all(rng, kind, ions, box_of(sensor))
    charge = collect(deposits, sensor)
    pixels = read_out(charge, sensor, rng)
    core, reach = np.empty(n), np.empty(n)
    for i in range(n):
        of = slice(*np.searchsorted(pixels.event, (i, i + 1)))
        row, col = ions.position[1, i] / sensor.pitch_um, ions.position[0, i] / sensor.pitch_um
        distance = np.hypot(pixels.row[of] + 0.5 - row, pixels.col[of] + 0.5 - col)
        core[i] = pixels.energy[of][distance < 1.5].min()
        reach[i] = distance.max()
    clusters, _ = to_clusters(pixels, sensor)
    found = Findings(curves={"image": clusters[int(clusters.sizes.argmax())].images(96)[0]})
    found.rows.append(between("lead", "mean loss", loss, 2.8, 3.45, share=0.03, unit="MeV/um"))
    deposited = float(deposits.energy.sum()) / n * 1e-6
    found.rows.append(informs("lead", "deposited in 500 um", deposited, "1.7 GeV lost; fast deltas leave"))
    saturated = float((core > sensor.volcano_kev[1]).mean())
    found.rows.append(between("lead", "ions whose core pixels all exceed 2 MeV", saturated, 1.0, 1.0))
    found.rows.append(between("lead", "median reach of the halo", float(np.median(reach)), 10, 100, unit="px"))
    return found
