from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose, assert_array_equal

from particle_zoo import InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.detectors.camera import PedestalModel, RegionFinder
from particle_zoo.evaluation.anomaly import event_light, redpix_study, study
from particle_zoo.evaluation.anomaly.event_scan import EventScan
from particle_zoo.evaluation.anomaly.methods import PEDESTAL, of_network, of_pedestal
from particle_zoo.evaluation.anomaly.scan import ThresholdScan
from particle_zoo.evaluation.anomaly.study_networks import check_camera
from particle_zoo.evaluation.anomaly.study_settings import Cell, Settings, cells
from particle_zoo.simulation.optical_tpc import SimulatedFrame
from tests.evaluation.anomaly_frames import frame

Numbers = dict[str, Any]


def test_what_was_kept_belongs_to_files_and_searches(tmp_path: Path) -> None:
    plain = PedestalModel.fit([np.full((8, 8), 100 + i % 2, np.uint16) for i in range(10)])
    path = tmp_path / "pedestal.npz"
    path.write_text("one")
    first = of_pedestal(plain, [path])
    assert first.digest == of_pedestal(plain, [path]).digest
    changed = (dataclasses.replace(first.methods[0], finder=RegionFinder(mode="positive", smoothing=2.0)),)
    assert dataclasses.replace(first, methods=changed + tuple(first.methods[1:])).digest != first.digest
    before = first.digest
    path.write_text("other")
    assert first.digest != before
    detector: Any = SimpleNamespace(pedestal=plain, finder=RegionFinder())
    steps = [of_network(PEDESTAL, detector, [path], step=step).name for step in ("run", "network")]
    assert len({study.plain_name(name) for name in (PEDESTAL, *steps)}) == 3


def test_events_at_all_thresholds_are_those_of_each() -> None:
    scan, whole, parts = EventScan(), ThresholdScan(), [frame(seed) for seed in range(4)]
    finder = RegionFinder(mode="positive", smoothing=1.0, dilation=2, merge=0)
    for one in parts:
        reach = finder.reach(finder.score(one.score), one.signal.shape)
        scan.add(reach, one.signal, one.instance, one.events)
        whole.add(reach, signal=one.signal)
    table = scan.events()
    assert_array_equal(table["position"], np.repeat(range(4), 3))
    for discarded in (0.5, 0.8, 0.95, 1.0):
        threshold = whole.threshold(discarded)
        expected = [
            event_light(
                one.events, one.signal, one.instance, finder.regions(finder.score(one.score), threshold, one.score).mask
            )
            for one in parts
        ]
        assert_allclose(scan.kept(threshold), pd.concat(expected)["kept"], rtol=1e-12, atol=1e-9)
        assert_allclose(table["light"], pd.concat(expected)["light"])


def test_regions_belong_to_the_event_with_most_light_in_them() -> None:
    signal, instance = np.zeros((6, 10), np.float32), np.zeros((6, 10), np.int32)
    for row, col, event, counts in ((1, 1, 1, 10), (1, 2, 1, 30), (1, 3, 2, 5), (4, 8, 2, 50)):
        signal[row, col], instance[row, col] = counts, event
    labels = np.zeros((6, 10), np.int32)
    labels[0:2, 2:4], labels[3:5, 0:2] = 1, 2
    events = pd.DataFrame({"id": [1, 2, 3], "class": "nr", "energy_kev": 1.0, "cut": False})
    light = SimulatedFrame(np.zeros((6, 10), np.uint16), signal, signal.astype(np.int32), instance, events)
    found, loose = redpix_study.attributed(light, labels, signal > 7)
    assert found["light"].tolist() == [40, 55, 0]
    assert found["kept"].tolist() == [30, 5, 0]
    assert found["pixels"].tolist() == [4, 0, 0]
    assert found["hits"].tolist() == [1, 0, 0]
    assert loose == 4


def test_runs_of_another_camera_are_refused() -> None:
    rng = np.random.default_rng(0)
    level = rng.normal(100, 1.0, (64, 64))

    def pedestal(mean: np.ndarray) -> PedestalModel:
        return PedestalModel.fit([np.rint(mean + rng.normal(0, 3.3, mean.shape)).astype(np.uint16) for _ in range(40)])

    own = pedestal(level)
    check_camera(Path("run"), pedestal(level + 0.4), own)
    with pytest.raises(InputError, match="--runs run has the pedestal of another camera"):
        check_camera(Path("run"), pedestal(rng.normal(100, 1.0, (64, 64))), own)
    with pytest.raises(InputError, match="--runs run: the frames have"):
        check_camera(Path("run"), pedestal(level[:32]), own)


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.25 false regions a frame take 20 calibration frames; received 10"):
        study.compare(Settings.choose(calibration=10, rate=0.5), [Cell()], tmp_path)
    settings = Settings.choose()
    with pytest.raises(InputError, match="--runs are of one camera, 2 noises and levels"):
        study.compare(settings, cells(["realistic"], ["mild", "hard"]), tmp_path, runs=[tmp_path])
    with pytest.raises(InputError, match=r"nowhere is no finished run of an anomaly model"):
        study.compare(settings, [Cell()], tmp_path, runs=[tmp_path / "nowhere"])
    with pytest.raises(InputError, match="--classical leaves them out"):
        study.compare(settings, [Cell()], tmp_path, runs=[tmp_path], networks=False)
    with pytest.raises(InputError, match=r"signal: .* received 201"):
        Settings.choose(signal=201)
    assert not list(tmp_path.iterdir())


def test_cells_are_there_once() -> None:
    names = [cell.name for cell in cells(["realistic", "white", "white"], ["mild", "hard"])]
    assert names == ["realistic-mild", "realistic-hard", "white"]


def test_the_command_hands_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: Numbers = {}

    def caught(settings: Settings, found: list[Cell], folder: Path, **options: Any) -> Numbers:
        seen.update(options, settings=settings, cells=[cell.name for cell in found], folder=folder)
        return {"value": 1}

    monkeypatch.setattr(study, "compare", caught)
    arguments = ["--classical", "--noise", "white", "--noise", "ecdf", "--shape", "300", "400", "--pedestals", "30"]
    arguments += ["--signal", "7", "--epochs", "2", "--seed", "3"]
    arguments += ["--output", str(tmp_path), "--json", str(tmp_path / "x.json")]
    assert CliRunner().invoke(benchmark, ["anomaly", *arguments], catch_exceptions=False).exit_code == 0
    settings = seen["settings"]
    assert (settings.shape, settings.train, settings.signal, settings.seed) == ((300, 400), 30, 7, 3)
    assert settings.network_settings["epochs"] == 2
    assert (seen["cells"], seen["networks"], seen["folder"]) == (["white", "ecdf-nominal"], False, tmp_path)
    assert json.loads((tmp_path / "x.json").read_text()) == {"value": 1}
    full = Settings.choose(full=True, shape=None, train=None)
    assert (full.shape, full.train, full.signal, full.events_per_frame) == (None, 200, 200, 8)
