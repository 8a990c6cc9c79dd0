"""`predict --features` and `plot`: a file of one's own readout, no model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest

from particle_zoo import Clusters, Frames, Hits, InputError, read, simulate
from particle_zoo.detectors.calibration import Surrogate
from particle_zoo.detectors.chain import iter_clusters
from particle_zoo.detectors.holy import CLASSES, classify
from particle_zoo.detectors.morphology import ALL_FEATURES
from particle_zoo.detectors.pixel_calibration import Calibration
from particle_zoo.detectors.writers import write
from particle_zoo.plot import plot
from particle_zoo.predict import predict


def run(command: click.Command, *arguments: object) -> Any:
    return command.main([str(a) for a in arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def electrons() -> Clusters:
    return simulate("timepix3_500um", particle="electron", n=300, seed=4)


@pytest.fixture(scope="module")
def readouts(tmp_path_factory: pytest.TempPathFactory, electrons: Clusters) -> dict[str, Path]:
    """The same particles in the files of several readouts."""
    folder = tmp_path_factory.mktemp("readouts")
    found = {name: write(folder / f"run.{name}", electrons) for name in ("t3pa", "t3p", "tpx3", "txt", "clog", "clist")}
    rows = electrons.hits[electrons.offsets[:-1]]
    assert len(rows) == 300
    images = np.zeros((300, 256, 256), np.float32)
    row, col = (electrons.column(name).astype(int) for name in ("row", "col"))
    images[electrons.hit_cluster, row, col] = np.rint(Surrogate().tot(electrons.column("energy")))
    found["pmf"] = write(folder / "frames.pmf", Frames.from_dense(images))
    return found


@pytest.mark.parametrize("name", ["t3pa", "t3p", "tpx3", "txt", "clog", "clist", "pmf"])
def test_the_same_clusters_from_every_readout(
    readouts: dict[str, Path], electrons: Clusters, tmp_path: Path, name: str
) -> None:
    output = tmp_path / ("f.parquet" if name == "tpx3" else "f.csv")
    extra = ["--calibration", "typical"] if name in ("t3pa", "t3p", "tpx3", "txt", "pmf") else []
    run(predict, "--features", readouts[name], *extra, "--output", output, "--json", tmp_path / "s.json")
    found = pd.read_parquet(output) if output.suffix == ".parquet" else pd.read_csv(output)
    expected = electrons.features()
    # Two particles that overlap in time and place are one cluster; here none do.
    assert len(found) == 300
    assert sorted(found["size"]) == sorted(expected["size"])
    np.testing.assert_allclose(np.sort(found["energy_sum"]), np.sort(expected["energy_sum"]), rtol=2e-3)
    assert set(ALL_FEATURES) <= set(found.columns)
    assert set(found["unit"]) == {"keV"}
    said = json.loads((tmp_path / "s.json").read_text())
    assert said["class"] == found["class"].value_counts().to_dict()
    assert sorted(found["class"]) == sorted(classify(electrons))
    assert found["id"].is_unique


def test_a_calibration_of_the_chip(readouts: dict[str, Path], tmp_path: Path) -> None:
    typical = Surrogate()
    shape = (256, 256)
    a = np.full(shape, typical.a)
    a[:128] = 0
    chip = Calibration(a, np.full(shape, typical.b), np.full(shape, typical.c), np.full(shape, typical.t))
    chip.write(tmp_path / "chip")
    run(predict, "--features", readouts["t3pa"], "--calibration", tmp_path / "chip", "--output", tmp_path / "f.csv")
    found = pd.read_csv(tmp_path / "f.csv")
    # The lower half of the chip is dead.
    assert found["row0"].min() >= 128
    assert 100 < len(found) < 200


def test_thickness_and_window_reach_the_table(readouts: dict[str, Path], tmp_path: Path) -> None:
    for i, thickness in enumerate((300, 500)):
        output = tmp_path / f"{i}.csv"
        run(predict, "--features", readouts["clist"], "--thickness-um", thickness, "--output", output)
    thin, thick = (pd.read_csv(tmp_path / f"{i}.csv") for i in range(2))
    assert np.all(thin["length_3d_um"] < thick["length_3d_um"])
    run(predict, "--features", readouts["t3pa"], "--window-ns", 0, "--output", tmp_path / "w.csv")
    assert len(pd.read_csv(tmp_path / "w.csv")) > 300


@pytest.mark.parametrize("name", ["t3pa", "pmf", "clog"])
def test_plot(readouts: dict[str, Path], tmp_path: Path, name: str) -> None:
    run(plot, readouts[name], "--output", tmp_path / "p", "--json", tmp_path / "s.json")
    said = json.loads((tmp_path / "s.json").read_text())
    assert said["clusters"] == sum(said["classes"].values()) == 300
    assert set(said["classes"]) <= set(CLASSES)
    for figure in ("overview.png", "gallery.png"):
        assert (tmp_path / "p" / figure).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="--force"):
        run(plot, readouts[name], "--output", tmp_path / "p")
    run(plot, readouts[name], "--output", tmp_path / "p", "--force")


def test_plot_into_named_files(readouts: dict[str, Path], tmp_path: Path) -> None:
    run(plot, readouts["clist"], "--output", tmp_path / "run.pdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-gallery.pdf", "run.pdf"]
    assert (tmp_path / "run.pdf").read_bytes().startswith(b"%PDF")


def test_plot_of_a_frame_of_a_ccd_and_of_masks(layout: Path, tmp_path: Path) -> None:
    run(plot, layout, "--output", tmp_path / "p")
    assert (tmp_path / "p" / "gallery.png").exists()


BAD: list[tuple[click.Command, list[str], str]] = [
    (predict, ["--features", "{tmp}/nowhere.t3pa"], "does not exist"),
    (predict, ["--features", "{tmp}/cut.t3p"], "cut.t3p, byte 16: the file ends inside a word"),
    (predict, ["--features", "{t3pa}", "--calibration", "{tmp}"], "needs one file a.txt"),
    (predict, ["--features", "{t3pa}", "--window-ns", "-3"], "window_ns"),
    (predict, ["--features", "{t3pa}", "--set", "chunk"], "--set takes key=value"),
    (predict, ["--features", "{t3pa}", "--thickness-um", "0"], "thickness_um must be positive"),
    (predict, ["{t3pa}"], "add --features"),
    (plot, ["{tmp}/nowhere"], "does not exist"),
    (plot, ["{tmp}/empty.clist"], "empty.clist is empty"),
    (plot, ["{t3pa}", "{clog}"], "one unit"),
]


@pytest.mark.parametrize(("command", "arguments", "message"), BAD)
def test_bad_input_is_one_sentence_and_no_file(
    command: click.Command, arguments: list[str], message: str, readouts: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.t3p").write_bytes(readouts["t3p"].read_bytes()[:20])
    (tmp_path / "empty.clist").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    names = {"tmp": tmp_path, **readouts}
    with pytest.raises((InputError, click.ClickException)) as error:
        run(command, *(a.format(**names) for a in arguments))
    text = error.value.format_message() if isinstance(error.value, click.ClickException) else str(error.value)
    assert message in text
    assert "\n" not in text
    assert sorted(tmp_path.rglob("*")) == before


def test_commands_as_processes(readouts: dict[str, Path], tmp_path: Path) -> None:
    """Exit codes, one line on stderr, and no Keras in memory."""
    done = subprocess.run(
        [sys.executable, "-m", "particle_zoo.predict", "--features", str(readouts["t3pa"]), "--quiet"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "features.csv").exists()
    done = subprocess.run(
        [sys.executable, "-m", "particle_zoo.plot", str(tmp_path / "no.t3pa")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    code = (
        "import sys; from particle_zoo.predict import predict; "
        "predict.main(sys.argv[1:], standalone_mode=False); assert 'keras' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code, "--features", str(readouts["clog"]), "--output", "k.csv"], cwd=tmp_path, check=True
    )


def test_a_folder_of_runs_is_one_table(readouts: dict[str, Path], tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"run{i}.t3pa").write_bytes(readouts["t3pa"].read_bytes())
    parts = list(iter_clusters(tmp_path))
    assert sum(map(len, parts)) == 600
    assert set(np.concatenate([part.table["run"] for part in parts])) == {0, 1}
    assert isinstance(read(tmp_path), Hits)


@pytest.mark.real_data
def test_real_gamma_run(real_data: Path, tmp_path: Path) -> None:
    """Its spectra are drawn, and its classes are those of electrons from gammas: no heavy blobs."""
    path = real_data / "timepix1" / "gammaRadiation_clusters.yml.gz"
    run(plot, path, "--output", tmp_path / "p", "--json", tmp_path / "s.json")
    said = json.loads((tmp_path / "s.json").read_text())
    assert said["clusters"] == 5621
    assert said["classes"].get("heavy blob", 0) + said["classes"].get("heavy track", 0) < 10
    assert said["classes"]["dot"] > said["classes"]["small blob"]


@pytest.mark.real_data
def test_real_black_forest_stone(real_data: Path, tmp_path: Path) -> None:
    """Alphas of the radon chain are heavy blobs of about 20 px."""
    path = real_data / "timepix1" / "BlackForestStone.yml.gz"
    run(predict, "--features", path, "--output", tmp_path / "f.parquet")
    table = pd.read_parquet(tmp_path / "f.parquet")
    assert len(table) == 19_639
    blobs = table[(table["class"] == "heavy blob") & table["energy_sum"].between(4000, 7000)]
    assert len(blobs) > 50
    assert 16 <= blobs["size"].median() <= 24
