from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from particle_zoo import Clusters, InputError, data, registry
from particle_zoo.cli import read_json, write_json
from particle_zoo.evaluation import baseline, protocols
from particle_zoo.training.fit import fit
from particle_zoo.training.session import build
from tests.conftest import write_layout

LABELLED = "ccd_clusters/damic_labelled"


def test_the_seeds_split_trains_on_copies_and_never_on_the_tested_ones() -> None:
    for split, leaky in ((protocols._leaky, True), (protocols._clean, False)):
        (train, train_copy), (test, test_copy) = split(40, np.random.default_rng(0))
        seen = set(zip(train.tolist(), train_copy.tolist(), strict=True))
        assert not seen & set(zip(test.tolist(), test_copy.tolist(), strict=True))
        assert bool(set(train.tolist()) & set(test.tolist())) is leaky


def test_only_the_very_clusters_count_as_trained_on(layout: Path, tmp_path: Path) -> None:
    ours = data.load(LABELLED, "all", manual_dir=layout, data_dir=tmp_path)
    other = data.load(LABELLED, "all", manual_dir=write_layout(tmp_path / "o", n=60, seed=8), data_dir=tmp_path)
    baseline.store(tmp_path / "b.parquet", ours[:20])
    reference = baseline.restore(tmp_path / "b.parquet")
    assert baseline.trained_on(reference, ours) == 20
    # The same numbers, other pixels: a handful of spots of a few pixels may look the same.
    assert set(other.ids) == set(ours.ids)
    assert baseline.trained_on(reference, other) <= 2
    moved = Clusters(ours.hits + np.float32([5, 7, 0]), ours.columns, ours.offsets, ours.table, ours.unit)
    assert baseline.trained_on(reference, moved) == 20


def test_a_diverged_training_is_an_error_and_leaves_no_weights(simulated: Clusters, tmp_path: Path) -> None:
    settings = registry.config_class("tiny_vae").from_settings({"learning_rate": 1e20, "epochs": 4}).model_dump()
    model = build(registry.info("tiny_vae"), settings, simulated, None, seed=0)
    with pytest.raises(InputError, match="diverged; lower learning_rate"):
        fit(model, simulated, simulated[:20], classes=None, folder=tmp_path)
    if (tmp_path / "model.weights.h5").exists():
        model.load_weights(tmp_path / "model.weights.h5")
        assert all(np.isfinite(keras.ops.convert_to_numpy(w)).all() for w in model.weights)


def test_json_has_no_bare_nan(tmp_path: Path) -> None:
    value: dict[str, Any] = {"a": float("nan"), "b": [np.float64("inf"), 1.5], "c": {"d": np.nan}}
    write_json(tmp_path / "v.json", value)
    assert "NaN" not in (tmp_path / "v.json").read_text()
    assert read_json(tmp_path / "v.json") == {"a": None, "b": [None, 1.5], "c": {"d": None}}
