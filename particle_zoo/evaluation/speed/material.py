"""What a model is timed on: simulated clusters, jets, frames or patches, in the batches its training has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from particle_zoo import registry
from particle_zoo.errors import InputError
from particle_zoo.evaluation.speed.pace import WARM
from particle_zoo.registry import ModelCard

FAMILIES = (
    "cnn", "cnn_meta", "vae", "timepix_cnn", "tiny_effnet_ae", "pedestal_ae", "dec", "ae_3d_200",
)  # fmt: skip
"""One model of every family; of the EfficientNets the smallest, since a step of the largest takes a processor a minute."""

STEPS = 24
"""Batches of clusters that are drawn from; their order and symmetry change, so that more steps see others."""

JET_STEPS = 1024
"""Batches of jets."""

FRAMES, SIDE = 10, 512
"""Dark frames to cut crops from, and their side, px."""

PATCHES = 128
"""Patches that are simulated, which takes 0.1 s each; a training of more repeats them, as its steps take no longer for new ones."""

Batch = tuple[Any, ...]


@dataclass(frozen=True)
class Material:
    """A model with fitted preprocessing and endless batches for its training.

    Args:
        card: of the model.
        model: freshly initialised and not compiled.
        batches: every batch from the start of one epoch to the end of the other as arrays: inputs, targets where there are any,
            and weights where there are any. The same for all sides.
        feed: the same as `fit` takes it in the model's own training.
        steps: batches an epoch.
        batch_size: examples a batch.
        together: steps that the model's own training does at once, in one batch of `feed`.
        single: the same as `feed`, one step a batch; None where `feed` is that.
        ready: whether batches lie in memory, so that nothing is gained by drawing them ahead of the step.
        classes: class names of a classifier.
        warm: calls before the timed ones: images of several sizes are compiled for each, which is no part of a step.
    """

    card: ModelCard
    model: Any
    batches: Callable[[int, int], Iterator[Batch]]
    feed: Callable[[int, int], Any]
    steps: int
    batch_size: int
    together: int = 1
    single: Callable[[int, int], Any] | None = None
    ready: bool = False
    classes: tuple[str, ...] = field(default=())
    warm: int = WARM

    def inputs(self, n: int) -> list[list[np.ndarray]]:
        """The inputs of n batches in the order of `model.inputs`, float32."""
        found = []
        for batch in self.batches(0, -(-n // self.steps)):
            found.append(arrays(self.model, batch[0]))
            if len(found) == n:
                break
        return found


def arrays(model: Any, inputs: Any) -> list[np.ndarray]:
    """Model inputs, an array or a dict, as a list in the order of `model.inputs`."""
    if isinstance(inputs, dict):
        return [np.asarray(inputs[tensor.name]) for tensor in model.inputs]
    return [np.asarray(inputs)]


def prepare(
    name: str,
    *,
    seed: int,
    batch_size: int | None = None,
    precision: str = "float32",
    settings: dict[str, Any] | None = None,
) -> Material:
    """Build a model and simulate what it trains on, about `STEPS` batches of it.

    Args:
        name: a registered model.
        seed: of weights and examples.
        batch_size: examples a step; the recipe's without it.
        precision: dtype policy of the layers.
        settings: further ones of the model.

    Raises:
        UnknownModelError: no such model.
        InputError: a model of jets of which there is no simulation.
    """
    import keras

    card = registry.info(name)
    asked = {} if batch_size is None else {"batch_size": batch_size}
    config = registry.config_class(name).from_settings({**(settings or {}), **asked})
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    makers = {"compression": _jets, "anomaly": _frames, "deep_clustering": _patches}
    return makers.get(card.task, _clusters)(card, config, seed, precision)


def _clusters(card: ModelCard, config: Any, seed: int, precision: str) -> Material:
    from particle_zoo.evaluation.network_speed import simulated_clusters
    from particle_zoo.pipelines.examples import CACHE_BYTES, Examples
    from particle_zoo.training.feed import packed, training_batches
    from particle_zoo.training.session import build

    clusters = simulated_clusters(card, STEPS * config.batch_size, seed)
    classes = tuple(sorted(set(clusters.labels))) if card.task == "classifier" else ()
    model = build(card, config.model_dump(), clusters, classes, seed=seed, precision=precision)
    examples = Examples(
        clusters,
        model.preprocess,
        classes=classes or None,
        batch_size=config.batch_size,
        seed=seed,
        augment=True,
        shuffle=True,
        balance=getattr(config, "balance", 0.0),
        # Real sets of Timepix clusters are too large to be kept as images; these few are not.
        cache=CACHE_BYTES if card.detector == "CCD" else 0,
    )

    def batches(first: int, epochs: int) -> Iterator[Batch]:
        for step in range(first * len(examples), epochs * len(examples)):
            yield packed(examples, step)

    feed = partial(training_batches, examples)
    found = Material(card, model, batches, feed, len(examples), config.batch_size, classes=classes)
    sizes = [batch[0].shape[1:] for batch in found.inputs(found.steps)]
    # Until the last of them has come for the first time.
    return replace(found, warm=WARM + max(sizes.index(size) for size in sizes))


def _jets(card: ModelCard, config: Any, seed: int, precision: str) -> Material:
    from particle_zoo.simulation import jets
    from particle_zoo.training.jets import jet_batches, shuffled_jets, whole_executions

    if not card.default_dataset.endswith("simulated"):
        raise InputError(
            f"there is no simulation of the variables of {card.name}, so nothing to time it on; take ae_3d_200 or tiny_jet_ae"
        )
    drawn = jets.generate(JET_STEPS * config.batch_size, seed)
    model = registry.create(card.name, **config.model_dump())
    model.preprocessor = model.preprocessor.fit(drawn)
    x = model.preprocess(drawn)
    steps, together = whole_executions(JET_STEPS)

    def batches(first: int, epochs: int) -> Iterator[Batch]:
        for shuffled in shuffled_jets(x, steps, config.batch_size, seed, first, epochs):
            for part in shuffled:
                yield (part,)

    feed, single = (partial(jet_batches, x, steps, config.batch_size, seed, grouped) for grouped in (together, 1))
    return Material(card, model, batches, feed, steps, config.batch_size, together, single, ready=True)


def _frames(card: ModelCard, config: Any, seed: int, precision: str) -> Material:
    from particle_zoo.detectors.camera import CameraFrames
    from particle_zoo.simulation import optical_tpc
    from particle_zoo.training.frame_crops import FrameCrops

    dark = np.stack(list(optical_tpc.pedestals("lime", n=FRAMES, seed=seed, shape=(SIDE, SIDE))))
    model = registry.create(card.name, **config.model_dump())
    model.preprocessor = model.preprocessor.fit(list(dark))
    crops = FrameCrops(CameraFrames.from_array(dark), model.preprocessor.pedestal, config, seed=seed)
    return Material(card, model, crops.between, crops.between, len(crops), crops.batch_size)


def _patches(card: ModelCard, config: Any, seed: int, precision: str) -> Material:
    from particle_zoo.simulation.optical_tpc.patches import labelled_patches
    from particle_zoo.training.cluster_stages import IndexBatches, image_batches

    n = STEPS * config.batch_size
    simulated = labelled_patches(min(n, PATCHES), seed=seed, size=config.size).images
    images = simulated[np.arange(n) % len(simulated)]
    model = registry.create(card.name, **config.model_dump())
    model.preprocessor = model.preprocessor.fit(images)
    order = IndexBatches(len(images), config.batch_size, seed)
    batches = partial(image_batches, model.preprocess(images), order)
    return Material(card, model, batches, batches, len(order), config.batch_size)
