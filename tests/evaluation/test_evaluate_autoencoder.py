"""`evaluate` and `embed` on EfficientNet autoencoders, without training: random weights draw badly, and it must show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from particle_zoo import data
from particle_zoo.clusters import Clusters
from particle_zoo.embed import embed
from particle_zoo.errors import InputError
from particle_zoo.evaluate import evaluate
from particle_zoo.evaluation import autoencoder
from particle_zoo.simulation import simulate
from tests.conftest import write_pixel_files
from tests.evaluation.runs import untrained_run
from tests.evaluation.stand_in import StandIn, image_only, tracks

FILES = "timepix1_clusters/files"


@pytest.fixture(scope="module")
def files(shallow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated electrons and protons in files."""
    return write_pixel_files(tmp_path_factory.mktemp("pixels"), ("proton/a.clog", "electron/a.clog"))


@pytest.fixture(scope="module")
def run(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An autoencoder with three heads."""
    return _run(tmp_path_factory.mktemp("runs") / "three_heads", files)


def _options(files: Path, tmp_path: Path) -> list[str]:
    return ["--dataset", FILES, "--manual-dir", str(files), "--data-dir", str(tmp_path / "data")]


def _run(folder: Path, files: Path, name: str = "tiny_effnet_ae", **settings: Any) -> Path:
    clusters = data.load(FILES, "train", manual_dir=files, data_dir=folder.parent / "data")
    return untrained_run(folder, name, FILES, clusters, **settings)


def invoke(command: click.Command, *arguments: Any) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_evaluate_prints_tables_and_writes_figure_and_numbers(run: Path, files: Path, tmp_path: Path) -> None:
    other = _run(tmp_path / "image_head", files, mask_heads=False)
    options = [*_options(files, tmp_path), "--split", "all", "--json", tmp_path / "m.json", "--output", tmp_path / "p"]
    output = invoke(evaluate, run, *options, "--compare", other)
    found = json.loads((tmp_path / "m.json").read_text())
    assert set(found["methods"]) == {"tiny_effnet_ae", "PCA", "all zero"}
    assert found["methods"]["all zero"]["error"] == 1
    assert found["methods"]["all zero"]["iou"] == 0
    assert found["methods"]["PCA"]["error"] < 1
    for method in found["methods"].values():
        assert sum(part["n"] for part in method["by_type"].values()) == found["n"]
    # The clusters of the training are known again, and the PCA is theirs.
    assert found["trained_on"] == found["pca"]["clusters"] < found["n"]
    assert found["latent"] == 320
    assert found["decoder_sees"] == 320 * 4
    assert set(found["probe"]) == {"enlargement alone", "tiny_effnet_ae", "tiny_effnet_ae, random weights", "PCA"}
    assert found["compare"]["first"]["run"] == str(run)
    assert found["compare"]["second"]["sharpness_masked"] is None
    assert found["compare"]["first"]["iou"] == found["methods"]["tiny_effnet_ae"]["iou"]
    assert (tmp_path / "p" / "reconstructions_by_type.png").stat().st_size > 10_000
    for title in ("by track type", "linear probe", "the decoder sees 1,280 values", "mask IoU by track type"):
        assert title in output


@pytest.mark.slow
@pytest.mark.usefixtures("plain_map")
def test_embed_tells_what_the_axes_follow(run: Path, files: Path, tmp_path: Path) -> None:
    arguments = [*_options(files, tmp_path), "--output", tmp_path / "e", "--json", tmp_path / "e.json", "--groups", 3]
    classifier = _run(tmp_path / "c", files, "tiny_effnet_classifier", classes=["electron", "proton"])
    output = invoke(embed, classifier, *arguments, "--before", run)
    found = json.loads((tmp_path / "e.json").read_text())
    axes = found["correlations"]
    assert {"umap_x", "umap_y"} < set(axes)
    assert set(axes["umap_x"]) == {"length", "angle", "energy", "size"}
    rows = pd.read_parquet(tmp_path / "e" / "latent.parquet")
    for axis, row in axes.items():
        for quantity, column in (("size", "size"), ("length", "length"), ("energy", "energy_sum")):
            assert row[quantity] == pytest.approx(stats.spearmanr(rows[axis], rows[column]).statistic, abs=1e-5)
    # No other axis of the latent space follows the size better than those shown.
    everything = rows.filter(regex=r"^z\d+$").corrwith(rows["size"], method="spearman").abs()
    assert everything.idxmax() in axes
    assert all(0 <= row["angle"] <= 1 for row in axes.values() if row["angle"] is not None)
    assert set(found["separation"]) == {"before", "after"}
    assert (tmp_path / "e" / "before_and_after.png").exists()
    assert len(rows) == found["n"]
    assert "circular-linear" in output


def test_what_cannot_be_compared_is_said(run: Path, files: Path, trained: Path, tmp_path: Path) -> None:
    for command, arguments, message in (
        (evaluate, [trained, "--compare", run], "is a classifier"),
        (evaluate, [run, "--compare", trained], "give the run of an autoencoder"),
        (evaluate, [run, "--compare", tmp_path / "nowhere"], "no run folder"),
        (evaluate, ["tiny_cnn", "--protocol", "kfold", "--compare", run], "leave --protocol out"),
        (embed, [run, "--before", trained], "no latent vector"),
    ):
        with pytest.raises(InputError, match=message) as error:
            command.main(
                [*map(str, arguments), *_options(files, tmp_path), "--output", str(tmp_path / "o")],
                standalone_mode=False,
            )
        assert "\n" not in str(error.value)
    assert not (tmp_path / "o").exists()


def test_clusters_without_energies_in_kev_are_refused(run: Path, layout: Path, tmp_path: Path) -> None:
    options = ["--dataset", "ccd_clusters/damic_labelled", "--manual-dir", layout, "--data-dir", tmp_path / "data"]
    with pytest.raises(InputError, match="need energies in keV"):
        evaluate.main([str(run), *map(str, options), "--output", str(tmp_path / "o")], standalone_mode=False)
    assert not (tmp_path / "o").exists()


def test_side_by_side_shows_what_the_mask_head_is_worth(capsys: pytest.CaptureFixture[str]) -> None:
    clusters, _, _ = tracks(15)
    found = autoencoder.compare(StandIn(), StandIn(image_only), ("with", "without"), clusters)
    assert (found["first"]["iou"], found["first"]["sharpness"]) == (1, 1)
    assert found["second"]["sharpness_masked"] is None
    assert "straight track" in capsys.readouterr().out


def test_report_of_few_tracks_leaves_the_probe_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alphas = simulate("timepix_300um", particle="alpha", n=30, seed=2)
    clusters = Clusters(alphas.hits[:, :3], alphas.columns[:3], alphas.offsets, alphas.table)
    clusters = clusters[np.flatnonzero(clusters.features()["long_side"] <= 24)]
    found = autoencoder.report(StandIn(), clusters, clusters, None, tmp_path)
    assert found["probe"] is None
    assert "too few to probe" in capsys.readouterr().out
    assert found["decoder_sees"] == found["latent"] == 4
