"""Monte Carlo frames of a scientific CMOS camera on an optical time projection chamber, with truth for every pixel.

Deposits in He/CF4 (`primaries`) become light on a sensor (`Digitiser`, after CYGNO's public digitisation programs), on top
of dark frames (`CameraNoise`). `frames` and `pedestals` yield both, `benchmark_set` a fixed set of them. It needs no Geant4,
and no measured frame is part of it: what it cannot tell is how a model does on real ones.
"""

from __future__ import annotations

from particle_zoo.simulation.optical_tpc import primaries
from particle_zoo.simulation.optical_tpc.benchmark_set import BENCHMARK_VERSION, SPLITS, BenchmarkSet, benchmark_set
from particle_zoo.simulation.optical_tpc.camera import Camera
from particle_zoo.simulation.optical_tpc.chain import Chain
from particle_zoo.simulation.optical_tpc.deposits import Deposits
from particle_zoo.simulation.optical_tpc.digitiser import Digitiser, digitise
from particle_zoo.simulation.optical_tpc.empirical_noise import EmpiricalNoise
from particle_zoo.simulation.optical_tpc.event_image import EventImage
from particle_zoo.simulation.optical_tpc.generate import frames, pedestals
from particle_zoo.simulation.optical_tpc.noise import CameraNoise
from particle_zoo.simulation.optical_tpc.noise_model import NoiseModel
from particle_zoo.simulation.optical_tpc.primaries import CLASSES
from particle_zoo.simulation.optical_tpc.shutter import RollingShutter
from particle_zoo.simulation.optical_tpc.simulated_frame import EVENT_COLUMNS, SimulatedFrame

__all__ = [
    "BENCHMARK_VERSION",
    "CLASSES",
    "EVENT_COLUMNS",
    "SPLITS",
    "BenchmarkSet",
    "Camera",
    "CameraNoise",
    "Chain",
    "Deposits",
    "Digitiser",
    "EmpiricalNoise",
    "EventImage",
    "NoiseModel",
    "RollingShutter",
    "SimulatedFrame",
    "benchmark_set",
    "digitise",
    "frames",
    "pedestals",
    "primaries",
]
