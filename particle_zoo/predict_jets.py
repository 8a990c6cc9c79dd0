"""What an autoencoder of jets makes of a user's own jets, one by one; part of `particle_zoo.predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from particle_zoo.cli import parse_settings, progress, replacing
from particle_zoo.errors import InputError
from particle_zoo.table_file import appending, check_table


def predict_jets(
    folder: Path,
    files: Sequence[str | Path],
    output: Path | None = None,
    *,
    reading: Sequence[str] = (),
    force: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Compress the jets of some files and give them back, write a table and print the error; a part of a file in memory at a time.

    Args:
        folder: run folder of a model of task "compression".
        files: with jets, see `particle_zoo.data.jet_files`.
        output: table, .csv or .parquet, one row a jet: `source`, `row` (number in the file), `event` where it is known, the
            variables of the model in GeV, the same as they come back (`pt_decoded`, ...), the latent numbers `z0`, `z1`, ...
            and `error`, the mean square error of the normalised variables of this jet; predictions.csv by default.
        reading: KEY=VALUE of `JetFileSettings.from_pairs`.
        force: replace a table that exists.
        quiet: no progress bar.

    Returns:
        `jets`, `skipped` (that were left out), `below_momentum` (given jets whose E is), `error` (mean over jets) and `output`.

    Raises:
        InputError: jets that cannot be read or normalised, files of which some tell events and some do not, or output that exists.
    """
    from particle_zoo.data.jet_files import JetFileSettings, iter_jets
    from particle_zoo.data.jet_values import JetCounts
    from particle_zoo.weights import load_run

    output = check_table(output or Path("predictions.csv"), force=force)
    settings = JetFileSettings.from_pairs(parse_settings(tuple(reading)))
    model, _ = load_run(folder)
    jets, error, counts = 0, 0.0, JetCounts()
    with replacing(output) as temporary, appending(temporary, "a jet") as write:
        for file in progress(files, "files", quiet=quiet):
            for part, places in iter_jets(file, model.preprocessor.columns, settings, counts=counts):
                rows = _rows(model, part, str(file), places.index.to_numpy())
                write(rows)
                jets += len(rows)
                error += float(rows["error"].sum())
    error /= jets
    for line in counts.lines():
        click.echo(line)
    click.echo(f"{jets:,} jets, mean square error of the normalised variables {error:.3e}")
    click.echo(f"table: {output}")
    odd = {"skipped": counts.skipped, "below_momentum": counts.below}
    return {"jets": jets, **odd, "error": error, "output": str(output)}


def _rows(model: Any, jets: Any, source: str, places: np.ndarray) -> pd.DataFrame:
    try:
        normalised = model.preprocessor.normalise(jets.values)
    except InputError as error:
        raise InputError(f"{source}, jets from {places[0]} on: {error}") from error
    latent = model.encode(normalised.astype(np.float32))
    decoded = np.asarray(model.decode(latent), np.float64)
    place = pd.DataFrame({"source": source, "row": places})
    if jets.events is not None:
        place["event"] = jets.events
    with np.errstate(over="ignore"):
        found = model.preprocessor.inverse(decoded).to_frame().add_suffix("_decoded")
    numbers = pd.DataFrame(latent, columns=[f"z{i}" for i in range(latent.shape[1])])
    rows = pd.concat([place, jets.to_frame(), found, numbers], axis=1)
    return rows.assign(error=((decoded - normalised) ** 2).mean(1))
