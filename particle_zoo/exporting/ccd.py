"""Graphs of CCD models: from pixels of a cluster to classes, or to images and latent vectors.

The user draws a cluster, with sides up to `resample.LARGEST`, anywhere on a raster of zeros, of any size. The graph finds its
bounding box, centres it, shrinks it where it is larger than the model's image, scales energies, and makes the standardised
metadata. Only the energy sum is asked for, because masks have none in their pixels.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.morphology import features
from particle_zoo.exporting import clusters as common
from particle_zoo.exporting import resample
from particle_zoo.exporting.graph import Arrays, Graph, Tensor

RECIPE = (
    "pixels = numpy.zeros((1, row.max() - row.min() + 1, col.max() - col.min() + 1), 'float32'); "
    "pixels[0, row - row.min(), col - col.min()] = {value}"
)
SUM = "; energy_sum = numpy.array([energy.sum()], 'float32')"


def graph(model: Any, config: dict[str, Any]) -> Graph:
    """The graph of a CCD model."""
    p = model.preprocessor
    uses_energy = p.input == "energy"
    unit = p.unit or "ADU"
    what = f"energy of each pixel of one cluster, {unit}" if uses_energy else "1 on each pixel of one cluster"
    inputs = [Tensor("pixels", (None, None), f"{what}; 0 elsewhere, sides of the cluster up to {resample.LARGEST} px")]
    if p.with_meta:
        inputs.append(Tensor("energy_sum", (), f"energy sum of the cluster, {unit}; 0 where unknown"))
    network, outputs = model, common.probability_output(config)
    if not _classifies(model):
        outputs = _vae_outputs(model)
        network = keras.Model(model.input, {tensor.name: model.output[tensor.name] for tensor in outputs})

    def call(given: dict[str, Any]) -> dict[str, Any]:
        hit = ops.not_equal(given["pixels"], 0)
        box = resample.boxes(hit)
        values = ops.cast(hit, "float32")
        if uses_energy:
            values = values * ops.clip((given["pixels"] - p.energy_floor) / p.energy_scale, 0.0, 1.0)
        _, rows, cols = ops.shape(hit)
        image = resample.apply(
            resample.shrinking(box.top, box.height, box.width, rows, p.size),
            values,
            resample.shrinking(box.left, box.width, box.height, cols, p.size),
        )[..., None]
        image = image if uses_energy else ops.minimum(image, 1.0)
        images, copies = common.turned(model, image)
        if not p.with_meta:
            return {"probability": common.probability(model(images, training=False), copies)}
        size = ops.sum(ops.cast(hit, "float32"), axis=(1, 2))
        raw = [ops.cast(box.height, "float32"), ops.cast(box.width, "float32"), size, given["energy_sum"]]
        upright = _meta(raw, p)
        lying = _meta([raw[1], raw[0], *raw[2:]], p)
        half = copies // 2
        meta = ops.concatenate([upright] * half + [lying] * half, axis=0) if half else upright
        found = network({"image": images, "meta": meta}, training=False)
        return {"probability": common.probability(found, copies)} if _classifies(model) else dict(found)

    made = "finds the bounding box, centres and shrinks it" + (", scales energies" if uses_energy else "")
    made += ", makes the standardised metadata" if p.with_meta else ""
    if getattr(model.zoo_config, "use_indices", False):
        made += ", encodes; no reconstruction, because places of maxima that are a rounding apart change it by percents"
    made += common.averaging(model)
    return Graph(
        model,
        network,
        tuple(inputs),
        outputs,
        call,
        f"the graph {made}; thresholds and clustering come before it",
        RECIPE.format(value="energy" if uses_energy else "1") + (SUM if p.with_meta else ""),
    )


def inputs(model: Any, clusters: Clusters) -> Arrays:
    """Inputs of the graph for clusters."""
    p = model.preprocessor
    values = clusters.column("energy") if p.input == "energy" else np.ones(len(clusters.hits))
    pixels = common.draw(clusters, values)
    if p.input == "mask":
        pixels = np.minimum(pixels, 1)
    if not p.with_meta:
        return {"pixels": pixels}
    total = features(clusters, ("energy_sum",))["energy_sum"].to_numpy()
    return {"pixels": pixels, "energy_sum": np.nan_to_num(total).astype(np.float32)}


def _classifies(model: Any) -> bool:
    return hasattr(model.zoo_config, "classes")


def _vae_outputs(model: Any) -> tuple[Tensor, ...]:
    c = model.zoo_config
    image = Tensor("reconstruction", (c.size, c.size, 1), "image, 0 to 1")
    latent = (
        Tensor("z_mean", (c.latent,), "latent mean: the embedding"),
        Tensor("z_log_var", (c.latent,), "logarithm of the latent variance"),
    )
    # With pooling indices the image is no continuous function of the input: where two pixels of a window are equal but for
    # rounding, as in the background, every runtime chooses its own, and the reconstruction differs by percents.
    return latent if c.use_indices else (image, *latent)


def _meta(raw: list[Any], p: Any) -> Any:
    """(batch, 4) standardised logarithms, 0 where unknown."""
    values = ops.stack(raw, axis=-1)
    known = values > 0
    logs = ops.log(ops.where(known, values, 1.0))
    mean, std = (np.asarray(v, np.float32)[None] for v in (p.meta_mean, p.meta_std))
    return ops.where(known, (logs - mean) / std, 0.0)
