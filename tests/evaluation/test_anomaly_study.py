from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from particle_zoo import InputError
from particle_zoo.detectors.camera import OnlineTrigger, PedestalModel, RegionFinder, calibrate
from particle_zoo.detectors.camera.region_calibration import TooFewRegionsError
from particle_zoo.evaluation.anomaly import (
    redpix_study,
    study,
    study_gates,
    study_networks,
    study_passes,
    study_report,
    study_results,
)
from particle_zoo.evaluation.anomaly.methods import (
    BASELINE,
    COMMON,
    MATCHED,
    NARROW,
    PEDESTAL,
    PLAIN,
    of_network,
    of_pedestal,
)
from particle_zoo.evaluation.anomaly.of_run import DRIFTS
from particle_zoo.evaluation.anomaly.study_networks import leak_of
from particle_zoo.evaluation.anomaly.study_settings import Cell, Network, Settings, cells

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
    sums = one["sums"]["gate"]
    # Margins around a few regions are a large part of small frames.
    perfect["sums"] = {**one["sums"], "gate": {**sums, "signal_kept": sums["signal"], "region_pixels": [9.0] * 8}}
    assert passed(perfect) == [True, True, True]
    assert passed({**perfect, "false": {**one["false"], "gate": [2] * 6}}) == [False, True, True]
    nothing = [0.0] * len(light)
    assert passed({**perfect, "kept": {**one["kept"], "gate": nothing, "area": nothing}}) == [True, False, False]
    blind = {**perfect["sums"], "gate": {**perfect["sums"]["gate"], "signal_kept": [0.0] * 8}}
    assert passed({**perfect, "sums": blind}) == [False, True, True]
    faint = {**one["events"], "energy_kev": [0.25] * len(light)}
    gates = study_gates.judge({MATCHED: study_results.Found({**perfect, "events": faint}, tiny())}, base, Cell())
    assert [(gate["found"], gate["passed"]) for gate in gates[1:]] == [("no such events", None)] * 2


def test_a_network_that_copies_light_is_marked(done: tuple[Path, Numbers, str], tmp_path: Path) -> None:
    folder = done[0] / NAME
    kept: Numbers = {}
    for name in (PEDESTAL, COMMON):
        kept |= json.loads((folder / "methods" / f"{study.plain_name(name)}.json").read_text())["methods"]
    (tmp_path / "metrics.json").write_text(json.dumps({"leak": 0.934, "leak_passed": False}))
    own = {BASELINE: kept[BASELINE], "net": kept[MATCHED] | leak_of(tmp_path)}
    own["old"] = kept[PLAIN] | leak_of(tmp_path / "without metrics")
    found = study_results.collect(own, json.loads((folder / "redpix.json").read_text()), tiny(), Cell())
    assert found["methods"]["net"]["leak"] == 0.934
    assert "leak" not in found["methods"][BASELINE]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        study_report.show(found, tiny(), Cell(), tmp_path)
    assert "net, copies light against G" in said.getvalue()
    rows = said.getvalue().split("where each method discards")[1].splitlines()
    ends = {name: next(row for row in rows if name in row).split("│")[-2].strip() for name in ("(G)", "net", "old")}
    assert ends == {"(G)": "", "net": "93", "old": "unknown"}


def test_efficiency_by_drift_covers_the_whole_events(done: tuple[Path, Numbers, str]) -> None:
    _, result, said = done
    cell = result["cells"][NAME]
    rows = cell["methods"][MATCHED]["by_drift"]["area"]
    assert {row["drift"] for row in rows} <= set(DRIFTS)
    table = cell["methods"][MATCHED]["by_energy"]["area"]
    mips = sum(row["events"] for row in table if row["class"] == "mip")
    assert sum(row["events"] for row in rows) == cell["events"]["whole"] - mips > 0
    for kind in ("nr", "er"):
        for faint in (True, False):
            parts = [row for row in rows if (row["class"], row["faint"]) == (kind, faint)]
            known = [row for row in table if (row["class"], row["energy_kev"]) == (kind, 0.25 if faint else 1.0)]
            hits = [sum(row["events"] * row["efficiency"] for row in one) for one in (parts, known)]
            assert_allclose(*hits)
    assert "whole events found by drift, nr" in said


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
            raise TooFewRegionsError("these frames have 0.2 regions each at any threshold that was looked at")
        return calibrate(finder, scores, rates)

    monkeypatch.setattr(study_passes, "calibrate", none_of_the_trigger)
    settings = tiny(shape=(160, 160), train=10, calibration=10, test=2, signal=3, discarded=0.9999)
    result, said = compare(settings, tmp_path, cells(["white"], ["nominal", "hard"]))
    cell = result["cells"]["white"]
    assert "no such threshold" in said
    assert cell["methods"][BASELINE]["thresholds"]["rate"] is None
    assert "rate" not in cell["methods"][BASELINE]
    assert cell["methods"][MATCHED]["minus_g"].keys() == {"area"}
    assert {gate["gate"] for gate in cell["gates"]} == {
        "at least 99% of the light of events from 0.5 keV on kept / at least 98% discarded"
    }
    assert cell["methods"][MATCHED]["area"]["area_discarded"]["value"] >= 0.9999
    thresholds = cell["methods"][MATCHED]["thresholds"]
    assert thresholds["gate"] < thresholds["area"], "that of dark frames alone"
    assert cell["events"]["whole"] == cell["events"]["all"] == 6, "white noise comes without shutter"


def test_other_errors_of_a_calibration_surface(
    done: tuple[Path, Numbers, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise InputError("the scores of frame 0 hold values that are no numbers")

    monkeypatch.setattr(study_passes, "calibrate", broken)
    plain = PedestalModel.load(done[0] / NAME / "pedestal.npz")
    benchmark = tiny().benchmark("realistic", "nominal")
    lists = redpix_study.Lists.load(done[0] / NAME / "redpix.npz")
    frames = study_passes.CellFrames(tiny(), benchmark, plain.sigma, lists, done[0])
    with pytest.raises(InputError, match="no numbers"):
        study_passes.measure(of_pedestal(plain), frames, quiet=True)


def test_a_run_that_is_called_like_a_method_is_refused(
    done: tuple[Path, Numbers, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def source(name: str, run: Path, plain: PedestalModel, files: Any, *, step: str) -> Any:
        detector: Any = SimpleNamespace(pedestal=plain, finder=RegionFinder())
        return of_network(name, detector, files, step=step)

    monkeypatch.setattr(study_networks, "source", source)
    run = tmp_path / MATCHED
    run.mkdir()
    (run / "calibration.json").write_text("{}")
    with pytest.raises(InputError, match="there is a search 'matched filter' already"):
        compare(tiny(), done[0], runs=[run], networks=True)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_a_network_takes_part(tmp_path: Path) -> None:
    network = Network(model="tiny_pedestal_ae", settings={"epochs": 1, "crops": 1, "crop": 96})
    settings = tiny(networks={"tiny": network}, network_settings={})
    result, said = compare(settings, tmp_path, networks=True, data_dir=tmp_path / "data")
    methods = result["cells"][NAME]["methods"]
    assert {PLAIN, BASELINE, MATCHED, "tiny", "tiny, smoothed"} <= set(methods)
    assert methods["tiny"]["finder"]["kind"] == "MatchedFilter"
    assert methods["tiny"]["twin"] == MATCHED
    assert " against matched filter, the same search without a network: " in said
    assert methods["tiny"]["leak"] == methods["tiny, smoothed"]["leak"] is not None
    assert methods["tiny"]["area"]["retention"]["value"] > methods[BASELINE]["area"]["retention"]["value"]
    assert not list((tmp_path / NAME).glob("tmp*")), "residuals are not kept"
    run = tmp_path / NAME / "networks" / "tiny"
    brought, _ = compare(settings, tmp_path, networks=True, runs=[run])
    assert brought["cells"][NAME]["methods"]["tiny"]["rate"] == methods["tiny"]["rate"]
