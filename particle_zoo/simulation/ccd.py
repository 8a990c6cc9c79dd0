"""Clusters of a thick CCD, labelled as in seed 003: X-ray spots, muon lines, electron worms, several in one, other.

The sensor follows DAMIC-type CCDs (15 um pixels, 675 um thick, arXiv:1607.07410), the particles run through the same
transport as those of the Timepix presets, and gain and pedestal are chosen so that the threshold of 4000 ADU cuts where
the hand-labelled clusters end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.simulation.ccd_events import KINDS
from particle_zoo.simulation.charge import Charge, collect
from particle_zoo.simulation.generate import check_count, no_cluster, to_clusters
from particle_zoo.simulation.readout import read_out
from particle_zoo.simulation.sensor import CCD_675UM, SensorConfig, is_number

Rng = np.random.Generator

CCD = CCD_675UM

MIX = {"other": 0.08, "xray": 0.35, "electron": 0.14, "muon": 0.33, "several": 0.10}
"""Shares of the classes, near those of the 509 hand-labelled clusters of seed 003, electrons a little more frequent."""

CHUNK = 250
"""Events simulated at a time."""

BARREN = 1000
"""Events without any cluster after which a simulation gives up."""

BLOCK = 2000
"""Clusters `iter_class` yields at a time."""


def is_class(particle: str, energy_mev: Any, spectrum: Any, angles: str) -> bool:
    """Whether `simulate`'s arguments mean a class of the labelled set and not a particle.

    Raises:
        InputError: a class that is no particle, with an energy, spectrum or angle law.
    """
    if not isinstance(particle, str):
        return False
    plain = energy_mev is None and spectrum is None and angles == "normal"
    if particle in KINDS and not plain and particle not in ("electron", "muon"):
        raise InputError(
            f"the class {particle!r} of CCD clusters draws energies and angles from its own laws; leave out energy_mev, "
            f"spectrum and angles, or name a particle"
        )
    return plain and particle in KINDS


def generate(n: int, seed: int, *, mix: dict[str, float] | None = None, sensor: SensorConfig = CCD) -> Clusters:
    """Simulate labelled clusters in ADU: the largest cluster of each event.

    Args:
        n: number of clusters, at least 1.
        seed: equal arguments give equal clusters.
        mix: shares of the classes, `MIX` by default; need not sum to 1.
        sensor: sensor and readout.

    Returns:
        n clusters with table columns id, label, the truth columns, energy_sum (ADU over the threshold) and
        true_energy_kev, the energy deposited in the event.

    Raises:
        InputError: an unknown class, shares that are no shares, n < 1, or events that leave no cluster.
    """
    mix = MIX if mix is None else mix
    check_count(n, seed)
    shares = check_mix(mix)
    kinds = np.random.default_rng((seed, 0)).choice(len(mix), size=n, p=shares)
    parts, places = [], []
    for i, kind in enumerate(mix):
        wanted = np.flatnonzero(kinds == i)
        if len(wanted):
            rng = np.random.default_rng((seed, 1, list(KINDS).index(kind)))
            parts.append(_of_kind(rng, kind, len(wanted), sensor))
            places.append(wanted)
    clusters = Clusters.concat(parts)[np.argsort(np.concatenate(places))]
    return clusters.with_table(
        id=pd.Series([f"sim{seed}-{i:06d}" for i in range(n)]), primary=np.arange(n), source="simulation"
    )


def check_mix(mix: dict[str, float]) -> np.ndarray:
    """Shares of the classes of a mix, scaled to a sum of 1.

    Raises:
        InputError: an unknown class or none, or shares that are negative, all 0 or no numbers.
    """
    if not isinstance(mix, dict) or not mix or set(mix) - set(KINDS):
        raise InputError(f"a mix gives shares of the CCD classes {', '.join(KINDS)}; received {mix!r}")
    if not all(is_number(share) and share >= 0 for share in mix.values()) or not any(mix.values()):
        raise InputError(f"shares of the classes must be numbers, not negative nor all 0; received {mix!r}")
    shares = np.array(list(mix.values()), float)
    return shares / shares.sum()


def iter_class(n: int, seed: int, kind: str, sensor: SensorConfig = CCD) -> Iterator[Clusters]:
    """Yield n clusters of one class in ADU, in parts of bounded size; see `generate`."""
    check_count(n, seed)
    for block, start in enumerate(range(0, n, BLOCK)):
        # One seed a block, mixed by numpy so that blocks of neighbouring seeds differ.
        own = int(np.random.SeedSequence((seed, block)).generate_state(1, np.uint64)[0])
        part = generate(min(BLOCK, n - start), own, mix={kind: 1.0}, sensor=sensor)
        number = start + np.arange(len(part))
        yield part.with_table(id=[f"{kind}{seed}-{i:06d}" for i in number], primary=number)


def _of_kind(rng: Rng, kind: str, n: int, sensor: SensorConfig) -> Clusters:
    parts: list[Clusters] = []
    done = tried = 0
    while done < n:
        size = min(CHUNK, int(1.2 * (n - done)) + 4)
        found = _events(rng, kind, size, sensor)[: n - done]
        tried += size
        if len(found):
            parts.append(found)
            done += len(found)
        elif not done and tried >= BARREN:
            raise no_cluster(tried, kind, sensor)
    return Clusters.concat(parts)


def _events(rng: Rng, kind: str, n: int, sensor: SensorConfig) -> Clusters:
    deposits, truth = KINDS[kind](rng, n, sensor)
    charge = collect(deposits, sensor)
    found, event = to_clusters(read_out(charge, sensor, rng), sensor)
    parts = np.bincount(event, minlength=n)
    # By event, then size: the last of each event is its largest.
    order = np.lexsort((found.sizes, event))
    last = np.flatnonzero(np.diff(event[order], append=-1))
    largest = np.sort(order[last])
    found, event = found[largest], event[largest]
    deposited = np.bincount(deposits.event, deposits.energy, n)[event]
    energy = found.hits[:, 2].astype(np.float64)
    sums = np.add.reduceat(energy, found.offsets[:-1]) if len(found) else np.empty(0)
    # Columns and meanings as in `generate.TRUTH`.
    table = pd.DataFrame(
        {
            "label": kind,
            "particle": kind,
            "energy_mev": truth["energy_mev"][event],
            "theta": truth["theta"][event],
            "phi": truth["phi"][event],
            "entry_row": truth["y"][event] / sensor.pitch_um,
            "entry_col": truth["x"][event] / sensor.pitch_um,
            "deposited_kev": deposited,
            "n_pixels_before_threshold": _pixels(charge, sensor, n)[event],
            "split": parts[event] > 1,
            "energy_sum": sums,
            "true_energy_kev": deposited,
        }
    )
    return Clusters(found.hits, found.columns, found.offsets, table, "ADU")


def _pixels(charge: Charge, sensor: SensorConfig, n: int) -> np.ndarray:
    return np.bincount(charge.event[charge.energy >= sensor.pair_ev * 1e-3], minlength=n)


def to_kev(clusters: Clusters, sensor: SensorConfig = CCD) -> Clusters:
    """Subtract the pedestal and divide by the gain."""
    hits = clusters.hits.copy()
    hits[:, 2] = (hits[:, 2] - sensor.pedestal_adu) / sensor.gain_adu_per_kev
    energy = np.add.reduceat(hits[:, 2], clusters.offsets[:-1])
    return Clusters(hits, clusters.columns, clusters.offsets, clusters.table.assign(energy_sum=energy), "keV")
