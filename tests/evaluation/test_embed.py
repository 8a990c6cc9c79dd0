from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import data
from particle_zoo.embed import embed
from particle_zoo.errors import InputError
from tests.evaluation.runs import untrained_run

LABELLED = "ccd_clusters/damic_labelled"


@pytest.fixture
def options(layout: Path) -> list[str]:
    return ["--dataset", LABELLED, "--manual-dir", str(layout), "--data-dir", str(layout.parent / "data")]


@pytest.fixture
def train(layout: Path) -> Any:
    return data.load(LABELLED, "train", manual_dir=layout, data_dir=layout.parent / "data")


def invoke(*arguments: Any) -> str:
    result = CliRunner().invoke(embed, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.usefixtures("plain_map")
def test_before_and_after_on_the_same_clusters(options: list[str], train: Any, tmp_path: Path) -> None:
    runs = [untrained_run(tmp_path / str(i), "tiny_vae", LABELLED, train, seed=i) for i in (0, 1)]
    output = invoke(runs[1], *options, "--before", runs[0], "--output", tmp_path / "e", "--json", tmp_path / "e.json")
    found = json.loads((tmp_path / "e.json").read_text())
    rows = pd.read_parquet(tmp_path / "e" / "latent.parquet")
    assert {"umap_x_before", "umap_y_before"} <= set(rows)
    assert not np.allclose(rows["umap_x"], rows["umap_x_before"])
    assert set(found["separation"]) == {"before", "after"}
    assert 0 < found["separation"]["before"]["knn_accuracy"] <= 1
    assert (tmp_path / "e" / "before_and_after.png").stat().st_size > 10_000
    assert "what the latent vector knows of the label" in output
    # Masks and ADU keep the output they had.
    assert "correlations" not in found
    same = tmp_path / "same.json"
    invoke(runs[1], *options, "--before", runs[1], "--output", tmp_path / "f", "--json", same)
    separation = json.loads(same.read_text())["separation"]
    assert separation["before"] == separation["after"] == found["separation"]["after"]


@pytest.mark.usefixtures("plain_map")
def test_the_page_of_the_map_is_written_where_asked_for(options: list[str], train: Any, tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "a", "tiny_vae", LABELLED, train)
    assert "embedding.html" not in invoke(run, *options, "--output", tmp_path / "e")
    assert not (tmp_path / "e" / "embedding.html").exists()
    output = invoke(run, *options, "--before", run, "--html", "--output", tmp_path / "f")
    assert f"page: {tmp_path / 'f' / 'embedding.html'}" in output
    page = (tmp_path / "f" / "embedding.html").read_text(encoding="utf-8")
    assert f"<title>tiny_vae on {LABELLED}</title>" in page
    rows = pd.read_parquet(tmp_path / "f" / "latent.parquet")
    assert json.dumps(rows["id"].tolist(), separators=(",", ":")) in page
    # Both maps can be chosen.
    assert '"umap_x_before"' in page


def test_what_cannot_be_compared_is_said(options: list[str], train: Any, tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "a", "tiny_vae", LABELLED, train)
    other = untrained_run(tmp_path / "b", "tiny_vae", LABELLED, train, filters=[3, 5])
    cnn = untrained_run(tmp_path / "c", "tiny_cnn", LABELLED, train, classes=["xray", "electron", "muon"])
    for arguments, message in (
        ([cnn], "no latent vector"),
        ([run, "--before", cnn], "no latent vector; give an autoencoder"),
        ([run, "--before", other], "encoder is of another kind than that of tiny_vae"),
        ([run, "--before", tmp_path / "nowhere"], "no run folder"),
        ([run, "--before", run, "--classes", "muon"], "two classes"),
    ):
        with pytest.raises(InputError, match=message) as error:
            embed.main([*map(str, arguments), *options, "--output", str(tmp_path / "e")], standalone_mode=False)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "e").exists()
