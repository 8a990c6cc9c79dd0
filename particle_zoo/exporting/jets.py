"""Graphs of jet autoencoders: from variables in GeV and rad to latent numbers, and to the variables again."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from particle_zoo import registry
from particle_zoo.errors import InputError
from particle_zoo.exporting.graph import Arrays, Examples, Graph, Tensor


def graph(model: Any, config: dict[str, Any]) -> Graph:
    """The graph of a jet autoencoder."""
    p = model.preprocessor
    k = len(p.columns)
    what = f"{', '.join(p.columns)}; GeV and rad"

    def call(given: dict[str, Any]) -> dict[str, Any]:
        latent = model.encoder(_normalised(given["jets"], p), training=False)
        return {"latent": latent, "decoded": _physical(model.decoder(latent, training=False), p)}

    return Graph(
        model,
        model,
        (Tensor("jets", (k,), what),),
        (
            Tensor("latent", (model.zoo_config.latent,), "what is stored of a jet"),
            Tensor("decoded", (k,), what, by_column=True),
        ),
        call,
        "the graph normalises physical variables and undoes it after decoding; jets that cannot be (NaN, negative pt) are to be left out before",
        f"jets = numpy.stack([{', '.join(p.columns)}], axis=1).astype('float32')",
    )


def _normalised(values: Any, p: Any) -> Any:
    if p.normalisation == "standardised":
        return (values - np.asarray(p.mean, np.float32)) / np.asarray(p.scale, np.float32)
    return ops.stack([one.forward(values[:, i], ops.log10) for i, one in enumerate(p.scalings)], axis=1)


def _physical(values: Any, p: Any) -> Any:
    if p.normalisation == "standardised":
        return values * np.asarray(p.scale, np.float32) + np.asarray(p.mean, np.float32)
    return ops.stack([one.inverse(values[:, i]) for i, one in enumerate(p.scalings)], axis=1)


def examples(model: Any, n: int, seed: int, options: dict[str, Any]) -> Examples:
    """Jets of the data asked for, or simulated ones.

    Raises:
        InputError: a model of variables that the simulation does not have, and no data set named.
    """
    columns = model.preprocessor.columns
    if options["dataset"]:
        from particle_zoo.data.jets import load_jets

        where = {key: options[key] for key in ("data_dir", "manual_dir")}
        jets = load_jets(options["dataset"], options["split"], limit=n, want=columns, **where).select(columns)
        name = f"{options['dataset']}, split {options['split']}"
    elif registry.info(model.zoo_name).default_dataset.endswith("/files"):
        raise InputError(
            "no simulation has these variables; try the export on your jets: --dataset jets/files --manual-dir DIR"
        )
    else:
        from particle_zoo.simulation.jets import generate

        jets, name = generate(n, seed).select(columns), f"simulated like jets/simulated, seed {seed}"

    def expected(start: int, end: int) -> Arrays:
        latent = model.encode(model.preprocess(jets[start:end]))
        return {"latent": latent, "decoded": model.preprocessor.inverse(model.decode(latent)).values}

    def some(start: int, end: int) -> Arrays:
        return {"jets": jets.values[start:end].astype(np.float32)}

    return Examples(name, len(jets), some, expected, 256)
