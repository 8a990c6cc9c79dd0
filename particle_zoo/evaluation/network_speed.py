"""How many images a second a network trains on and predicts, and how much memory that takes, on the device at hand."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import click
import numpy as np

from particle_zoo.cli import load_keras, table
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.evaluation.simulation_speed import peak_mb
from particle_zoo.registry import ModelCard


def measure(
    name: str,
    settings: dict[str, Any],
    *,
    batch_sizes: Sequence[int],
    precisions: Sequence[str],
    steps: int,
    seed: int,
) -> dict[str, Any]:
    """Train and predict with every precision and batch size, each in a process of its own, and print a table.

    Training is `fit` with the recipe's optimizer, loss, hiding and accumulation on simulated clusters. Augmentation, transfer
    and enlarging count; the clusters are drawn beforehand where they fit into the cache of `Examples`. Memory is the peak of
    the training: what was allocated on the accelerator, or without one the resident memory of the process. A training whose
    loss is no finite number is as fast as any other, and is told. How fast the processor draws clusters, one batch after
    the other and without the cache, says whether a device would wait for it.

    Args:
        name: a registered model.
        settings: overrides of its configuration.
        batch_sizes: clusters a step; none means the recipe's.
        precisions: dtype policies.
        steps: timed steps; as many before them are not.
        seed: of weights and clusters.

    Raises:
        InputError: an unknown model or setting.
    """
    from particle_zoo import registry

    config = registry.config_class(name).from_settings(settings)
    if registry.info(name).detector == "camera":
        raise InputError(f"{name} takes frames of a camera, no clusters; use python -m particle_zoo.benchmark frames")
    rows, found, where = [], [], ""
    for precision in precisions:
        for batch_size in batch_sizes or (config.batch_size,):
            # The peak of a process never falls again.
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                one = process.submit(_measure, name, settings, batch_size, precision, steps, seed).result()
            found.append({"precision": precision, "batch_size": batch_size, **one})
            where = f"Keras {one['keras']} on {one['backend']}, {one['device']}"
            numbers = (
                f"{one['first_step_s']:.0f}",
                *(f"{one[f'{what}_per_s']:.1f}" for what in ("draw", "train", "predict")),
            )
            rows.append((precision, batch_size, *numbers, f"{one['peak_gb']:.2f}"))
    columns = ("precision", "batch", "first step, s", "drawn/s", "trained/s", "predicted/s", "peak GB")
    table(f"{name}, {found[0]['size']} px, {found[0]['parameters']:,} parameters; {where}", columns, rows)
    for row in found:
        if not row["finite"]:
            click.echo(
                f"the loss is no finite number with {row['precision']} at batch {row['batch_size']}: its speed is that of a "
                "training that fails; take another precision or a lower learning_rate"
            )
    return {"model": name, "settings": settings, "rows": found}


def _measure(
    name: str, settings: dict[str, Any], batch_size: int, precision: str, steps: int, seed: int
) -> dict[str, Any]:
    load_keras(precision)
    import keras

    from particle_zoo import registry
    from particle_zoo.pipelines.examples import Examples
    from particle_zoo.training.feed import EpochBatches, training_batches
    from particle_zoo.training.fit import compile_model
    from particle_zoo.training.session import build

    card = registry.info(name)
    clusters = simulated_clusters(card, batch_size * steps, seed)
    classes = sorted(set(clusters.labels)) if card.task == "classifier" else None
    config = registry.config_class(name).from_settings({**settings, "batch_size": batch_size})
    model = build(card, config.model_dump(), clusters, classes, seed=seed, precision=precision)
    compile_model(model, steps)
    chosen: dict[str, Any] = {"classes": classes, "batch_size": batch_size}
    examples = Examples(clusters, model.preprocess, seed=seed, augment=True, shuffle=True, **chosen)

    started = time.perf_counter()
    for step in range(steps):
        model.preprocess(clusters[step * batch_size : (step + 1) * batch_size])
    drawing = time.perf_counter() - started
    clock = _clock()
    model.fit(
        training_batches(examples, 0, 2),
        steps_per_epoch=steps,
        epochs=2,
        callbacks=[clock],
        shuffle=False,
        verbose=0,
    )
    peak = peak_gb()
    # Targets are no inputs.
    batches = EpochBatches(Examples(clusters, model.preprocess, batch_size=batch_size))
    model.predict(batches, verbose=0)
    started = time.perf_counter()
    model.predict(batches, verbose=0)
    predicting = time.perf_counter() - started
    return {
        "size": getattr(config, "size", None),
        "parameters": model.count_params(),
        "finite": math.isfinite(clock.loss),
        "first_step_s": clock.first_step,
        "draw_per_s": len(clusters) / drawing,
        "train_per_s": len(clusters) / clock.last_epoch,
        "predict_per_s": len(clusters) / predicting,
        "peak_gb": peak,
        "keras": keras.version(),
        "backend": keras.backend.backend(),
        "device": device(),
    }


def simulated_clusters(card: ModelCard, n: int, seed: int) -> Clusters:
    """Simulated clusters of the detector of a model, with their labels."""
    from particle_zoo.simulation import ccd, simulate

    if card.default_dataset.startswith("ccd"):
        return ccd.generate(n, seed)
    preset = "timepix3_500um" if card.detector == "Timepix3" else "timepix_300um"
    whole = Clusters.concat(
        [simulate(preset, n=n, seed=seed, particle=kind, spectrum="benchmark") for kind in ("proton", "electron")]
    )
    return whole[np.sort(np.random.default_rng(seed).choice(len(whole), n, replace=False))]


def _clock() -> Any:
    import keras

    class Clock(keras.callbacks.Callback):
        """Seconds of the first step, compilation included, and of the last epoch."""

        first_step = last_epoch = 0.0

        def on_train_begin(self, logs: Any = None) -> None:
            self._started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.first_step = self.first_step or time.perf_counter() - self._started

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            # Reading the losses waits for the device.
            self.loss = float((logs or {})["loss"])
            self.last_epoch = time.perf_counter() - self._epoch

    return Clock()


def peak_gb() -> float:
    """Largest memory allocated on the accelerator so far, GB; without one, resident memory of this process."""
    import keras

    backend, peak = keras.backend.backend(), None
    if backend == "jax":
        import jax

        peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    elif backend == "torch":
        import torch

        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    else:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return (peak_mb() or float("nan")) * 2**20 / 1e9 if peak is None else peak / 1e9


def device() -> str:
    """Name of the accelerator Keras computes on, or of the processor's architecture."""
    import platform

    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        first = jax.local_devices()[0]
        return first.device_kind if first.platform != "cpu" else platform.machine()
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else platform.machine()
