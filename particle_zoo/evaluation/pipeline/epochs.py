"""Memory of a process that passes over the same records many times."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from particle_zoo.errors import InputError
from particle_zoo.evaluation.pipeline.material import Material

EPOCHS = 10
SETTLED = 3
"""Epochs until libraries and caches have taken what they take."""

FLAT_MB = 10.0
"""Memory that grows by no more than this from then on is flat."""


def measure(material: Material, scratch: Path, *, batch_size: int, seed: int, epochs: int = EPOCHS) -> dict[str, Any]:
    """Resident memory after each epoch from records on disk, in a process of its own that does nothing else.

    Returns:
        `resident_mb` after each epoch; `growth_mb` of the largest from the third epoch on over the third, and `flat`, both None
        where the system does not say.

    Raises:
        InputError: the process was killed.
    """
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            resident = process.submit(_run, material, scratch, batch_size, seed, epochs).result()
    except BrokenProcessPool as error:
        raise InputError(
            f"the process that passes over the records of {material.name} was killed, most likely for want of memory; take fewer "
            "--clusters"
        ) from error
    settled = resident[min(SETTLED, epochs) - 1 :]
    growth = max(settled) - settled[0]
    known = growth == growth
    return {
        "resident_mb": resident,
        "growth_mb": growth if known else None,
        "flat": growth <= FLAT_MB if known else None,
    }


def _run(material: Material, scratch: Path, batch_size: int, seed: int, epochs: int) -> list[float]:
    from particle_zoo.cli import load_keras

    # As in a training, and before the others: it keeps TensorFlow from talking.
    load_keras()
    from particle_zoo.evaluation.memory import resident_mb
    from particle_zoo.evaluation.pipeline.cluster_speed import records
    from particle_zoo.evaluation.pipeline.reading import batches

    stream, _ = records(material, scratch)
    resident = []
    for epoch in range(epochs):
        for _ in batches(stream, material.preprocess, material.classes, batch_size=batch_size, seed=seed, epoch=epoch):
            pass
        resident.append(resident_mb())
    return resident
