"""How much memory this process has taken."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> float:
    """Largest resident memory of this process so far, MB; NaN where the system does not say.

    What `getrusage` says begins, on Linux, with the peak of the parent.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    # Not before: it brings the simulation along, which takes memory, too.
    from particle_zoo.evaluation import simulation_speed

    peak = simulation_speed.peak_mb()
    return float("nan") if peak is None else peak * 2**20 / 1e6


def resident_mb() -> float:
    """Resident memory of this process now, MB; NaN where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    return float("nan")
