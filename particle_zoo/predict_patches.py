"""Clusters of a user's patches of camera frames, by a deep embedded clustering; part of `particle_zoo.predict`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from particle_zoo.cli import progress, replacing
from particle_zoo.errors import InputError
from particle_zoo.table_file import appending, check_table


def predict_patches(
    folder: Path, files: Sequence[str | Path], output: Path | None = None, *, force: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Sort the patches of some files, write a table and print how many are in which cluster; one file in memory at a time.

    Args:
        folder: run folder of a model of task "deep_clustering".
        files: of `predict --crop`, or others with `patches` (n, size, size) in counts above the pedestal.
        output: table, .csv or .parquet, one row a patch: `source`, `row` (number in the file, which is the row of the table of
            regions beside it), `several`, `cluster`, `q0`, `q1`, ... (share of each cluster) and `z0`, `z1`, ... (latent
            vector); clusters.csv by default.
        force: replace a table that exists.
        quiet: no progress bar.

    Returns:
        `patches`, `clusters` (patches by cluster) and `output`.

    Raises:
        InputError: a run that was not clustered yet, a file without such patches, or patches of another size.
    """
    from particle_zoo.data.patches import SUFFIXES, load_patches
    from particle_zoo.weights import load_run

    output = check_table(output or Path("clusters.csv"), force=force)
    for file in files:
        if Path(file).suffix not in SUFFIXES:
            raise InputError(
                f"{file} is no file of patches, which end in {', '.join(SUFFIXES)}; write one with predict --crop and the "
                f"model of the regions"
            )
    model, _ = load_run(folder)
    if (folder / "checkpoint.npz").exists() and not (folder / "clusters.npz").exists():
        raise InputError(f"{folder} has not been clustered yet; finish the training with --resume --output {folder}")
    found: Counter[int] = Counter()
    with replacing(output) as temporary, appending(temporary, "a patch") as write:
        for file in progress(files, "files", quiet=quiet):
            patches = load_patches(str(file))
            try:
                embedding, soft = model.assign(model.preprocess(patches.images))
            except InputError as error:
                raise InputError(f"{file}: {error}") from error
            labels = soft.argmax(1)
            place = pd.DataFrame({"source": str(file), "row": np.arange(len(patches))})
            rows = place.assign(several=patches.several, cluster=labels)
            columns = [f"q{i}" for i in range(soft.shape[1])] + [f"z{i}" for i in range(embedding.shape[1])]
            write(pd.concat([rows, pd.DataFrame(np.hstack([soft, embedding]), columns=columns)], axis=1))
            found.update(labels.tolist())
    counts = {str(label): found[label] for label in range(model.zoo_config.clusters)}
    click.echo(f"{found.total():,} patches: " + ", ".join(f"cluster {k} {v:,}" for k, v in counts.items()))
    click.echo(f"table: {output}")
    return {"patches": found.total(), "clusters": counts, "output": str(output)}
