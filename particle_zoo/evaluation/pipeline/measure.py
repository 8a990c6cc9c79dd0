"""All inputs, one after the other, with a table and verdicts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from particle_zoo.cli import load_keras
from particle_zoo.errors import InputError
from particle_zoo.evaluation.pipeline import rivals
from particle_zoo.evaluation.pipeline.report import show

INPUTS = ("ccd", "effnet", "frames")


def measure(
    inputs: Sequence[str] = INPUTS,
    *,
    clusters: int,
    batch_size: int,
    frames: int,
    shape: tuple[int, int],
    seed: int,
    repeats: int,
    epochs: int,
) -> dict[str, Any]:
    """Time the ways from stored clusters and frames to model inputs, and print a table and what it says of the targets.

    Args:
        inputs: of `INPUTS`: 64 x 64 px images of CCD clusters, what the host draws for the EfficientNet family, and crops of camera
            frames.
        clusters: of each kind.
        batch_size: clusters a batch.
        frames: of the camera.
        shape: rows and columns of a frame.
        seed: of simulation and orders.
        repeats: passes of each way that count.
        epochs: whose memory is looked at.

    Returns:
        The numbers of the tables; see `cluster_speed.measure`, `frame_speed.measure`, `epochs.measure` and `report.verdicts`.

    Raises:
        InputError: TFDS, whose records are read, cannot be imported.
    """
    if not rivals.installed("tensorflow_datasets"):
        raise InputError(
            "the pipeline starts from records of TFDS, and tensorflow_datasets cannot be imported; install tensorflow-datasets "
            "and tensorflow"
        )
    # Not before: without TensorFlow, Keras may find no backend.
    load_keras()
    from particle_zoo.evaluation.pipeline import cluster_speed, material
    from particle_zoo.evaluation.pipeline import epochs as passes

    rows = []
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    for name in dict.fromkeys(inputs):
        # Threads of the matrix products of the rivals wait for one another on shared cores.
        with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
            if name == "frames":
                from particle_zoo.evaluation.pipeline import frame_speed
                from particle_zoo.models.pedestal_ae import PedestalAEConfig

                config = PedestalAEConfig()
                row = frame_speed.measure(
                    Path(scratch), frames=frames, shape=shape, seed=seed, repeats=repeats, config=config
                )
            else:
                made = material.MATERIALS[name](clusters, seed)
                row = cluster_speed.measure(made, Path(scratch), batch_size=batch_size, seed=seed, repeats=repeats)
                row["memory"] = passes.measure(made, Path(scratch), batch_size=batch_size, seed=seed, epochs=epochs)
        rows.append({"key": name, **row})
    result = {
        "rows": rows,
        "batch_size": batch_size,
        "seed": seed,
        "cores": os.cpu_count() or 1,
        "load": load,
        "torch": rivals.has_torch(),
    }
    result["verdicts"] = show(result)
    return result
