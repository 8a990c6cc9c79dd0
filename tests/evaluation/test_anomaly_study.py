from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose, assert_array_equal

from particle_zoo import InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.detectors.camera import OnlineTrigger, PedestalModel, RegionFinder, calibrate
from particle_zoo.evaluation.anomaly import event_light, redpix_study, study, study_gates, study_passes, study_results
from particle_zoo.evaluation.anomaly.event_scan import EventScan
from particle_zoo.evaluation.anomaly.methods import BASELINE, COMMON, MATCHED, NARROW, PEDESTAL, PLAIN
from particle_zoo.evaluation.anomaly.scan import ThresholdScan
from particle_zoo.evaluation.anomaly.study_networks import check_camera
from particle_zoo.evaluation.anomaly.study_settings import Cell, Network, Settings, cells
from particle_zoo.simulation.optical_tpc import SimulatedFrame
from tests.evaluation.anomaly_frames import frame

NAME = "realistic-nominal"

Numbers = dict[str, Any]


def tiny(**changes: Any) -> Settings:
    chosen: Numbers = {
        "shape": (224, 256), "train": 20, "calibration": 20, "test": 6, "signal": 8, "energies_kev": (0.25, 1.0),
        "resamples": 40,
    }  # fmt: skip
    return Settings.choose(**(chosen | changes))


def compare(settings: Settings, folder: Path, found: list[Cell] | None = None, **options: Any) -> tuple[Numbers, str]:
    """Result and text of a study without networks."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = study.compare(settings, found or [Cell()], folder, **{"networks": False, "quiet": True} | options)
    return result, said.getvalue()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Numbers, str]:
    folder = tmp_path_factory.mktemp("study") / "anomaly"
    return folder, *compare(tiny(), folder)


def test_knowing_the_noise_helps(done: tuple[Path, Numbers, str]) -> None:
    methods = done[1]["cells"][NAME]["methods"]
    matched, trigger = methods[MATCHED], methods[BASELINE]
    for name in ("AUROC", "AUPR", "AUPRO 0.01"):
        assert matched["pixels"][name]["value"] > trigger["pixels"][name]["value"], name
    for point in ("rate", "area"):
        assert matched["minus_g"][point]["retention"]["value"] >= 0
        assert matched["minus_g"][point]["faint"]["value"] >= 0
    # The same score with a smaller margin keeps more light of the same area.
    narrow = methods[NARROW]
    assert narrow["minus_g"]["area"]["retention"]["value"] > 0
    assert narrow["rate"]["retention"]["value"] <= trigger["rate"]["retention"]["value"]


def test_points_are_what_they_say(done: tuple[Path, Numbers, str]) -> None:
    cell = done[1]["cells"][NAME]
    for name, one in cell["methods"].items():
        assert 0.978 <= one["area"]["area_discarded"]["value"] < 0.985, name
        assert one["gate"]["area_discarded"]["value"] >= 0.978
        assert one["thresholds"]["gate"] >= one["thresholds"]["rate"]
    own = cell["methods"][BASELINE]
    assert own["thresholds"]["own"] == 0.5
    assert own["own"]["false_regions"]["value"] > own["rate"]["false_regions"]["value"]
    assert cell["events"]["whole"] <= cell["events"]["visible"] < cell["events"]["all"] == 16


def intervals(value: Any) -> Iterator[Numbers]:
    if isinstance(value, dict):
        if {"value", "low", "high"} <= set(value):
            yield value
        for part in value.values():
            yield from intervals(part)
    elif isinstance(value, list):
        for part in value:
            yield from intervals(part)


def test_intervals_hold_their_values(done: tuple[Path, Numbers, str]) -> None:
    known = [one for one in intervals(done[1]) if one["value"] is not None and np.isfinite(one["value"])]
    assert len(known) > 400
    assert [one for one in known if not one["low"] - 1e-12 <= one["value"] <= one["high"] + 1e-12] == []
    assert sum(one["low"] < one["high"] for one in known) > 150


def test_a_second_start_measures_nothing_and_says_the_same(
    done: tuple[Path, Numbers, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result, said = done

    def nothing(*_: Any, **__: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(study_passes, "measure", nothing)
    monkeypatch.setattr(redpix_study, "measure", nothing)
    again, text = compare(tiny(), folder)
    assert text == said
    assert json.dumps(again, default=str) == json.dumps(result, default=str)


def test_a_step_that_is_missing_is_measured_alike(done: tuple[Path, Numbers, str]) -> None:
    folder, result, _ = done
    kept = folder / NAME / "methods" / "common_mode.json"
    before = kept.read_text()
    kept.unlink()
    again, _ = compare(tiny(), folder)
    assert kept.read_text() == before
    assert json.dumps(again, default=str) == json.dumps(result, default=str)


def test_another_study_does_not_go_on_in_the_folder(done: tuple[Path, Numbers, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"was started with signal 8, now it is 9; .* --force"):
        compare(tiny(signal=9), done[0])
    own = tmp_path / "mine"
    own.mkdir()
    (own / "kept.txt").write_text("mine")
    (tmp_path / "settings.json").write_text(json.dumps(tiny().model_dump(mode="json")))
    (tmp_path / "white").mkdir()
    (tmp_path / "white" / "pedestal.npz").write_text("of an earlier study")
    study.begin(tmp_path, tiny(signal=9), force=True)
    assert (own / "kept.txt").exists()
    assert not (tmp_path / "white").exists()
    assert json.loads((tmp_path / "settings.json").read_text())["signal"] == 9


def test_gates_pass_and_fail(done: tuple[Path, Numbers, str]) -> None:
    folder, _, said = done
    assert "gate 1: at least 93.0%" in said
    assert "FAILED" in said
    kept: Numbers = {}
    for name in (PEDESTAL, COMMON):
        kept |= json.loads((folder / NAME / "methods" / f"{study.plain_name(name)}.json").read_text())["methods"]
    one, base = kept[MATCHED], study_results.Found(kept[BASELINE], tiny())

    def passed(changed: Numbers) -> list[bool]:
        gates = study_gates.judge({MATCHED: study_results.Found(changed, tiny())}, base, Cell())
        return [gate["passed"] for gate in gates]

    light = one["events"]["light"]
    perfect = {**one, "kept": {**one["kept"], "gate": light, "area": light}, "false": {**one["false"], "gate": [1] * 6}}
    perfect["sums"] = {**one["sums"], "gate": {**one["sums"]["gate"], "signal_kept": one["sums"]["gate"]["signal"]}}
    assert passed(perfect) == [True, True, True]
    assert passed({**perfect, "false": {**one["false"], "gate": [2] * 6}}) == [False, True, True]
    nothing = [0.0] * len(light)
    assert passed({**perfect, "kept": {**one["kept"], "gate": nothing, "area": nothing}}) == [True, False, False]
    blind = {**perfect["sums"], "gate": {**perfect["sums"]["gate"], "signal_kept": [0.0] * 8}}
    assert passed({**perfect, "sums": blind}) == [False, True, True]


def test_pixel_lists_stand_beside_truth(done: tuple[Path, Numbers, str]) -> None:
    masks = done[1]["cells"][NAME]["redpix"]
    truth = masks[redpix_study.TRUTH]["all"]
    assert truth["purity"]["value"] == 1
    assert 0.8 < truth["retention"]["value"] < 1, "light below the rule of the truth is in no mask"
    redpix, matched = masks[redpix_study.REDPIX], masks[MATCHED]
    assert redpix["all"]["purity"]["value"] > matched["all"]["purity"]["value"]
    assert redpix["all"]["retention"]["value"] < matched["all"]["retention"]["value"]
    faint, bright = (row["retention"]["value"] for row in redpix["by_energy"][:2])
    assert faint < bright
    assert [row["energy"] for row in redpix["by_energy"]] == ["0.25 keV", "1 keV", "mip"]
    lenient = masks[redpix_study.REDPIX_DATA]["all"]
    assert lenient["purity"]["value"] < redpix["all"]["purity"]["value"]


def test_a_method_without_threshold_and_white_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_of_the_trigger(finder: Any, scores: Any, rates: Any) -> Any:
        if isinstance(finder, OnlineTrigger):
            raise InputError("these frames have 0.2 regions each at any threshold that was looked at")
        return calibrate(finder, scores, rates)

    monkeypatch.setattr(study_passes, "calibrate", none_of_the_trigger)
    settings = tiny(shape=(160, 160), train=10, calibration=10, test=2, signal=3)
    result, said = compare(settings, tmp_path, cells(["white"], ["nominal", "hard"]))
    cell = result["cells"]["white"]
    assert "no such threshold" in said
    assert cell["methods"][BASELINE]["thresholds"]["rate"] is None
    assert "rate" not in cell["methods"][BASELINE]
    assert cell["methods"][MATCHED]["minus_g"].keys() == {"area"}
    assert {gate["gate"] for gate in cell["gates"]} == {
        "at least 99% of the light of events from 0.5 keV on kept / at least 98% discarded"
    }
    assert cell["methods"][MATCHED]["area"]["area_discarded"]["value"] >= 0.98
    assert cell["events"]["whole"] == cell["events"]["all"] == 6, "white noise comes without shutter"


@pytest.mark.slow
def test_a_network_takes_part(tmp_path: Path) -> None:
    network = Network(model="tiny_pedestal_ae", settings={"epochs": 1, "crops": 1})
    settings = tiny(networks={"tiny": network}, network_settings={})
    result, said = compare(settings, tmp_path, networks=True, data_dir=tmp_path / "data")
    methods = result["cells"][NAME]["methods"]
    assert {PLAIN, BASELINE, MATCHED, "tiny", "tiny, smoothed"} <= set(methods)
    assert methods["tiny"]["finder"]["kind"] == "MatchedFilter"
    assert methods["tiny"]["twin"] == MATCHED
    assert "tiny against matched filter, the same search without a network: " in said
    assert methods["tiny"]["area"]["retention"]["value"] > methods[BASELINE]["area"]["retention"]["value"]
    assert not list((tmp_path / NAME).glob("tmp*")), "residuals are not kept"
    run = tmp_path / NAME / "networks" / "tiny"
    brought, _ = compare(settings, tmp_path, networks=True, runs=[run])
    assert brought["cells"][NAME]["methods"]["tiny"]["rate"] == methods["tiny"]["rate"]


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
        compare(tiny(calibration=10, rate=0.5), tmp_path)
    with pytest.raises(InputError, match="--runs are of one camera, 2 noises and levels"):
        compare(tiny(), tmp_path, cells(["realistic"], ["mild", "hard"]), runs=[tmp_path], networks=True)
    with pytest.raises(InputError, match=r"nowhere is no finished run of an anomaly model"):
        compare(tiny(), tmp_path, runs=[tmp_path / "nowhere"], networks=True)
    with pytest.raises(InputError, match="--classical leaves them out"):
        compare(tiny(), tmp_path, runs=[tmp_path])
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
    arguments += [
        "--signal",
        "7",
        "--epochs",
        "2",
        "--seed",
        "3",
        "--output",
        str(tmp_path),
        "--json",
        str(tmp_path / "x.json"),
    ]
    assert CliRunner().invoke(benchmark, ["anomaly", *arguments], catch_exceptions=False).exit_code == 0
    settings = seen["settings"]
    assert (settings.shape, settings.train, settings.signal, settings.seed) == ((300, 400), 30, 7, 3)
    assert settings.network_settings["epochs"] == 2
    assert (seen["cells"], seen["networks"], seen["folder"]) == (["white", "ecdf-nominal"], False, tmp_path)
    assert json.loads((tmp_path / "x.json").read_text()) == {"value": 1}
    full = Settings.choose(full=True, shape=None, train=None)
    assert (full.shape, full.train, full.signal, full.events_per_frame) == (None, 200, 200, 8)
