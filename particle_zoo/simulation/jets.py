"""QCD-like jets of proton collisions: kinematics by the laws that are used for inclusive jets, no showers, no detector.

It stands in for the trigger jets of seed 002, of which none is part of it. Between pt, eta, phi and mass there are no other
correlations than those of these laws, and no two jets belong to one event.

Momenta. In transverse momentum and rapidity the density is

    dN / dpt dy ~ pt^-alpha (1 - 2 pt cosh(y) / sqrt(s))^beta,

the form that measured spectra of inclusive jets are fitted with (CMS, arXiv:1106.0208): a falling power, and a bracket that
vanishes where one jet of a pair would need half of all energy. From it come the plateau in rapidity and its narrowing as pt
grows. The inclusive spectrum falls as pt^-5 or so. The jets of seed 002 passed triggers of which those at low pt keep a small
share of what they see, which flattens it: alpha = 1.7 was chosen so that mean and spread of pt are near theirs.

Masses. A parton that radiates soft and collinear gluons with the probability (alpha_s C_R / pi) dtheta^2/theta^2 dz/z gives,
to leading logarithms and at fixed coupling, a jet whose rho = m^2 / (pt R)^2 has the cumulative

    Sigma(rho) = exp(-(alpha_s C_R / (2 pi)) ln^2(rho_max / rho)), rho < rho_max,

(Marzani, Soyez, Spannowsky, "Looking inside jets", arXiv:1901.10342; Dasgupta, Fregoso, Marzani, Salam, arXiv:1307.0007).
rho_max = exp(B) has the hard collinear terms B = -3/4 of quarks and -11/12 + n_f / (6 C_A) of gluons: with it the root of
<rho> is near 0.2, as Ellis, Huston et al. (arXiv:0712.2447) find for m / (pt R) of simulated jets; with 1 it is near 0.3. The
coupling runs to one loop and is taken at pt R, R = 0.4 (anti-kt). Gluons radiate more, C_A = 3 against C_F = 4/3, and their
share falls with pt, as partons with a larger share of the proton's momentum are rather quarks.

Hadronisation adds to m^2 an amount proportional to pt R, of about 1 GeV times it (Dasgupta, Magnea, Salam, arXiv:0712.3014),
and so does what the rest of the event puts into the jet: a density of 10 GeV of pt per unit of area gives pi/2 R^3 times 10
GeV, 1 GeV again. It fluctuates as 4 k / Lambda^2 exp(-2 k / Lambda) does (Stewart, Tackmann, Waalewijn, arXiv:1405.6722; Kang,
Lee, Liu, Ringer, arXiv:1803.03645). Lambda was chosen so that mean and spread of m are near those of seed 002.
"""

from __future__ import annotations

import math

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.jets import Jets, energy
from particle_zoo.simulation.generate import check_seed

JETS_VERSION = "1"
"""Raised whenever a seed gives other jets."""

JETS = 139_723
"""Number of jets in seed 002."""

COLUMNS = ("pt", "eta", "phi", "m", "E")
"""Variables of simulated jets."""

SQRT_S_GEV = 13_000.0
"""Energy of the two protons."""

PT_GEV = (20.0, 800.0)
"""Lowest and highest transverse momentum."""

ETA = 4.8
"""Largest |pseudorapidity|."""

ALPHA, BETA = 1.7, 8.0
"""Powers of the spectrum."""

RADIUS = 0.4
"""Of the jets."""

CASIMIR = (4 / 3, 3.0)
"""Colour charge squared of quarks and gluons."""

FLAVOURS = 5
"""Of quarks in the loops."""

HARD_COLLINEAR = (-3 / 4, -11 / 12 + FLAVOURS / (6 * CASIMIR[1]))
"""B of quarks and gluons."""

ALPHA_S_Z, Z_GEV = 0.118, 91.19
"""The coupling at the mass of the Z."""

LAMBDA_GEV = 2.8
"""Mean of what is added to m^2 / (pt R)."""

GLUON_SHARE = (0.75, 50.0, -0.25)
"""Share of gluon jets, the pt (GeV) where it is that, and what a decade in pt adds: chosen to be about that of dijets in
simulations (CMS, arXiv:2109.03340)."""


def generate(n: int, seed: int) -> Jets:
    """Draw jets.

    Args:
        n: number of jets, at least 1.
        seed: equal arguments give equal jets.

    Returns:
        pt, m, E in GeV, eta, phi in rad, pt in 20..800 GeV, |eta| < 4.8, phi in [-pi, pi); each jet its own event.

    Raises:
        InputError: n below 1 or a negative seed.
    """
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise InputError(f"n must be a number of jets, 1 or more; received {n!r}")
    check_seed(seed)
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while (missing := n - sum(len(part) for part in parts)) > 0:
        pt, y = momenta(rng, 2 * missing)
        gluon = rng.random(len(pt)) < gluon_share(pt)
        m = masses(rng, pt, gluon)
        # Rapidity is that of the jet with its mass; pseudorapidity follows from the longitudinal momentum.
        eta = np.arcsinh(np.hypot(pt, m) * np.sinh(y) / pt)
        phi = rng.uniform(-np.pi, np.pi, len(pt))
        kept = np.abs(eta) < ETA
        parts.append(np.stack([pt, eta, phi, m, energy(pt, eta, m)], axis=1)[kept])
    return Jets(np.concatenate(parts)[:n], COLUMNS)


def momenta(rng: np.random.Generator, tries: int) -> tuple[np.ndarray, np.ndarray]:
    """Transverse momenta (GeV) and rapidities: those of so many tries that the spectrum accepts.

    A try has pt by the power law and a uniform rapidity in |y| < 4.8, the bracket is the chance that it is kept. No jet with
    |eta| < 4.8 is left out, as |y| < |eta|.
    """
    low, high = PT_GEV
    k = 1 - ALPHA
    pt = low * (1 + rng.random(tries) * ((high / low) ** k - 1)) ** (1 / k)
    y = rng.uniform(-ETA, ETA, tries)
    bracket = np.maximum(1 - 2 * pt * np.cosh(y) / SQRT_S_GEV, 0.0)
    kept = rng.random(tries) < bracket**BETA
    return pt[kept], y[kept]


def masses(rng: np.random.Generator, pt: np.ndarray, gluon: np.ndarray) -> np.ndarray:
    """Masses (GeV) of jets of gluons (True) or quarks; see the module."""
    scale = pt * RADIUS
    charge, shift = (np.where(gluon, pair[1], pair[0]) for pair in (CASIMIR, HARD_COLLINEAR))
    rate = coupling(scale) * charge / (2 * np.pi)
    # The inverse of Sigma; random() may give 0 but never 1.
    logarithm = np.sqrt(-np.log1p(-rng.random(len(pt))) / rate)
    rho = np.exp(shift - logarithm)
    return np.sqrt(rho * scale**2 + scale * rng.gamma(2.0, LAMBDA_GEV / 2, len(pt)))


def coupling(scale_gev: np.ndarray) -> np.ndarray:
    """The strong coupling to one loop."""
    b0 = (33 - 2 * FLAVOURS) / (12 * math.pi)
    return ALPHA_S_Z / (1 + 2 * b0 * ALPHA_S_Z * np.log(scale_gev / Z_GEV))


def gluon_share(pt: np.ndarray) -> np.ndarray:
    """Share of gluon jets at transverse momenta (GeV) in 20..800: from 0.85 down to 0.45."""
    share, at, slope = GLUON_SHARE
    return share + slope * np.log10(pt / at)
