"""How fast networks are."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from particle_zoo import Clusters, InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.evaluation import network_speed
from particle_zoo.pipelines.examples import Examples
from particle_zoo.pipelines.timepix import TimepixPreprocessor
from particle_zoo.training.feed import EpochBatches
from tests.forms import ALL


@pytest.mark.parametrize("name", ["timepix_cnn", *(("tiny_cnn",) if ALL else ())])
def test_a_row_says_what_ran_where(name: str, tmp_path: Path) -> None:
    arguments = ["network", name, "--batch-size", "4", "--steps", "2", "--json", str(tmp_path / "n.json")]
    if name == "timepix_cnn":
        arguments += ["--set", "size=32"]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    (row,) = json.loads((tmp_path / "n.json").read_text())["rows"]
    assert (row["batch_size"], row["precision"], row["backend"]) == (4, "float32", keras.backend.backend())
    assert row["first_step_s"] > 0
    assert row["draw_per_s"] > 0
    assert row["train_per_s"] > 0
    assert row["predict_per_s"] > 0
    # Keras and its backend alone take some 0.4 GB.
    assert 0.2 < row["peak_gb"] < 20
    # Measured in a process of its own; others before it may have been larger.
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    assert largest / 10 < row["peak_gb"] < 1.05 * largest
    assert f"{row['train_per_s']:.1f}" in result.output
    assert row["finite"]
    assert "finite" not in result.output


@pytest.mark.usefixtures("forked")
def test_the_speed_of_a_training_that_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"learning_rate": 1e38}
    found = network_speed.measure("tiny_cnn", settings, batch_sizes=(4,), precisions=("float32",), steps=2, seed=0)
    assert not found["rows"][0]["finite"]
    assert "no finite number with float32 at batch 4" in capsys.readouterr().out


def test_bad_settings_are_told_before_anything_runs() -> None:
    with pytest.raises(InputError, match="no setting 'sizes'"):
        network_speed.measure("tiny_cnn", {"sizes": 3}, batch_sizes=(), precisions=("float32",), steps=2, seed=0)


@pytest.mark.parametrize(
    ("lengths", "size", "side"),
    # The longest of the second is averaged over blocks and takes a smaller raster than the one that just fits.
    [((3, 20, 5, 100), 128, 128), ((3, 90, 5, 100), 96, 128)],
)
def test_xla_meets_one_height_and_width(
    lengths: tuple[int, ...], size: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def track(length: int) -> np.ndarray:
        return np.array([[i, 0, 50.0] for i in range(length)])

    clusters = Clusters.from_list([track(length) for length in lengths])
    batches = EpochBatches(Examples(clusters, TimepixPreprocessor(size=size).fit(clusters), batch_size=2))
    small = [batches[i][0] for i in range(2)]
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    filled = [batches[i][0] for i in range(2)]
    assert {batch.shape for batch in filled} == {(2, side, side, 3)}
    for before, after in zip(small, filled, strict=True):
        small_side = before.shape[1]
        np.testing.assert_array_equal(after[:, :small_side, :small_side], before)
        assert after.sum() == before.sum()
