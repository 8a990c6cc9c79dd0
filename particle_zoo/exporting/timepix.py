"""Graphs of Timepix models: from calibrated energies and times of a cluster to classes, or to images and latent vectors.

The user draws keV, and where the model has learned times ns, on rasters of zeros of any size. The graph subtracts the first time,
cuts and scales both, makes the map of energetic pixels, averages clusters that are larger than the image over blocks, and enlarges
the others.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from particle_zoo.clusters import Clusters
from particle_zoo.exporting import clusters as common
from particle_zoo.exporting import resample
from particle_zoo.exporting.graph import Arrays, Graph, Tensor
from particle_zoo.pipelines.timepix import ENERGY_LIMIT_KEV, ENERGY_SCALE_KEV, TIME_LIMIT_NS, TIME_SCALE_NS

RECIPE = (
    "energy = numpy.zeros((1, row.max() - row.min() + 1, col.max() - col.min() + 1), 'float32'); "
    "energy[0, row - row.min(), col - col.min()] = kev"
)
TIME = "; time = numpy.zeros_like(energy); time[0, row - row.min(), col - col.min()] = toa - toa.min()"


def graph(model: Any, config: dict[str, Any]) -> Graph:
    """The graph of a Timepix model."""
    p, timed = model.preprocessor, _timed(model)
    inputs = [Tensor("energy", (None, None), "energy of each pixel of one cluster, keV; 0 elsewhere")]
    if timed:
        inputs.append(
            Tensor("time", (None, None), "time of arrival of each of these pixels, ns after any moment near the first")
        )
    network, outputs = model, common.probability_output(config)
    classifies = hasattr(model.zoo_config, "classes")
    if not classifies:
        # One pass gives the heads and the latent vector.
        network = keras.Model(model.inputs, {**model.output, "latent": model.to_latent(model.features)})
        outputs = _heads(model, network)

    def call(given: dict[str, Any]) -> dict[str, Any]:
        energy = ops.minimum(given["energy"], ENERGY_LIMIT_KEV)
        hit = energy > 0
        lit = ops.cast(hit, "float32")
        box = resample.boxes(hit)
        longest = ops.maximum(ops.maximum(box.height, box.width), 1)
        block = (longest + p.size - 1) // p.size
        _, rows, cols = ops.shape(hit)
        down = resample.averaging(box.top, box.height, block, rows, p.size)
        across = resample.averaging(box.left, box.width, block, cols, p.size)
        area = ops.cast(block * block, "float32")[:, None, None]

        def blocks(values: Any) -> Any:
            return resample.apply(down, values, across)

        channels = [ops.sqrt(blocks(energy * lit) / (area * ENERGY_SCALE_KEV))]
        if timed:
            first = ops.min(ops.where(hit, given["time"], 1e30), axis=(1, 2), keepdims=True)
            later = ops.where(hit, ops.minimum(given["time"] - first, TIME_LIMIT_NS), 0.0)
            channels.append(ops.sqrt(blocks(later) / (ops.maximum(blocks(lit), 1.0) * TIME_SCALE_NS)))
        elif p.time != "drop":
            channels.append(ops.zeros_like(channels[0]))
        channels.append(blocks(ops.cast(energy >= p.over_kev, "float32") * lit) / area)
        rasters, copies = common.turned(model, ops.stack(channels, axis=-1))
        found = network(rasters, training=False)
        return {"probability": common.probability(found, copies)} if classifies else dict(found)

    made = "scales energies" + (" and times after the first" if timed else "") + ", averages or enlarges the cluster"
    made += common.averaging(model)
    return Graph(
        model,
        network,
        tuple(inputs),
        outputs,
        call,
        f"the graph {made}; calibration to keV and clustering come before it",
        RECIPE + (TIME if timed else ""),
    )


def inputs(model: Any, clusters: Clusters) -> Arrays:
    """Inputs of the graph for clusters in keV."""
    found = {"energy": common.draw(clusters, clusters.column("energy").clip(0))}
    if _timed(model):
        toa = clusters.column("toa") if "toa" in clusters.columns else np.zeros(len(clusters.hits))
        first = np.minimum.reduceat(toa, clusters.offsets[:-1])
        found["time"] = common.draw(clusters, toa - first[clusters.hit_cluster], earliest=True)
    return found


def _timed(model: Any) -> bool:
    p = model.preprocessor
    return p.time == "toa" and p.times


def _heads(model: Any, network: Any) -> tuple[Tensor, ...]:
    units = {
        "image": "the enlarged image again: sqrt(E / 100 keV), sqrt(time / 100 ns), pixel over the threshold",
        "mask": "probability that a pixel is of the cluster",
        "over_threshold": "probability that it is over the threshold",
        "latent": "latent vector: the embedding",
    }
    return tuple(Tensor(name, tuple(tensor.shape[1:]), units[name]) for name, tensor in network.output.items())
