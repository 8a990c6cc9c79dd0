"""`predict` on camera frames: regions, pictures and patches; what a user can get wrong is one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.axes import Axes
from numpy.testing import assert_allclose, assert_array_equal

from particle_zoo import cli
from particle_zoo.anomaly import AnomalyDetector
from particle_zoo.detectors.camera.regions import REGION_COLUMNS
from particle_zoo.errors import InputError, ParticleZooError
from particle_zoo.plots.regions import Scale, counts, means
from particle_zoo.predict import predict
from tests.camera_runs import SHAPE, frames, write_run
from tests.detectors.camera.camera_files import WRITERS
from tests.detectors.camera.test_camera_redpix import write_events

SPOTS = [[(20, 30, 6000.0), (45, 80, 3000.0)], [(33, 50, 9000.0)], [], [(3, 92, 5000.0)]]
"""Of the first frames of `light`; the last one is cut by the corner."""

COLUMNS = ["source", "frame", *REGION_COLUMNS]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("detector") / "run")


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    return frames(6, 7, SPOTS)


@pytest.fixture
def file(light: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "light.npy", light)
    return tmp_path / "light.npy"


def invoke(*arguments: Any) -> str:
    result = CliRunner().invoke(predict, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: Any) -> str:
    """The sentence that a call ends with."""
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        predict.main([str(a) for a in arguments], standalone_mode=False)
    text = error.value.format_message() if isinstance(error.value, click.ClickException) else str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", ["regions.csv", "regions.parquet"])
def test_table_has_the_regions_of_every_frame(run: Path, file: Path, light: np.ndarray, name: str) -> None:
    output = invoke(run, file, "--output", name, "--json", "found.json")
    found = pd.read_csv(name) if name.endswith("csv") else pd.read_parquet(name)
    assert list(found.columns) == COLUMNS
    detector = AnomalyDetector.load(run)
    expected = [detector.regions(image, rate=1.0) for image in light]
    for number, regions in enumerate(expected):
        own = found[found["frame"] == number]
        assert_allclose(own[list(REGION_COLUMNS)].to_numpy(), regions.table.to_numpy())
    for number, spots in enumerate(SPOTS):
        for row, col, _ in spots:
            own = found[found["frame"] == number]
            assert (own.eval(f"row0 <= {row} < row1 and col0 <= {col} < col1")).any()
    assert set(found["source"]) == {"light.npy"}
    numbers = json.loads(Path("found.json").read_text())
    assert (numbers["frames"], numbers["regions"]) == (6, len(found))
    assert numbers["area_discarded"] == pytest.approx(1 - np.mean([regions.mask.mean() for regions in expected]))
    assert numbers["threshold"] == detector.threshold(1.0)
    for text in ("regions a frame", f"{numbers['area_discarded']:.2%}", name, "asked for"):
        assert text in output


def test_another_rate_takes_no_training(run: Path, file: Path) -> None:
    numbers = []
    for rate in (0.1, 1, 4):
        invoke(run, file, "--rate", rate, "--output", f"{rate}.csv", "--json", f"{rate}.json")
        numbers.append(json.loads(Path(f"{rate}.json").read_text()))
    assert numbers[0]["threshold"] > numbers[1]["threshold"] > numbers[2]["threshold"]
    assert numbers[0]["regions"] < numbers[2]["regions"]
    assert [found["rate"] for found in numbers] == [0.1, 1, 4]


@pytest.mark.parametrize("name", ["regions.csv", "regions.parquet"])
def test_no_region_is_a_table_with_its_columns(run: Path, tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "dark.npy", frames(2, 3)[1:])
    output, table = (
        invoke(run, tmp_path / "dark.npy", "--rate", 0.1, "--crop", "--output", tmp_path / name),
        tmp_path / name,
    )
    found = pd.read_csv(table) if name.endswith("csv") else pd.read_parquet(table)
    assert list(found.columns) == COLUMNS
    assert not len(found)
    assert "100.00%" in output
    with h5py.File(tmp_path / "regions_patches.h5") as patches:
        assert patches["patches"].shape == (0, 100, 100)


def test_types_do_not_depend_on_what_was_found(run: Path, file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "dark.npy", frames(2, 3)[1:])
    invoke(run, file, "--output", "some.parquet")
    invoke(run, tmp_path / "dark.npy", "--rate", 0.1, "--output", "none.parquet")
    some, none = pd.read_parquet("some.parquet"), pd.read_parquet("none.parquet")
    assert some.dtypes.to_dict() == none.dtypes.to_dict()


def test_several_files_and_settings_of_their_reading(run: Path, file: Path, light: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "turned.npy", light[:2].transpose(0, 2, 1))
    np.save(tmp_path / "more.npy", light[2:])
    invoke(run, tmp_path / "turned.npy", "--set", "transpose=true", "--output", "turned.csv")
    invoke(run, file, "--output", "whole.csv")
    turned, whole = pd.read_csv("turned.csv"), pd.read_csv("whole.csv")
    pd.testing.assert_frame_equal(
        turned.drop(columns="source"), whole[whole["frame"] < 2].drop(columns="source").reset_index(drop=True)
    )
    invoke(run, file, tmp_path / "more.npy", "--output", "both.csv")
    both = pd.read_csv("both.csv")
    assert both["source"].unique().tolist() == ["light.npy", "more.npy"]
    assert len(both) == len(whole) + (whole["frame"] >= 2).sum()


def test_patches_are_cut_around_the_regions(run: Path, file: Path, light: np.ndarray) -> None:
    invoke(run, file, "--crop")
    found = pd.read_csv("regions.csv")
    pedestal = AnomalyDetector.load(run).pedestal
    with h5py.File("regions_patches.h5") as stored:
        patches, several = stored["patches"][:], stored["several"][:]
        assert_array_equal(stored["row"][:], np.arange(len(found)))
    assert patches.dtype == np.float32
    for patch, region in zip(patches, found.itertuples(), strict=True):
        image = counts(pedestal, light[region.frame])
        row0, col0 = int(region.row) - 50, int(region.col) - 50
        assert patch[50, 50] == image[int(region.row), int(region.col)]
        inside = patch[max(-row0, 0) : SHAPE[0] - row0, max(-col0, 0) : SHAPE[1] - col0]
        assert_array_equal(inside, image[max(row0, 0) : row0 + 100, max(col0, 0) : col0 + 100])
        assert patch.astype(float).sum() == pytest.approx(inside.sum(dtype=float))
    # Frames are smaller than a patch and its half: alone is who has no other in the frame.
    assert several[found["frame"] == 0].any()
    assert several.any() != several.all()
    assert not any(
        several[(found["frame"] == n).to_numpy()].any()
        for n in found["frame"].unique()
        if (found["frame"] == n).sum() == 1
    )


def test_figures_have_one_colour_scale(run: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[float, float]] = []
    shown = Axes.imshow

    def spied(axis: Any, *arguments: Any, **options: Any) -> Any:
        limits.append((options["vmin"], options["vmax"]))
        return shown(axis, *arguments, **options)

    monkeypatch.setattr(Axes, "imshow", spied)
    output = invoke(run, file, "--figures", "pictures", "--most-figures", 2)
    drawn = sorted(Path("pictures").iterdir())
    assert [path.name for path in drawn] == ["000_light_frame0.png", "001_light_frame1.png"]
    assert all(path.stat().st_size > 10_000 and f"figure: {path}" in output for path in drawn)
    assert len(limits) == 4
    assert limits[0] == limits[2]
    assert limits[1] == limits[3]
    noise = AnomalyDetector.load(run).pedestal.noise
    assert_allclose(limits[0], (-3 * noise, 12 * noise))


def test_points_of_large_frames_are_means(run: Path) -> None:
    image = np.arange(35.0).reshape(5, 7)
    found = means(image, 3)
    assert found.shape == (2, 3)
    assert found[0, 0] == image[:3, :3].mean()
    assert found[1, 2] == image[3:, 6:].mean()
    large = Scale.of(AnomalyDetector.load(run).pedestal, 5.0)
    assert large.block == 1


def test_pixels_of_a_reconstruction_are_shown_too(run: Path, file: Path, tmp_path: Path) -> None:
    write_events(tmp_path / "reco.root")
    output = invoke(run, file, "--figures", "pictures", "--most-figures", 1, "--redpix", tmp_path / "reco.root")
    assert "pictures/000_light_frame0.png" in output


def test_saturated_frames_are_named_or_left_out(run: Path, light: np.ndarray, tmp_path: Path) -> None:
    spark = light.copy()
    spark[1, :3] = 65535
    np.save(tmp_path / "spark.npy", spark)
    out = tmp_path / "out"
    text = refused(run, tmp_path / "spark.npy", "--output", out / "r.csv", "--crop", "--figures", out / "p")
    assert "spark.npy, frame 1 is saturated" in text
    assert "--skip-saturated" in text
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "spark.npy"]
    options = ["--skip-saturated", "--output", out / "r.csv", "--json", out / "r.json"]
    output = invoke(run, tmp_path / "spark.npy", *options)
    assert "saturated frames left out" in output
    assert json.loads((out / "r.json").read_text())["saturated"] == ["spark.npy, frame 1"]
    assert 1 not in set(pd.read_csv(out / "r.csv")["frame"])
    # A few hot pixels at the end of the range are no spark.
    few = light.copy()
    few[1, 0, :4] = 65535
    np.save(tmp_path / "few.npy", few)
    invoke(run, tmp_path / "few.npy", "--output", out / "few.csv")


@pytest.mark.parametrize("name", WRITERS)
def test_truncated_files_leave_nothing(run: Path, light: np.ndarray, tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, light)
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])
    text = refused(run, path, "--output", tmp_path / "out" / "r.csv", "--crop", "--figures", tmp_path / "out" / "p")
    assert path.name in text
    assert not [found for found in tmp_path.rglob("*") if found.is_file() and found != path]


BAD: list[tuple[list[Any], str]] = [
    (["{run}"], "takes a model and files"),
    (["{run}", "nowhere.his"], "nowhere.his does not exist"),
    (["{run}", "small.npy"], "small.npy: the frames have 32 x 96 px, the pedestal 64 x 96 px"),
    (["{run}", "nan.npy"], "nan.npy, frame 1: pixel (row 2, col 3) is nan"),
    (["{run}", "empty"], "empty holds no camera frames"),
    (["{run}", "light.npy", "--rate", "500"], "ask for fewer"),
    (["{run}", "light.npy", "--rate", "0"], "a rate is a number of regions a frame above 0"),
    (["{run}", "light.npy", "--rate", "nan"], "a rate is a number of regions a frame above 0"),
    (["{run}", "light.npy", "--rate", "0.01"], "takes 500 frames"),
    (["{run}", "light.npy", "--output", "regions.txt"], ".csv or .parquet"),
    (["{run}", "light.npy", "--output", "old.csv"], "old.csv exists"),
    (["{run}", "light.npy", "--output", "older.csv", "--crop"], "older_patches.h5 exists"),
    (["{run}", "light.npy", "--figures", "full"], "full is not empty"),
    (["{run}", "light.npy", "--redpix", "reco.root"], "give --figures"),
    (["{run}", "light.npy", "--figures", "p", "--redpix", "nowhere.root"], "nowhere.root is no file"),
    (["{run}", "light.npy", "--set", "gain=2"], "no format of camera frames has this option"),
    (["{run}", "light.npy", "--set", "transpose=yes"], "true or false"),
    (["{run}", "light.npy", "--set", "rotate=up"], "quarter turns"),
    (["{run}", "light.npy", "--set", "dataset=images"], "dataset"),
    (["{run}", "light.npy", "--threshold", "3"], "--threshold is about clusters of hits"),
    (["{run}", "light.npy", "--connectivity", "8"], "--connectivity is about clusters of hits"),
    (["{unfinished}", "light.npy"], "calibration.json"),
    (["{clusters}", "light.npy", "--rate", "0.1"], "--rate is for camera frames"),
    (["{clusters}", "light.npy", "--figures", "p"], "--figures is for camera frames"),
    (["{clusters}", "light.npy", "--crop"], "--crop is for camera frames"),
    (["--features", "light.npy", "--crop"], "--crop is for camera frames"),
]


@pytest.fixture
def prepared(run: Path, file: Path, light: np.ndarray, tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Files to get wrong; none but the log of the test may appear beside them."""
    np.save(tmp_path / "small.npy", light[:, :32])
    broken = light.astype(np.float32)
    broken[1, 2, 3] = np.nan
    np.save(tmp_path / "nan.npy", broken)
    for folder in ("empty", "full", "unfinished", "clusters"):
        (tmp_path / folder).mkdir()
    for name in ("old.csv", "older_patches.h5", "full/picture.png"):
        (tmp_path / name).write_text("precious")
    for name in ("config.json", "model.weights.h5", "pedestal.npz"):
        (tmp_path / "unfinished" / name).write_bytes((run / name).read_bytes())
    (tmp_path / "clusters" / "config.json").write_text('{"model": "tiny_cnn"}')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    yield {"run": run, "unfinished": tmp_path / "unfinished", "clusters": tmp_path / "clusters"}
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_sentence(prepared: dict[str, Path], arguments: list[str], message: str) -> None:
    assert message in refused(*(argument.format(**prepared) for argument in arguments))


def test_exit_code(run: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for extra, code in (([], 0), ([], 2), (["--force"], 0)):
        monkeypatch.setattr(sys, "argv", ["predict", str(run), str(file), "--output", "r.csv", *extra])
        with pytest.raises(SystemExit) as ended:
            cli.run(predict)
        assert ended.value.code == code
        said = capsys.readouterr().err
        assert said.count("\n") == (1 if code else 0)
        assert said.startswith("error: r.csv exists") == bool(code)


def test_force_replaces_what_was_there(run: Path, file: Path) -> None:
    options = ["--output", "r.csv", "--crop", "--figures", "p", "--most-figures", 1]
    invoke(run, file, *options)
    first = {name: Path(name).read_bytes() for name in ("r.csv", "r_patches.h5", "p/000_light_frame0.png")}
    with pytest.raises(InputError, match="exists"):
        predict.main([str(run), str(file), "--output", "r.csv"], standalone_mode=False)
    invoke(run, file, *options, "--rate", 4, "--force")
    assert all(Path(name).read_bytes() != content for name, content in first.items())
