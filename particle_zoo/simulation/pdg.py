"""Names of particles by their number in the Monte Carlo scheme of the Particle Data Group."""

from __future__ import annotations

NAMES = {
    11: "electron",
    -11: "positron",
    13: "muon",
    -13: "muon",
    22: "photon",
    211: "pion",
    -211: "pion",
    2212: "proton",
    1000020040: "alpha",
    1000822080: "pb",
}
"""Those this package has a name for."""


def name(code: int) -> str:
    """The name of a particle; nuclei 10LZZZAAAI are "ion:Z:A", everything else "pdg:CODE"."""
    if code in NAMES:
        return NAMES[code]
    if 1_000_000_000 <= code < 1_100_000_000:
        return f"ion:{code // 10_000 % 1000}:{code // 10 % 1000}"
    return f"pdg:{code}"
