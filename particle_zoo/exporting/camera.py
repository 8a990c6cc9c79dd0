"""Graphs of camera models: from counts of frames, or of patches of them.

Of frames the pedestal and the noise of every pixel are constants of the graph, so it fits one camera; it removes the medians of rows
and columns where the model was trained so. Regions with light are found in the residual by `particle_zoo.predict`, outside of the
graph. Patches are counts above the pedestal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from particle_zoo import registry
from particle_zoo.exporting.graph import Arrays, Examples, Graph, Tensor
from particle_zoo.pipelines.patches import LIMIT


def frame_graph(model: Any, config: dict[str, Any]) -> Graph:
    """The graph of an anomaly model, for the camera of its pedestal."""
    pedestal, clip = model.preprocessor.pedestal, model.preprocessor.clip
    # Hot pixels count nothing: no noise is as large.
    weight = np.where(pedestal.masked, 0, 1 / pedestal.scale).astype(np.float32)
    shape = pedestal.shape

    def call(given: dict[str, Any]) -> dict[str, Any]:
        left = given["frames"] - pedestal.mean
        if model.preprocessor.common_mode:
            # The level of the frame, which the host removes first, is in the medians of its rows.
            left = left - _median(left)[..., None]
            left = left - _median(ops.transpose(left, (0, 2, 1)))[:, None]
        scaled = ops.clip(left * weight, -clip, clip)[..., None]
        drawn = model(scaled, training=False)
        return {"reconstruction": drawn, "residual": scaled - drawn}

    unit = "units of the noise of each pixel"
    return Graph(
        model,
        model,
        (Tensor("frames", shape, "counts as the camera gives them"),),
        (
            Tensor("reconstruction", (*shape, 1), f"the frame without light, {unit}"),
            Tensor("residual", (*shape, 1), f"what is left above it, {unit}"),
        ),
        call,
        "the graph subtracts pedestal and common mode of this camera and divides by the noise; regions are found after it",
        "frames = counts[None].astype('float32')",
        # A batch of 32 frames of 2304 x 2304 px would need tens of GB.
        batches=(1,),
    )


def _median(values: Any) -> Any:
    """Median over the last axis, as `numpy.median`."""
    n = values.shape[-1]
    largest = ops.top_k(values, n // 2 + 1, sorted=True)[0]
    return largest[..., -1] if n % 2 else (largest[..., -1] + largest[..., -2]) / 2


def frame_examples(model: Any, n: int, seed: int, options: dict[str, Any]) -> Examples:
    """Frames of the data asked for, or dark ones of this pedestal with a spot of light each."""
    if options["dataset"]:
        from particle_zoo.data.camera import load_frames

        split = options["split"] if options["split"] != "test" else "signal"
        where = {key: options[key] for key in ("data_dir", "manual_dir")}
        frames: Any = load_frames(options["dataset"], split, limit=n, **where)
        name = f"{options['dataset']}, split {split}"
        n = min(n, len(frames))
    else:
        frames, name = _Frames(model.preprocessor.pedestal, seed), f"noise of its pedestal with spots, seed {seed}"
    model.preprocessor.pedestal.check(np.asarray(frames[0]).shape)

    def some(start: int, end: int) -> Arrays:
        return {"frames": np.stack([np.asarray(frames[i], np.float32) for i in range(start, end)])}

    def expected(start: int, end: int) -> Arrays:
        scaled = model.preprocess(np.stack([np.asarray(frames[i]) for i in range(start, end)]))
        drawn = np.asarray(model.predict_on_batch(scaled))
        return {"reconstruction": drawn, "residual": scaled - drawn}

    return Examples(name, n, some, expected, 1)


class _Frames:
    """Frame i: counts of a pedestal and its noise, with a spot of light that a seed and i put somewhere."""

    def __init__(self, pedestal: Any, seed: int) -> None:
        self.pedestal, self.seed = pedestal, seed

    def __getitem__(self, i: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, i])
        rows, cols = self.pedestal.shape
        row, col = np.ogrid[:rows, :cols]
        spot = np.exp(-((row - rng.uniform(0, rows)) ** 2 + (col - rng.uniform(0, cols)) ** 2) / 18)
        counts = rng.normal(self.pedestal.mean, self.pedestal.sigma) + 20 * self.pedestal.noise * spot
        return np.asarray(np.round(counts).clip(0, 2**16 - 1), np.uint16)


def patch_graph(model: Any, config: dict[str, Any]) -> Graph:
    """The graph of a model that sorts patches."""
    p, c = model.preprocessor, model.zoo_config

    def call(given: dict[str, Any]) -> dict[str, Any]:
        widths = ops.minimum(ops.abs(given["patches"]) / p.noise, LIMIT)
        scaled = ops.log(1 + widths) if p.scaling == "log" else ops.sqrt(1 + widths) - 1
        return dict(model((ops.sign(given["patches"]) * scaled)[..., None], training=False))

    return Graph(
        model,
        model,
        (Tensor("patches", (p.size, p.size), "counts above the pedestal around a region"),),
        (
            Tensor("reconstruction", (p.size, p.size, 1), f"the patch again, {p.scaling} of counts over the noise"),
            Tensor("embedding", (c.latent,), "latent vector"),
            Tensor("soft", (model.centroids.shape[0],), "shares of the clusters"),
        ),
        call,
        "the graph scales counts; pedestal, regions and cutting of patches come before it",
        "patches, _ = particle_zoo.pipelines.patches.cut_patches(counts_above_pedestal, regions, size)",
    )


def patch_examples(model: Any, n: int, seed: int, options: dict[str, Any]) -> Examples:
    """Patches of the data asked for, or simulated ones."""
    size = model.zoo_config.size
    if options["dataset"]:
        from particle_zoo.data.patches import load_patches

        where = {key: options[key] for key in ("data_dir", "manual_dir")}
        images, name = load_patches(options["dataset"], size=size, limit=n, **where).images, options["dataset"]
    else:
        from particle_zoo.simulation.optical_tpc.patches import labelled_patches

        images = labelled_patches(n, seed=seed, size=size).images
        name = f"simulated like {registry.info(model.zoo_name).default_dataset}, seed {seed}"
    images = model.preprocessor.check(images)

    def expected(start: int, end: int) -> Arrays:
        found = model.predict_on_batch(model.preprocess(images[start:end]))
        return {key: np.asarray(value) for key, value in found.items()}

    return Examples(name, len(images), lambda start, end: {"patches": images[start:end]}, expected, 32)
