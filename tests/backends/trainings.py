"""Trains, loads and applies one model of each trainer where TensorFlow is not installed; a program of its own.

    python -m tests.backends.trainings FOLDER

takes KERAS_BACKEND and the source files in FOLDER, and writes a run folder and `losses.json` there. `--with-tensorflow` leaves
it where it is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.absent import hide
from tests.forms import unless_all

ABSENT = ("tensorflow", "tensorflow_datasets")


TRAININGS = {
    "tiny_cnn": ("ccd_clusters/damic_labelled", "layout", "epochs=2", "size=16"),
    "tiny_vae": ("ccd_clusters/damic_labelled", "layout", "steps=4"),
    "tiny_timepix_cnn": ("timepix1_clusters/files", "pixels", "epochs=1", "size=32"),
    "tiny_pedestal_ae": ("camera_frames/files", "frames", "epochs=1", 'finder_settings={"widths": [2.0]}'),
    "tiny_jet_ae": ("jets/files", "jets", "epochs=2"),
    "tiny_dec": ("camera_frames/files", "patches", "epochs=2", "filters=[2,4,4]", "cluster_steps=4"),
}
"""Data set, folder of its files and settings by model."""

for _model in unless_all(["tiny_timepix_cnn"]):
    # Trained like tiny_cnn.
    del TRAININGS[_model]


def train(root: Path, name: str) -> dict[str, Any]:
    """Train by the command; returns the metrics of the run."""
    from click.testing import CliRunner

    from particle_zoo.cli import read_json
    from particle_zoo.train import train as command

    dataset, source, *settings = TRAININGS[name]
    given = [name, "--dataset", dataset, "--manual-dir", str(root / source), "--output", str(root / "runs" / name)]
    given += ["--data-dir", str(root / "data"), "--limit", "64", "--batch-size", "16", "--quiet"]
    given += [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return read_json(root / "runs" / name / "metrics.json")


def main(root: Path) -> None:
    import pickle

    import numpy as np
    import pandas as pd

    import particle_zoo
    from particle_zoo.cli import write_json

    losses = {}
    for name in TRAININGS:
        train(root, name)
        model = particle_zoo.load(name, weights=root / "runs" / name)
        examples = pickle.loads((root / f"{TRAININGS[name][1]}.pickle").read_bytes())
        predicted = model.predict(model.preprocess(examples), verbose=0)
        for values in predicted.values() if isinstance(predicted, dict) else [predicted]:
            assert len(values) == len(examples), name
            assert np.isfinite(values).all(), name
        losses[name] = pd.read_csv(root / "runs" / name / "history.csv")["loss"].tolist()
    write_json(root / "losses.json", losses)


if __name__ == "__main__":
    if "--with-tensorflow" not in sys.argv:
        hide(*ABSENT)
    main(Path(sys.argv[1]))
    if "--with-tensorflow" not in sys.argv:
        assert not set(ABSENT) & set(sys.modules)
