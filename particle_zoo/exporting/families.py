"""The graph of a model, and what to try it on, by its kind of preprocessing."""

from __future__ import annotations

from typing import Any

from particle_zoo.exporting import camera, ccd, clusters, jets, timepix
from particle_zoo.exporting.graph import Examples, Graph
from particle_zoo.pipelines.ccd import CCDPreprocessor
from particle_zoo.pipelines.frames import FramePreprocessor
from particle_zoo.pipelines.jets import JetPreprocessor
from particle_zoo.pipelines.patches import PatchPreprocessor

GRAPHS = {
    CCDPreprocessor: ccd.graph,
    FramePreprocessor: camera.frame_graph,
    JetPreprocessor: jets.graph,
    PatchPreprocessor: camera.patch_graph,
}
"""Makers of graphs by type of preprocessor; all others are of Timepix models."""

EXAMPLES = {
    FramePreprocessor: camera.frame_examples,
    JetPreprocessor: jets.examples,
    PatchPreprocessor: camera.patch_examples,
}
"""Makers of examples by the same; all others are of clusters."""


def graph(model: Any, config: dict[str, Any]) -> Graph:
    """The graph of a trained model and the config.json of its run."""
    return GRAPHS.get(type(model.preprocessor), timepix.graph)(model, config)


def examples(graph: Graph, config: dict[str, Any], n: int, seed: int, options: dict[str, Any]) -> Examples:
    """Up to n examples of the data set that `options` name (dataset, data_dir, manual_dir, split), else simulated ones.

    Raises:
        InputError: data that are unknown, unusable, or not for this model.
    """
    kind = type(graph.model.preprocessor)
    if kind in EXAMPLES:
        return EXAMPLES[kind](graph.model, n, seed, options)
    name, found = clusters.load(graph.model, config, n, seed, options)
    inputs = ccd.inputs if kind is CCDPreprocessor else timepix.inputs
    return clusters.examples(graph, config, found, name, inputs)
