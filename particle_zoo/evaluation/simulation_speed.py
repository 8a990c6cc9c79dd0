"""How many clusters a second the simulation makes, and how much memory it takes."""

from __future__ import annotations

import sys
import time
from typing import Any

from particle_zoo.cli import table
from particle_zoo.simulation import iter_simulate

CASES: tuple[tuple[str, str, dict[str, Any], int | None], ...] = (
    ("muon 1 GeV, normal", "timepix_300um", {"particle": "muon", "energy_mev": 1000.0}, 20_000),
    ("muon 1 GeV, 45 degrees", "timepix_300um", {"particle": "muon", "energy_mev": 1000.0, "angles": "fixed:45"}, 20_000),
    ("muon 1 GeV, cosine", "timepix_300um", {"particle": "muon", "energy_mev": 1000.0, "angles": "cosine"}, 20_000),
    ("muon 1 GeV, isotropic", "timepix_300um", {"particle": "muon", "energy_mev": 1000.0, "angles": "isotropic"}, 20_000),
    ("electron 1 MeV, normal", "timepix_300um", {"particle": "electron", "energy_mev": 1.0}, 3000),
    ("electron 1 MeV, isotropic", "timepix_300um", {"particle": "electron", "energy_mev": 1.0, "angles": "isotropic"}, 3000),
    ("electron 1 MeV, isotropic, with ToA", "timepix3_500um", {"particle": "electron", "energy_mev": 1.0, "angles": "isotropic"}, 3000),
    ("proton, benchmark spectrum", "timepix_300um", {"particle": "proton", "spectrum": "benchmark"}, None),
    ("alpha 3-8.8 MeV", "timepix_300um", {"particle": "alpha"}, None),
    ("CCD electron", "ccd_675um", {"particle": "electron"}, None),
)  # fmt: skip
"""What, preset, arguments, and the clusters a second that are asked for on one core."""


def measure(n: int, seed: int) -> dict[str, Any]:
    """Time every case with the processor's clock, so that other users of the machine count less, and print a table.

    Args:
        n: clusters a case; a tenth of them for the CCD.
        seed: of everything random.
    """
    rows, numbers = [], {}
    for name, preset, options, wanted in CASES:
        for _ in iter_simulate(preset, n=100, seed=seed, **options):
            # Tables and imports before the clock starts.
            pass
        count = n // 10 if preset.startswith("ccd") else n
        started, pixels = time.process_time(), 0
        for part in iter_simulate(preset, n=count, seed=seed, **options):
            pixels += len(part.hits)
        rate = count / (time.process_time() - started)
        rows.append((f"{name} ({preset})", f"{pixels / count:.1f}", f"{rate:,.0f}", f"{wanted:,}" if wanted else "-"))
        numbers[f"{name} ({preset})"] = {"clusters_per_s": rate, "asked": wanted, "mean_size": pixels / count}
    table(f"{n:,} clusters each, processor time of one process", ("what", "mean px", "clusters/s", "asked"), rows)
    return {"speeds": numbers, "peak_memory_mb": peak_mb()}


def peak_mb() -> float | None:
    """Largest resident memory of this process so far, MiB; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
