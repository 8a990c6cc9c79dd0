"""Processor, memory and NVIDIA cards, as the system has them and no backend."""

from __future__ import annotations

import csv
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NVIDIA = "0x10de"
"""PCI number of the vendor."""

QUERY = ("name", "memory.total", "driver_version", "compute_cap")


@dataclass(frozen=True)
class Card:
    """An NVIDIA card.

    Args:
        name: as its driver calls it.
        memory_gb: of the card; 0 if the driver does not say.
        driver: version; "" without one.
        capability: compute capability, such as "8.0"; "" if the driver does not say.
    """

    name: str
    memory_gb: float
    driver: str
    capability: str


def cards() -> tuple[list[Card], str]:
    """The NVIDIA cards of this machine, and what the driver says if it does not work ("" if it does, or if there is no card)."""
    command = ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    except FileNotFoundError:
        said = "nvidia-smi is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        said = f"nvidia-smi does not answer ({error})"
    else:
        rows = [[cell.strip() for cell in row] for row in csv.reader(done.stdout.splitlines())]
        if done.returncode == 0 and rows and all(len(row) == len(QUERY) for row in rows):
            return [Card(name, _gb(memory), driver, _number(cap)) for name, memory, driver, cap in rows], ""
        said = " ".join((done.stdout + done.stderr).split())[:200] or f"nvidia-smi ended with {done.returncode}"
    found = [Card(name, 0.0, "", "") for name in _on_the_bus()]
    return found, said if found else ""


def _number(capability: str) -> str:
    # A driver that does not know says "[N/A]".
    return capability if re.fullmatch(r"\d+\.\d+", capability) else ""


def _gb(mib: str) -> float:
    try:
        return round(float(mib) * 2**20 / 1e9, 1)
    except ValueError:
        return 0.0


def _on_the_bus(root: Path = Path("/sys/bus/pci/devices")) -> list[str]:
    """NVIDIA's display and compute controllers on the PCI bus, which need no driver to be seen; Linux only."""
    found = []
    for device in sorted(root.glob("*")):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == NVIDIA and kind.startswith("0x03"):
            found.append(f"NVIDIA card at {device.name}")
    return found


def processor() -> dict[str, Any]:
    """Model, cores of the machine, cores that this process may use, memory in GB of the machine and free."""
    import psutil

    memory = psutil.virtual_memory()
    return {
        "model": _model(),
        "cores": os.cpu_count() or 0,
        "usable_cores": usable_cores(),
        "memory_gb": round(memory.total / 1e9, 1),
        "free_memory_gb": round(memory.available / 1e9, 1),
    }


def usable_cores() -> int:
    """Cores that the scheduler and, in a container, its quota leave to this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    # No container of this kind, or none with a quota ("max").
    except (OSError, ValueError):
        return cores


def _model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def system() -> str:
    """Operating system in a few words, with WSL2 named as such."""
    if platform.system() == "Linux":
        kind = "Linux under WSL2" if in_wsl() else "Linux"
        return f"{kind}, {' '.join(platform.libc_ver())}, {platform.machine()}"
    return f"{platform.system()} {platform.release()}, {platform.machine()}"


def in_wsl() -> bool:
    """Whether this is Linux inside Windows."""
    return "microsoft" in platform.release().lower()
