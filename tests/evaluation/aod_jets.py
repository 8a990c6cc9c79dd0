"""Jets with the 27 variables of the xAOD study, of no physics but of the right ranges."""

from __future__ import annotations

import numpy as np

from particle_zoo.jets import AOD_27, Jets

ZERO = ("EMFrac", "HECFrac", "HECQuality", "LArQuality", "OotFracClusters10", "OotFracClusters5")


def aod_jets(n: int, seed: int) -> Jets:
    """Spectra of energies, angles, areas around their mean, and variables that are 0 in many jets."""
    random = np.random.default_rng(seed)
    pt, eta = 20 * (1 - random.random(n)) ** -0.5, random.normal(0, 1.5, n)
    phi, near = random.uniform(-np.pi, np.pi, n), random.normal(0, 0.02, (3, n))
    columns = {
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "m": pt * random.gamma(4, 0.035, n),
        "ActiveArea4vec_eta": eta + near[0],
        "ActiveArea4vec_phi": phi + near[1],
        "DetectorEta": eta + near[2],
        "NegativeE": -random.exponential(1, n),
        "Timing": random.normal(0, 5, n),
        "AverageLArQF": random.exponential(50, n),
        "CentroidR": random.uniform(1_500, 4_000, n),
        "N90Constituents": random.poisson(8, n) + 1.0,
        "LeadingClusterPt": pt * random.uniform(0.2, 0.8, n),
        "LeadingClusterCenterLambda": random.exponential(300, n),
    }
    zero = random.random(n) < 0.3
    columns |= {name: np.where(zero, 0.0, random.beta(2, 5, n)) for name in ZERO}
    others = {name: random.lognormal(-1, 0.3, n) for name in AOD_27 if name not in columns}
    return Jets(np.stack([(columns | others)[name] for name in AOD_27], axis=1), AOD_27, np.arange(n))
