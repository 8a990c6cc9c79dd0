"""`predict` on patches: what a clustering says of every region that was cut out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import registry
from particle_zoo.cli import write_json
from particle_zoo.errors import ParticleZooError
from particle_zoo.pipelines.patch_file import patch_file
from particle_zoo.predict import predict
from particle_zoo.weights import load_run
from tests.camera_runs import frames

REGIONS = pd.DataFrame(
    {"row": [20.5, 40.5], "col": [30.5, 70.5], "row0": [10, 35], "row1": [30, 45], "col0": [20, 60], "col1": [40, 80]}
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights and centroids."""
    keras.utils.set_random_seed(3)
    model = registry.create("tiny_dec")
    images = frames(40, 1, shape=(model.zoo_config.size,) * 2).astype(np.float32) - 100
    model.preprocessor = model.preprocessor.fit(images)
    folder = tmp_path_factory.mktemp("runs") / "sorted"
    folder.mkdir()
    z, _ = model.assign(model.preprocess(images))
    model.centroids = z[: model.zoo_config.clusters]
    model.save_weights(folder / "model.weights.h5")
    about = {"model": "tiny_dec", "config": model.zoo_config.model_dump(mode="json"), "classes": None}
    write_json(
        folder / "config.json",
        about | {"dataset": "camera_frames/files", "preprocessing": model.preprocessor.to_dict()},
    )
    return folder


@pytest.fixture
def file(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two patches of each of eight frames."""
    monkeypatch.chdir(tmp_path)
    size = load_run(run)[0].zoo_config.size
    with patch_file(tmp_path / "regions_patches.h5", size) as append:
        for image in frames(8, 5, [[(20, 30, 9000.0)]] * 4):
            append(image.astype(np.float32) - 100, REGIONS)
    return tmp_path / "regions_patches.h5"


def invoke(*arguments: Any) -> str:
    result = CliRunner().invoke(predict, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_patch_has_its_cluster(run: Path, file: Path) -> None:
    output = invoke(run, file, "--json", "found.json")
    found = pd.read_csv("clusters.csv")
    model, _ = load_run(run)
    with h5py.File(file) as stored:
        embedding, soft = model.assign(model.preprocess(stored["patches"][:]))
        assert found["several"].tolist() == stored["several"][:].tolist()
    assert found["row"].tolist() == list(range(16))
    np.testing.assert_allclose(found.filter(regex=r"^q\d+$"), soft, rtol=1e-4)
    np.testing.assert_allclose(found.filter(regex=r"^z\d+$"), embedding, rtol=1e-4, atol=1e-6)
    assert found["cluster"].tolist() == soft.argmax(1).tolist()
    numbers = json.loads(Path("found.json").read_text())
    assert numbers["patches"] == 16
    assert numbers["clusters"] == {str(k): (found["cluster"] == k).sum() for k in range(soft.shape[1])}
    assert f"cluster 0 {numbers['clusters']['0']}" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["light.npy"], "write one with predict --crop"),
        (["nowhere.h5"], "nowhere.h5 cannot be read"),
        (["large.h5"], "large.h5: the model takes patches of"),
        (["regions_patches.h5", "--rate", "1"], "--rate is for models that find regions"),
        (["regions_patches.h5", "--set", "rotate=1"], "--set is for models that find regions"),
        (["regions_patches.h5", "--threshold", "1"], "--threshold is about clusters of hits"),
        (["regions_patches.h5", "--output", "old.csv"], "old.csv exists"),
    ],
)
def test_bad_input_is_one_sentence(run: Path, file: Path, arguments: list[str], message: str) -> None:
    Path("old.csv").write_text("precious")
    with h5py.File("large.h5", "w") as stored:
        stored["patches"] = np.ones((3, 70, 70), np.float32)
    before = {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        predict.main([str(run), *arguments], standalone_mode=False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()} == before
