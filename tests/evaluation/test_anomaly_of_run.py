"""`evaluate` of a detector of regions in camera frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo.anomaly import AnomalyDetector
from particle_zoo.data import camera
from particle_zoo.detectors.camera import PedestalModel, RegionFinder
from particle_zoo.errors import ParticleZooError
from particle_zoo.evaluate import evaluate
from particle_zoo.evaluation.anomaly import efficiency, event_light, frame_sums
from particle_zoo.evaluation.anomaly import of_run_report as report
from particle_zoo.evaluation.anomaly.of_run import counted, judge, numbers, per_frame
from particle_zoo.evaluation.anomaly.of_run_searches import Search, rivals
from particle_zoo.simulation.optical_tpc import EVENT_COLUMNS, SimulatedFrame
from tests.camera_runs import frames, write_run
from tests.evaluation import anomaly_frames

SET: dict[str, Any] = {
    "shape": (128, 160),
    "events_per_frame": 1,
    "energies_kev": (0.25, 1.0, 5.9),
    "frames": {"pedestal_train": 30, "pedestal_calibration": 50, "pedestal_test": 6, "signal": 8},
}
"""A small simulated data set."""

METHODS = {"no network", "pedestal subtraction", "online trigger (G)"}


def known_light(n: int) -> list[SimulatedFrame]:
    """Frames with spots of light, and noise of 3 counts on a pedestal of 100."""
    found = []
    for number in range(n):
        one = anomaly_frames.frame(number)
        rng = np.random.default_rng(number)
        image = np.rint(100 + one.signal + rng.normal(0, 3, one.signal.shape)).astype(np.uint16)
        events = one.events.assign(z_mm=100.0 + 150 * np.arange(len(one.events)))
        events = events.reindex(columns=list(EVENT_COLUMNS)).assign(cut=False)
        light = one.signal.astype(np.float32)
        found.append(SimulatedFrame(image, light, np.rint(light).astype(np.int32), one.instance, events, number))
    return found


def searches(light: list[SimulatedFrame]) -> list[Search]:
    """One that sees the frames, one that knows the truth, and one that guesses."""
    shape = light[0].shape
    finder = RegionFinder(mode="positive", smoothing=1.0, dilation=1, merge=1)
    flat = np.full(shape, 3.0, np.float32)
    nothing = np.zeros(shape, np.bool_)
    pedestal = PedestalModel(np.full(shape, 100, np.float32), flat, nothing, nothing, np.zeros(5))
    truth = {frame.counts.tobytes(): frame.signal for frame in light}
    guess = np.random.default_rng(1)
    return [
        Search("sees", finder, lambda frame: finder.score(frame - pedestal.mean), pedestal, 4.0),
        Search("knows", finder, lambda frame: truth[frame.tobytes()], pedestal),
        Search("guesses", finder, lambda frame: guess.random(shape, np.float32), pedestal),
    ]


def test_methods_are_compared_on_the_same_area_of_the_same_frames() -> None:
    light = known_light(12)
    methods = searches(light)
    sigma = methods[0].pedestal.sigma
    found = numbers(judge(methods, light, sigma), resamples=50)
    assert found["frames"] == 12
    equal = found["equal_area"]["methods"]
    assert set(equal) == {"sees", "knows", "guesses"}
    assert equal["knows"]["retention"]["value"] > equal["sees"]["retention"]["value"] > 0.8
    assert equal["guesses"]["retention"]["value"] < 0.6
    for name, own in equal.items():
        for measure in ("retention", "efficiency"):
            difference = own[measure]["value"] - equal["sees"][measure]["value"]
            assert own[f"more_{measure}"]["value"] == pytest.approx(difference)
            assert own[f"more_{measure}"]["low"] <= difference <= own[f"more_{measure}"]["high"]
        # No more area than the first one keeps, and as much as there are scores for.
        kept = sum(
            one.regions(frame.counts, own["threshold"]).mask.sum()
            for frame in light
            for one in methods
            if one.name == name
        )
        if name != "guesses":
            assert kept / (12 * light[0].signal.size) == pytest.approx(1 - found["equal_area"]["discarded"], rel=0.02)
    assert equal["sees"]["more_retention"] == {"value": 0, "low": 0, "high": 0}
    pixels = {name: own["AUROC"]["value"] for name, own in found["pixels"].items()}
    assert pixels["knows"] == 1
    assert pixels["knows"] > pixels["sees"] > 0.8
    assert pixels["guesses"] == pytest.approx(0.5, abs=0.05)


def test_at_its_threshold_a_method_is_measured_exactly() -> None:
    light = known_light(6)
    (seeing, *_) = searches(light)
    found = numbers(judge([seeing], light, seeing.pedestal.sigma), resamples=20)
    sums, events = [], []
    for position, frame in enumerate(light):
        regions = seeing.regions(frame.counts, 4.0)
        sums.append(frame_sums(regions, signal=frame.signal, truth=frame.signal > 1.5))
        events.append(event_light(frame.events, frame.signal, frame.instance, regions.mask, position=position))
    table, own = pd.DataFrame(sums), found["at_threshold"]["sees"]
    assert own["retention"]["value"] == pytest.approx(table["signal_kept"].sum() / table["signal"].sum())
    assert own["area_discarded"]["value"] == pytest.approx(1 - table["region_pixels"].sum() / table["pixels"].sum())
    assert own["area_discarded"]["value"] == pytest.approx(found["equal_area"]["discarded"])
    assert own["purity"]["value"] == pytest.approx(table["truth_kept"].sum() / table["region_pixels"].sum())
    assert own["regions_per_frame"]["value"] == table["regions"].mean()
    expected = efficiency(pd.concat(events), ("class", "energy_kev"), n_frames=6, resamples=20)
    pd.testing.assert_frame_equal(pd.DataFrame(found["by_energy"]["sees"]), expected)
    assert own["efficiency"]["value"] == pytest.approx(np.average(expected["efficiency"], weights=expected["events"]))
    assert [row["drift"] for row in found["by_drift"]["sees"]] == ["z 0-15 cm", "z 15-35 cm", "z 35 cm and more"]


def test_regions_of_dark_frames_are_counted_at_every_threshold() -> None:
    light = known_light(4)
    (seeing, *_) = searches(light)
    table = counted(seeing, (frame.counts for frame in light), [4.0, 2.0])
    assert table["threshold"].tolist() == [4.0, 2.0] * 4
    means = per_frame(table, "regions", resamples=20)
    for mean, threshold in zip(means, (4.0, 2.0), strict=True):
        assert mean.value == np.mean([len(seeing.regions(frame.counts, threshold)) for frame in light])
    assert means[0].value < means[1].value


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, the pedestal of the simulated set."""
    known = camera.source("camera_frames", **SET)
    dark, calibration = (np.stack(list(known.frames(name))) for name in ("pedestal_train", "pedestal_calibration"))
    return write_run(tmp_path_factory.mktemp("run") / "first", dark, calibration)


def options(**changes: Any) -> dict[str, Any]:
    names = ("dataset", "data_dir", "manual_dir", "limit", "compare", "output")
    return dict.fromkeys(names) | {"split": "signal", "seed": 0, "rate": 1.0} | changes


def test_report_of_simulated_frames(
    run: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = options(data_dir=data_dir, output=tmp_path / "plots", compare=str(run))
    found = report.report(str(run), run, chosen, quiet=True, **SET)
    said = capsys.readouterr().out
    detector = AnomalyDetector.load(run)
    light = list(camera.load_truth("camera_frames", **SET))
    kept = [frame.signal[detector.regions(frame.counts).mask].sum() for frame in light]
    retention = sum(kept) / sum(frame.signal.sum() for frame in light)
    assert found["at_threshold"]["first"]["retention"]["value"] == pytest.approx(retention, rel=1e-5)
    assert found["frames"] == 8
    assert set(found["equal_area"]["methods"]) == {"first", "first (2)", *METHODS}
    assert found["at_threshold"]["first (2)"] == found["at_threshold"]["first"]
    dark = list(camera.source("camera_frames", **SET).frames("pedestal_test"))
    for row in found["false_regions"]["rates"]:
        assert row["value"] == np.mean([len(detector.regions(frame, rate=row["asked"])) for frame in dark])
    assert [row["asked"] for row in found["false_regions"]["rates"]] == [0.1, 1, 0.1, 1]
    assert set(found["false_regions"]["equal_area"]) == {"first", "first (2)", *METHODS}
    # Random weights draw next to nothing.
    assert abs(found["leak"]["first"]["leak"]) < 0.1
    for name in ("signal_frame.png", "efficiency.png"):
        assert (tmp_path / "plots" / name).stat().st_size > 10_000
        assert name in said
    for text in (
        "light kept",
        "area discarded",
        "pedestal subtraction",
        "AUPRO",
        "half of the events",
        "0.25 keV",
        "z 0-15 cm",
        "false regions",
        "leaks",
    ):
        assert text in said
    json.dumps(found)


def test_without_network_and_common_mode_methods_are_what_they_say(run: Path) -> None:
    detector = AnomalyDetector.load(run)
    frame = next(iter(camera.source("camera_frames", **SET).frames("pedestal_test")))
    same, plain, trigger = rivals(detector)
    pedestal = detector.pedestal
    expected = detector.finder.score(pedestal.subtract(frame, common_mode=True), pedestal.sigma, pedestal.masked)
    np.testing.assert_array_equal(same.score(frame), expected)
    raw = frame - pedestal.mean
    np.testing.assert_array_equal(plain.score(frame), plain.finder.score(raw, veto=pedestal.masked))
    np.testing.assert_array_equal(trigger.score(frame), trigger.finder.score(raw))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's runs, frames with light among them."""
    folder = tmp_path_factory.mktemp("files")
    parts = {"pedestal_train": 12, "pedestal_calibration": 12, "pedestal_test": 10}
    for seed, (name, n) in enumerate(parts.items()):
        (folder / name).mkdir()
        np.save(folder / name / f"{name}.npy", frames(n, 20 + seed, shape=(80, 96)))
    (folder / "signal").mkdir()
    np.save(folder / "signal" / "run1.npy", frames(5, 9, [[(30, 40, 8000.0)]] * 5, shape=(80, 96)))
    return folder


@pytest.fixture(scope="module")
def files_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dark, calibration = (frames(n, seed, shape=(80, 96)) for n, seed in ((30, 0), (50, 1)))
    return write_run(tmp_path_factory.mktemp("run") / "of_files", dark, calibration)


def on_files(files: Path) -> list[Any]:
    return ["--dataset", "camera_frames/files", "--manual-dir", files]


def invoke(*arguments: Any) -> str:
    result = CliRunner().invoke(evaluate, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_report_of_the_users_frames(files_run: Path, files: Path, tmp_path: Path) -> None:
    output = invoke(files_run, *on_files(files), "--json", tmp_path / "m.json", "--quiet")
    found = json.loads((tmp_path / "m.json").read_text())
    detector = AnomalyDetector.load(files_run)
    light = camera.load_frames("camera_frames/files", "signal", manual_dir=files)
    regions = [detector.regions(frame) for frame in light]
    own = found["signal"]["of_files"]
    assert own["frames"] == 5
    assert own["regions"]["value"] == np.mean([len(each) for each in regions])
    assert own["regions"]["value"] >= 1
    assert own["area_kept"]["value"] == pytest.approx(np.mean([each.mask.mean() for each in regions]))
    assert found["false_regions"]["frames"] == 10
    assert "whose light nobody knows" in output
    assert "at_threshold" not in found
    assert not (files_run / "plots").exists()


def test_dark_frames_alone_and_the_first_frames(files_run: Path, files: Path, tmp_path: Path) -> None:
    chosen = ["--split", "pedestal_test", "--limit", 4, "--rate", 2, "--json", tmp_path / "m.json"]
    output = invoke(files_run, *on_files(files), *chosen)
    found = json.loads((tmp_path / "m.json").read_text())
    assert "signal" not in found
    assert found["false_regions"]["frames"] == 4
    assert [row["asked"] for row in found["false_regions"]["rates"]] == [0.1, 1, 2]
    assert "nobody knows" not in output
    # None in four frames says little.
    lowest = found["false_regions"]["rates"][0]
    assert ("0, below 0.75" in output) == (lowest["value"] == 0)


BAD: list[tuple[list[Any], str]] = [
    (["{files_run}", "--dataset", "camera_frames/files"], "--manual-dir"),
    (["{files_run}", "--dataset", "camera_frames/other"], "no configuration"),
    (["{files_run}", "--dataset", "ccd_clusters/simulated"], "unknown data set of camera frames"),
    (["{files_run}"], "simulated_realistic: the frames have 2304 x 2304 px, the pedestal 80 x 96 px"),
    (["{files_run}", "{on_files}", "--split", "test"], "on signal, which includes pedestal_test"),
    (["{files_run}", "{on_files}", "--rate", "500"], "ask for fewer"),
    (["{files_run}", "{on_files}", "--classes", "all"], "--classes is not for models of camera frames"),
    (["{files_run}", "{on_files}", "--compare", "{run}"], "the frames have 80 x 96 px, the pedestal 128 x 160 px"),
    (["{files_run}", "{on_files}", "--compare", "{clusters}"], "task"),
    (["{files_run}", "{on_files}", "--compare", "{tmp}/nowhere"], "no run folder"),
    (["{clusters}", "--rate", "0.1"], "--rate is for models that find regions"),
    (["{unfinished}", "{on_files}"], "calibration.json"),
    (["{unfinished}", "--protocol", "kfold", "--compare", "{run}"], "leave --protocol out"),
]


@pytest.fixture
def names(run: Path, files_run: Path, files: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    from particle_zoo import registry
    from particle_zoo.cli import write_json

    model = registry.create("tiny_cnn")
    about = {"model": "tiny_cnn", "config": model.zoo_config.model_dump(mode="json"), "classes": None, "dataset": "x"}
    for folder in ("clusters", "unfinished"):
        (tmp_path / folder).mkdir()
    write_json(tmp_path / "clusters" / "config.json", about | {"preprocessing": model.preprocessor.to_dict()})
    model.save_weights(tmp_path / "clusters" / "model.weights.h5")
    for name in ("config.json", "model.weights.h5", "pedestal.npz"):
        (tmp_path / "unfinished" / name).write_bytes((files_run / name).read_bytes())
    folders = {"clusters": tmp_path / "clusters", "unfinished": tmp_path / "unfinished", "tmp": tmp_path}
    before = {path for folder in (run, files_run, tmp_path) for path in folder.rglob("*")}
    yield {"run": run, "files_run": files_run, **folders, "files": files}
    assert {path for folder in (run, files_run, tmp_path) for path in folder.rglob("*")} == before


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_sentence(names: dict[str, Any], arguments: list[str], message: str) -> None:
    given: list[Any] = []
    for argument in arguments:
        given += on_files(names["files"]) if argument == "{on_files}" else [argument.format(**names)]
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        evaluate.main([str(a) for a in given], standalone_mode=False)
    text = error.value.format_message() if isinstance(error.value, click.ClickException) else str(error.value)
    assert message in text
    assert "\n" not in text
