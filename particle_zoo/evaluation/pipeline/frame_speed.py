"""Camera frames a second from files or from memory to crops in units of noise, beside what one would use instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.data.camera import load_frames
from particle_zoo.detectors.camera import CameraFrames, PedestalModel
from particle_zoo.evaluation.pipeline import rivals
from particle_zoo.evaluation.pipeline.timing import fastest
from particle_zoo.models.pedestal_ae import PedestalAEConfig
from particle_zoo.training.frame_crops import FrameCrops

FITTED = 10
"""Most frames for the pedestal; speed does not depend on what is learnt from them."""

TOLERANCE = 1e-4
"""Crops of a rival differ by at most this, in sigmas."""

Batch = tuple[np.ndarray, np.ndarray]


def measure(
    scratch: Path, *, frames: int, shape: tuple[int, int], seed: int, repeats: int, config: PedestalAEConfig
) -> dict[str, Any]:
    """Time every way for simulated dark frames.

    Args:
        scratch: folder for the data set.
        frames: how many.
        shape: rows and columns of each.
        seed: of frames, order and places.
        repeats: passes of each way after one that does not count; the fastest counts.
        config: of the model whose training takes the crops.

    Returns:
        Frames a second of each way as in `cluster_speed`; there is none for packed records, as a frame is one, and none for a
        cache, as every epoch has other crops.

    Raises:
        AssertionError: a rival gives other crops.
    """
    fewer = {"pedestal_train": frames, "pedestal_calibration": 0, "pedestal_test": 0, "signal": 0}
    stored = load_frames(
        "camera_frames", "pedestal_train", data_dir=scratch, use_tfds=True, shape=shape, seed=seed, frames=fewer
    )
    counts = np.stack(list(stored))
    pedestal = PedestalModel.fit(CameraFrames.from_array(counts[:FITTED]), common_mode=config.common_mode)

    def crops(of: CameraFrames) -> Iterator[Batch]:
        return FrameCrops(of, pedestal, config, seed=seed).between(0, 1)

    held = CameraFrames.from_array(counts)
    plan = Plan.of(FrameCrops(held, pedestal, config, seed=seed))
    data = rivals.Mapped(
        [(counts[i], places) for i, places in zip(plan.order, plan.places, strict=True)],
        np.zeros(len(plan.order), np.int64),
        partial(rivals.frame_crops, pedestal=pedestal, side=plan.side, clip=config.clip),
    )
    loaders = {}
    if rivals.has_torch():
        for workers in rivals.WORKERS:
            loaders[f"loader_{workers}"] = rivals.loader(data, range(len(data)), plan.group, workers)
    ways: dict[str, Any] = {
        "first_pass": lambda: crops(stored),
        "in_memory": lambda: crops(held),
        "generator": lambda: plan.batches(_groups(data, plan.group)),
        **{
            name: lambda loader=loader: plan.batches(images.numpy() for images, _ in loader)
            for name, loader in loaders.items()
        },
    }
    for name, way in ways.items():
        for ours, theirs in zip(crops(held), way(), strict=True):
            same = all(np.allclose(a, b, atol=TOLERANCE, rtol=0) for a, b in zip(ours, theirs, strict=True))
            assert same, f"{name}: the crops differ"
    speeds: dict[str, Any] = dict.fromkeys(rivals.WAYS)
    speeds |= {name: frames / seconds for name, seconds in fastest(ways, repeats).items()}
    return {
        "input": "camera frames",
        "frames": frames,
        "shape": shape,
        "crop": plan.side,
        "crops": config.crops,
        "speeds": speeds,
        "ratio": speeds["in_memory"] / speeds["generator"],
    }


@dataclass(frozen=True)
class Plan:
    """What `FrameCrops` takes from which frame in its first epoch, for others to take the same.

    Args:
        order: frame of each place of the epoch.
        places: (crops, 2) first rows and columns of the crops of each of them.
        mixed: order of the crops of each group.
        group: frames whose crops are mixed.
        batch_size: crops a batch.
        side: rows and columns of a crop.
    """

    order: list[int]
    places: list[np.ndarray]
    mixed: list[np.ndarray]
    group: int
    batch_size: int
    side: tuple[int, int]

    @classmethod
    def of(cls, crops: FrameCrops) -> Plan:
        """The plan of some crops."""
        n, group, seed = len(crops.frames), crops.group, crops.seed
        groups = -(-n // group)
        shuffled = np.random.default_rng((seed, 0, 0)).permutation(n)
        room = [whole - side + 1 for whole, side in zip(crops.pedestal.shape, crops.shape, strict=True)]
        order = [int(shuffled[k % n]) for k in range(groups * group)]
        places = []
        for k in range(groups * group):
            rng = np.random.default_rng((seed, 2, 0, k // group, k % group))
            places.append(np.array([rng.integers(0, room) for _ in range(crops.crops)]))
        mixed = [np.random.default_rng((seed, 1, 0, k)).permutation(group * crops.crops) for k in range(groups)]
        return cls(order, places, mixed, group, crops.batch_size, crops.shape)

    def batches(self, groups: Iterator[np.ndarray]) -> Iterator[Batch]:
        """Yield (inputs, targets) from the crops of each group, (group, crops, rows, cols, 1)."""
        for images, order in zip(groups, self.mixed, strict=True):
            inputs = images.reshape(-1, *images.shape[2:])[order]
            targets = inputs.copy()
            for start in range(0, len(order) - self.batch_size + 1, self.batch_size):
                part = slice(start, start + self.batch_size)
                yield inputs[part], targets[part]


def _groups(data: rivals.Mapped, group: int) -> Iterator[np.ndarray]:
    for start in range(0, len(data), group):
        yield np.stack([data[i][0] for i in range(start, start + group)])
