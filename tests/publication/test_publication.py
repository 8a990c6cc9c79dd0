"""From a run to published weights with a card and a page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import InputError, weights
from particle_zoo.cli import read_json, write_json
from particle_zoo.evaluation.classifier import intervals
from particle_zoo.exporting.formats import FORMATS, Format
from particle_zoo.plots.architecture import architecture, shapes
from particle_zoo.publication import build as building
from particle_zoo.publication import exports as exporting
from particle_zoo.publication.examples import examples
from particle_zoo.publication.headline import headline
from particle_zoo.publication.page import page
from particle_zoo.release import release
from particle_zoo.training import recipe
from particle_zoo.verification import GOLDEN, verify
from tests.jet_runs import write_run
from tests.publication.test_pages import CARDS

# --- The numbers of a card ---


def by(rows: list[dict[str, Any]], metric: str) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in rows if row["metric"] == metric}


def test_intervals_of_a_classifier_are_those_of_its_confusion_matrix() -> None:
    scores = {"accuracy": 0.9, "balanced_accuracy": 0.875, "intervals": intervals([[60, 0, 0], [5, 15, 0], [0, 5, 15]])}
    majority = {
        "accuracy": 0.6,
        "balanced_accuracy": 1 / 3,
        "intervals": intervals([[60, 0, 0], [20, 0, 0], [20, 0, 0]]),
    }
    rows = headline("classifier", "cnn", {**scores, "baselines": {"majority class": majority}})
    ours, theirs = by(rows, "accuracy")["cnn"], by(rows, "accuracy")["majority class"]
    # Wilson's, of 90 of 100.
    assert (ours["low"], ours["high"]) == (pytest.approx(0.8256, abs=1e-4), pytest.approx(0.9448, abs=1e-4))
    assert theirs["high"] < ours["low"]
    assert by(rows, "balanced accuracy")["majority class"]["low"] == pytest.approx(1 / 3)


def test_an_interval_knows_how_few_clusters_there_were() -> None:
    # Wilson's, of 263 of 275.
    assert intervals([[200, 0], [12, 63]])["accuracy"] == pytest.approx([0.9253, 0.9748], abs=1e-4)
    # A class of which there is nothing is left out of the mean.
    found = intervals([[8, 0], [0, 0]])
    assert found["accuracy"] == pytest.approx([0.676, 1], abs=1e-3)
    assert found["balanced_accuracy"] == [1, 1]


def test_a_share_has_wilsons_interval() -> None:
    found = {
        "bce": 90.0,
        "kl": 12.0,
        "n": 100,
        "representations": {"latent mean": {"knn_accuracy": 1.0, "linear_accuracy": 0.5}},
    }
    rows = headline("vae", "vae", found)
    assert by(rows, "5-NN accuracy")["latent mean"]["low"] == pytest.approx(0.963, abs=1e-3)
    assert by(rows, "linear accuracy")["latent mean"]["low"] == pytest.approx(0.404, abs=1e-3)
    assert by(rows, "KL divergence, nats")["vae"]["low"] is None


def test_every_task_of_the_zoo_has_a_headline() -> None:
    interval = {"value": 0.9, "low": 0.8, "high": 1.0}
    found: dict[str, dict[str, Any]] = {
        "autoencoder": {"methods": {"m": {"iou": 0.9, "error": 0.5, "standard_errors": {"iou": 0.01, "error": None}}}},
        "anomaly": {"equal_area": {"methods": {"m": {"retention": interval, "efficiency": interval}}}},
        "compression": {
            "mse": 1e-6,
            "normalisation": "x",
            "rivals": {"PCA": 0.1},
            "intervals": {"m": [0, 1], "PCA": [0, 1]},
        },
        "deep_clustering": {"n": 10, "accuracy": 0.5, "baselines": {}},
    }
    for task, numbers in found.items():
        rows = headline(task, "m", numbers)
        assert rows
        assert all(row["low"] is None or row["low"] <= row["value"] <= row["high"] for row in rows)
    assert {particle_zoo.info(n).task for n in particle_zoo.list_models()} == {*found, "classifier", "vae"}
    with pytest.raises(InputError, match="3 patches are too few to score dec on; raise --limit"):
        headline("deep_clustering", "dec", {"n": 3})


# --- From a run to a folder and a page ---


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of `tiny_jet_ae` as its recipe makes it, and scores that need no data."""
    keras.config.set_dtype_policy("float32")
    folder = write_run(tmp_path / "run")
    config = read_json(folder / "config.json")
    given = {"dataset": "jets/simulated", "seed": 0, "precision": "float32", "limit": None, "init": "none"}
    write_json(folder / "config.json", {**config, **given, "versions": {"keras": keras.__version__}})
    write_json(folder / "metrics.json", {"seconds": 12.0})
    (folder / "history.csv").write_text("epoch,loss,val_loss\n" + "\n".join(f"{i},{9 - i},{10 - i}" for i in range(9)))

    def scored(source: Path, arguments: list[str], figure: str = "", picture: Path | None = None) -> dict[str, Any]:
        if picture is not None:
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(b"")
        return {
            "mse": 0.5,
            "normalisation": "standardised",
            "rivals": {"PCA": 0.1},
            "intervals": {"tiny_jet_ae": [0.4, 0.6], "PCA": [0, 1]},
        }

    monkeypatch.setattr(building, "_evaluate", scored)
    return folder


def test_without_validation_a_card_has_the_losses_of_the_training_and_how_a_clustering_ended(
    run: Path, tmp_path: Path
) -> None:
    (run / "history.csv").write_text("epoch,loss,val_loss\n0,3.0,NA\n1,2.0,NA\n")
    write_json(run / "metrics.json", {"seconds": 12.0, "reason": "0.07% of the labels changed"})
    card = read_json(building.build(run, tmp_path / "zoo", "float16", limit=100) / "card.json")
    assert (card["training"]["validated"], card["training"]["losses"]) == (False, {"1": 3.0, "2": 2.0})
    text = page(card, picture=False)
    assert "Training loss (after epoch): 3 (1), 2 (2). The clustering that followed ended: 0.07%" in text


def test_before_packing_a_run_is_called_by_its_folder_or_its_model() -> None:
    interval = {"value": 0.9, "low": 0.8, "high": 1.0}
    methods = {key: {"retention": interval, "efficiency": interval} for key in ("R", "no network")}
    rows = headline("anomaly", "pedestal_ae", {"equal_area": {"methods": methods}})
    found = building._own(rows, "pedestal_ae", "R")
    assert [row["method"] for row in found] == ["pedestal_ae"] * 2
    assert found[0]["metric"] == "light kept, equal area"


def test_a_published_run_verifies_and_its_card_says_where_it_comes_from(run: Path, tmp_path: Path) -> None:
    target = building.build(run, tmp_path / "zoo", "float16", limit=100, pictures=tmp_path / "docs")
    assert verify(target).outputs < 1e-6
    card = read_json(target / "card.json")
    assert card["recipe"] == (recipe.FOLDER / "tiny_jet_ae.yaml").read_text()
    assert card["training"]["losses"]["1"] == 10
    assert card["training"]["losses"]["9"] == 2
    assert card["scores"][0] == {
        "method": "tiny_jet_ae",
        "metric": "mean square error, standardised",
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
    }
    assert card["packing"]["output_difference"]["output"] < 0.01
    assert card["scores_command"] == "python -m particle_zoo.evaluate tiny_jet_ae --limit 100"
    assert set(card["speed"]["ms"]) == {"1", "32"}
    assert card["golden"]["examples"] == 32
    files = card["exports"]
    assert set(files) == {"onnx", "litert", "litert_int8", "saved_model"}
    for kind in ("onnx", "litert", "saved_model"):
        assert max(files[kind]["difference"].values()) < 1e-4
    # The kernels of so small a network stay as they are.
    assert files["litert_int8"] == {"refused": files["litert_int8"]["refused"]}
    text = page(card, picture=True)
    for said in (
        "0.4 to 0.6",
        "LiteRT, kernels as int8: no kernel of tiny_jet_ae",
        "On 100 examples",
        "--recipe",
        "float16",
        "Limits and misuse",
        "tiny_jet_ae.png",
        "GeV",
        "an example is a jet, preprocessed.",
        "repeats 32 golden examples, each a jet.",
        "On the first 100 jets of the test split of jets/simulated.",
        "Mean square error: of the normalised variables",
    ):
        assert said in text
    assert "0.2 minutes" in text
    latency = files["onnx"]["latency"]
    assert f"| Keras, preprocessing included |  | {latency['keras_ms']['1']:.3g} |" in text
    assert f"preprocessing included, on {latency['cores']} core" in text


@pytest.mark.parametrize("error", [InputError("no data"), KeyboardInterrupt()])
def test_a_release_that_fails_leaves_the_one_before(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    zoo, docs = tmp_path / "zoo", tmp_path / "docs"
    for path in (zoo / "tiny_jet_ae" / "card.json", zoo / "tiny_jet_ae" / "other.txt", docs / "tiny_jet_ae.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    before = contents(tmp_path)
    calls = []

    def fail(source: Path, *_: Any) -> dict[str, Any]:
        calls.append(source)
        raise error

    monkeypatch.setattr(building, "_evaluate", fail)
    for place in (zoo, tmp_path / "new"):
        with pytest.raises(type(error)):
            building.build(run, place, "int8", pictures=docs)
        assert contents(tmp_path) == before
    assert len(calls) == 2


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_release_takes_the_place_of_the_one_before(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "exports", lambda folder, **_: {"onnx": {"refused": "no"}})
    zoo, docs = tmp_path / "zoo", tmp_path / "docs"
    (zoo / "tiny_jet_ae").mkdir(parents=True)
    (zoo / "tiny_jet_ae" / "stale.npz").touch()
    target = building.build(run, zoo, "int8", pictures=docs)
    assert target == zoo / "tiny_jet_ae"
    assert list(zoo.iterdir()) == [target]
    assert [path.name for path in docs.iterdir()] == ["tiny_jet_ae.png"]
    names = {"card.json", "config.json", GOLDEN, weights.WEIGHTS}
    assert {path.name for path in target.iterdir()} == names
    assert str(tmp_path) not in (target / "card.json").read_text()
    assert verify(target).outputs < 1e-6


def test_a_format_that_cannot_hold_a_model_is_told(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setitem(FORMATS, "saved_model", replace(FORMATS["saved_model"], write=refuse))
    target = building.build(run, tmp_path / "zoo", "int8")
    said = "SavedModel: tiny_jet_ae cannot be written as saved_model: no such operation; try another --format."
    assert said in page(read_json(target / "card.json"), picture=False)


def test_data_that_are_missing_are_no_property_of_a_format(run: Path) -> None:
    with pytest.raises(InputError, match="no_such_set"):
        exporting.exports(run, dataset="no_such_set")


def test_times_are_taken_anew_and_all_else_stays(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        building, "exports", lambda folder, dataset, **_: {"onnx": {"refused": f"{folder.name} {dataset}"}}
    )
    release.main([str(run), "--into", str(tmp_path / "zoo"), "--kernels", "float16"], standalone_mode=False)
    path = tmp_path / "zoo" / "tiny_jet_ae" / "card.json"
    before = read_json(path)
    assert before["exports"]["onnx"]["refused"] == "tiny_jet_ae None"
    write_json(path, {**before, "speed": None, "exports": None})
    release.main([str(path.parent), "--measure"], standalone_mode=False)
    after = read_json(path)
    assert min(after["speed"]["ms"].values()) > 0
    assert {**after, "speed": None} == {**before, "speed": None}
    with pytest.raises(InputError, match="run is no released model"):
        release.main([str(path.parent), str(run), "--measure"], standalone_mode=False)
    with pytest.raises(click.UsageError, match="leave --limit out"):
        release.main([str(path.parent), "--measure", "--limit", "3"], standalone_mode=False)
    with pytest.raises(click.UsageError, match="--into a folder"):
        release.main([str(run)], standalone_mode=False)
    assert read_json(path) == after


def test_exports_of_a_classifier_are_tried_on_what_its_scores_are_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "exports", lambda folder, dataset: {"dataset": dataset})
    monkeypatch.setattr(building, "speed", lambda model: {})
    place = next(folder / "tiny_cnn" for folder in weights.shipped() if (folder / "tiny_cnn").exists())
    folder = shutil.copytree(place, tmp_path / "tiny_cnn")
    assert list(building.measure([folder])) == [folder]
    assert read_json(folder / "card.json")["exports"] == {"dataset": "ccd_clusters/simulated"}


@pytest.mark.parametrize(("name", "n"), [("tiny_pedestal_ae", 10), ("tiny_jet_ae", 100)])
def test_exports_of_camera_models_are_tried_on_few_frames(
    name: str, n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def export(*_: Any, examples: int, **__: Any) -> dict[str, Any]:
        asked.append(examples)
        return {"examples": {"n": examples}}

    monkeypatch.setattr(exporting, "export", export)
    write_json(tmp_path / "config.json", {"model": name})
    assert {entry["examples"]["n"] for entry in exporting.exports(tmp_path).values()} == {n}
    assert asked == [n] * len(FORMATS)


def test_missing_packages_are_told_before_anything_is_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Format(".x", ("no_such_module",), (), lambda *_: None, lambda _: dict)
    monkeypatch.setitem(FORMATS, "onnx", missing)
    with pytest.raises(InputError, match=r"no_such_module cannot be imported .*particle-zoo\[export\]"):
        building.build(run, tmp_path / "zoo", "int8")
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 3}, "in seed 3; train with --recipe alone"),
        ({"model": "ae_25d_z8"}, "holds a ae_25d_z8, which has no recipe"),
        ({"limit": 10}, "in limit 10"),
        ({"split": "all"}, "in split all"),
        ({"config": {"hidden": [4, 4]}}, r"in hidden \[4, 4\]; train"),
    ],
)
def test_a_run_that_is_not_of_the_recipe_is_refused(
    change: dict[str, Any], message: str, run: Path, tmp_path: Path
) -> None:
    config = read_json(run / "config.json")
    write_json(run / "config.json", {**config, **change, "config": config["config"] | change.get("config", {})})
    with pytest.raises(InputError, match=message):
        building.build(run, tmp_path / "zoo", "int8")
    assert not (tmp_path / "zoo").exists()


# --- What is shipped, and examples ---


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_a_shipped_run_is_of_its_recipe(path: Path) -> None:
    config = read_json(path.parent / "config.json")
    assert building._checked(path.parent, config) == path.parent.name


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_a_shipped_card_is_complete(path: Path) -> None:
    card = read_json(path)
    assert card["limits"] == particle_zoo.info(card["name"]).limits != ""
    assert np.isfinite([*card["training"]["losses"].values()]).all()
    assert ("ended" in card["training"]) == (card["task"] == "deep_clustering")
    assert card["recipe"] == (recipe.FOLDER / f"{card['name']}.yaml").read_text()
    assert card["weights_sha256"] == weights.sha256(path.parent / weights.WEIGHTS)
    assert card["scores"]
    assert min(card["speed"]["ms"].values()) > 0
    assert set(card["exports"]) == set(FORMATS)
    assert (path.parent / GOLDEN).stat().st_size < 1e6


@pytest.mark.parametrize("name", ["tiny_cnn", "tiny_vae", "tiny_jet_ae", "tiny_pedestal_ae", "tiny_dec"])
def test_layers_are_drawn_in_the_order_of_the_data(name: str, tmp_path: Path) -> None:
    model = particle_zoo.create(name)
    found = shapes(model)
    assert found[0][1] == tuple(model.inputs[0].shape[1:])
    assert len(found) > 3
    architecture(model, tmp_path / "layers.png")
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["tiny_cnn", "tiny_timepix_cnn", "tiny_jet_ae", "tiny_pedestal_ae"])
def test_examples_are_the_same_twice_and_fit_the_model(name: str) -> None:
    model = particle_zoo.create(name)
    (first, clusters), (second, _) = examples(model, 3), examples(model, 3)
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(keras.ops.convert_to_numpy(model(first, training=False))).all()
    assert (clusters is None) == (particle_zoo.info(name).task in ("compression", "anomaly"))
