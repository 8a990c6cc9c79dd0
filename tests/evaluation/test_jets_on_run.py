"""`evaluate` and `embed` on runs of jet autoencoders that were never trained, what ends a training, and the variants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import registry
from particle_zoo.cli import write_json
from particle_zoo.data import jets as jet_data
from particle_zoo.embed import embed
from particle_zoo.errors import InputError
from particle_zoo.evaluate import evaluate
from particle_zoo.evaluation.jets import on_run, rivals, scores, variants
from particle_zoo.evaluation.jets.after_training import after_training
from particle_zoo.jets import FOUR_MOMENTUM, VARIABLES, Jets
from particle_zoo.simulation.jets import generate
from particle_zoo.training import jets as training
from particle_zoo.weights import WEIGHTS, load_run, write_card
from tests.evaluation.aod_jets import aod_jets

FIGURES = ("distributions", "residuals", "triangle", "correlations")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 jets in a parquet file."""
    folder = tmp_path_factory.mktemp("jets")
    generate(300, seed=3).to_frame().to_parquet(folder / "jets.parquet", index=False)
    return folder


def untrained(folder: Path, train: Jets, *, name: str = "tiny_jet_ae", fingerprint: str = "", **settings: Any) -> Path:
    keras.utils.set_random_seed(0)
    model = registry.create(name, **settings)
    model.preprocessor = model.preprocessor.fit(train)
    folder.mkdir(parents=True)
    config = {"model": name, "config": model.zoo_config.model_dump(mode="json"), "classes": None}
    config |= {"preprocessing": model.preprocessor.to_dict(), "dataset": "jets/files", "fingerprint": fingerprint}
    write_json(folder / "config.json", config)
    model.save_weights(folder / WEIGHTS)
    write_card(folder, model, {})
    return folder


@pytest.fixture(scope="module")
def run(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    train = jet_data.load_jets("jets/files", "train", manual_dir=files, use_tfds=False)
    fingerprint = jet_data.fingerprint("jets/files", manual_dir=files)
    return untrained(tmp_path_factory.mktemp("runs") / "tiny", train, fingerprint=fingerprint)


def invoke(command: click.Command, *arguments: Any) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_evaluate_prints_tables_and_writes_figures_and_numbers(run: Path, files: Path, tmp_path: Path) -> None:
    output = invoke(evaluate, run, "--manual-dir", files, "--split", "all", "--json", tmp_path / "m.json")
    text = (tmp_path / "m.json").read_text()
    assert "NaN" not in text
    found = json.loads(text)
    assert found["n"] == 300
    assert "trained_on" not in found
    for name in FIGURES:
        assert (run / "plots" / f"{name}.png").stat().st_size > 10_000
        assert f"figure: {run / 'plots' / name}.png" in output
    # Jets of an untrained network are worse than those of any rival, and all numbers are those of the functions.
    model, _ = load_run(run)
    load = {"manual_dir": files, "use_tfds": False}
    jets, train = (jet_data.load_jets("jets/files", split, **load) for split in ("all", "train"))
    assert found["mse"] == pytest.approx(scores.mse(model, jets), rel=1e-5)
    assert found["rivals"] == pytest.approx(
        {
            "PCA, 3 components": rivals.pca(train, jets, model.preprocessor, 3),
            rivals.MASSLESS: rivals.massless(jets, model.preprocessor),
            rivals.FITTED_MASS: found["rivals"][rivals.FITTED_MASS],
        }
    )
    assert found["mse"] > max(found["rivals"].values())
    rows = scores.summary(scores.residuals(jets.select(FOUR_MOMENTUM), scores.reconstruct(model, jets)))
    own = found["residuals"]["tiny_jet_ae"]
    assert list(own) == [*rows.index, on_run.MASS]
    for name, row in rows.iterrows():
        assert own[name] == pytest.approx(row.to_dict(), rel=1e-3, abs=1e-6)
    # Dropped energies leave the rest as it is, and a massless jet has none of its mass.
    massless = found["residuals"][rivals.MASSLESS]
    assert massless["pt"]["half_width"] == pytest.approx(0, abs=1e-9)
    assert massless["E"]["median"] < 0
    assert massless[on_run.MASS]["median"] == pytest.approx(-1, abs=1e-3)
    assert 0 <= found["below_momentum"] <= 1
    before = jets.select(FOUR_MOMENTUM).to_frame().corr()
    assert found["correlations"]["before"]["pt"]["E"] == pytest.approx(before.loc["pt", "E"])
    for part in (
        "300 jets of jets/files (all): mean square error of pt_eta_phi_e, standardised",
        "eta (difference)",
        "phi (wrapped difference)",
        f"the others were fitted on {len(train)} training jets",
        "have an E below their momentum",
        "Pearson correlation of residuals, clipped",
    ):
        assert part in " ".join(output.split())


def test_a_split_of_the_training_is_known(
    run: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_run, "_draw", lambda *_: [])
    options = {"manual_dir": files, "output": tmp_path}
    found = on_run.on_run(run, run, options)
    assert found["trained_on"] == 0
    assert found["split"] == "test"
    assert found["n"] + found["rival_training_jets"] < 300
    assert on_run.on_run(run, run, {**options, "limit": 10})["n"] == 10
    # Of other jets nothing is known.
    other = tmp_path / "other"
    other.mkdir()
    generate(100, seed=9).to_frame().to_parquet(other / "jets.parquet", index=False)
    assert "trained_on" not in on_run.on_run(run, run, {**options, "manual_dir": other})


def test_options_that_mean_nothing_are_refused(run: Path, files: Path) -> None:
    for command, arguments, message in (
        (evaluate, ["--compare", run], "--compare is not for models of jets; leave it out"),
        (evaluate, ["--classes", "muon"], "--classes is not for models of jets"),
        (evaluate, ["--folds", "3"], "--folds is not for models of jets"),
        (evaluate, ["--rate", "3"], "--rate is for models that find regions"),
        (evaluate, ["--split", "signal", "--manual-dir", files], "received 'signal'"),
        (evaluate, ["--dataset", "ccd_clusters"], "unknown data set of jets 'ccd_clusters'"),
        (evaluate, [], "with --manual-dir"),
        (embed, [], "what particle_zoo.compress and particle_zoo.predict write; use one of these"),
    ):
        with pytest.raises(InputError, match=message) as error:
            command.main([str(run), *map(str, arguments)], standalone_mode=False)
        assert "\n" not in str(error.value)


def test_masses_and_energies_are_never_in_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jets = generate(300, seed=3)
    _stand_in(monkeypatch, jets)
    monkeypatch.setattr(on_run, "_draw", lambda *_: [])
    folder = untrained(tmp_path / "run", jets, variables="m_pt_phi_eta")
    found = on_run.on_run(folder, folder, {"output": tmp_path})
    assert set(found["rivals"]) == {"PCA, 3 components", rivals.MEAN_MASS}
    assert found["rivals"][rivals.MEAN_MASS] < found["mse"]
    assert "below_momentum" not in found
    assert "mean square error of m_pt_phi_eta, custom" in " ".join(capsys.readouterr().out.split())


def test_many_variables_show_the_widest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jets = aod_jets(200, seed=0)
    _stand_in(monkeypatch, jets)
    shown: dict[str, Any] = {}
    for name in ("distributions", "residual_histograms", "correlations"):
        monkeypatch.setattr(on_run.plots, name, lambda *_, **__: None)
    monkeypatch.setattr(on_run.plots, "triangle", lambda residuals, *_, **options: shown.update(r=residuals, **options))
    folder = untrained(tmp_path / "run", jets, name="ae_27d_z8")
    found = on_run.on_run(folder, folder, {"output": tmp_path})
    json.dumps(found, allow_nan=False)
    assert len(found["residuals"]["ae_27d_z8"]) == 27
    assert list(found["rivals"]) == ["PCA, 8 components"]
    assert shown["r"].shape == (200, 8)
    assert "the 8 of 27 variables with the widest residuals" in shown["title"]
    model, _ = load_run(folder)
    true, drawn = scores.normalised(model, jets)
    wide = dict(zip(VARIABLES["aod_27"], np.percentile(np.abs(drawn - true), 68, axis=0), strict=True))
    names = [column.split(" (")[0] for column in shown["r"]]
    assert min(wide[name] for name in names) >= max(width for name, width in wide.items() if name not in names)
    assert "strongest 10 pairs" in " ".join(capsys.readouterr().out.split())


def _stand_in(monkeypatch: pytest.MonkeyPatch, jets: Jets) -> None:
    """All splits are these jets."""

    def load(dataset: str, split: str = "train", *, limit: int | None = None, want: Any = None, **_: Any) -> Jets:
        return jets[:limit].select(want)

    monkeypatch.setattr(jet_data, "load_jets", load)
    monkeypatch.setattr(variants, "load_jets", load)
    monkeypatch.setattr(jet_data, "fingerprint", lambda *_, **__: "none")


def test_what_ends_a_training(run: Path, tmp_path: Path) -> None:
    model, _ = load_run(run)
    jets = generate(300, seed=3)
    train, validation = jets[:200], jets[200:]
    history = {"epoch": [0, 1], "loss": [1.0, 0.5], "val_loss": [1.1, 0.6]}
    pd.DataFrame(history).to_csv(tmp_path / "history.csv", index=False)
    found = after_training(model, train, validation, tmp_path)
    assert found["epochs"] == 2
    assert found["parameters"] == 487
    assert (found["train_n"], found["validation_n"]) == (200, 100)
    assert found["train_mse"] == pytest.approx(scores.mse(model, train))
    assert found["validation_mse"] == pytest.approx(scores.mse(model, validation))
    expected = rivals.massless(validation, model.preprocessor)
    assert found["validation_mse_massless"] == pytest.approx(expected)
    assert all(isinstance(value, (int, float)) for value in found.values())
    for name in ("history", "distributions"):
        assert (tmp_path / "plots" / f"{name}.png").stat().st_size > 5_000
    assert found["validation_mse_pca"] == pytest.approx(rivals.pca(train, validation, model.preprocessor, 3))
    assert found["validation_mse_one_mass"] < found["validation_mse_massless"]
    alone = after_training(model, train, validation[:0], tmp_path)
    assert set(alone) == {"epochs", "parameters", "train_n", "validation_n", "train_mse"}


# --- Variants ---


def test_variants_learn_the_same_jets_for_as_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jets = generate(300, seed=3)
    _stand_in(monkeypatch, jets)
    seen: list[tuple[Any, ...]] = []

    def train(model: Any, training: Jets, validation: Jets, *, seed: int, **_: Any) -> None:
        c = model.zoo_config
        seen.append((c.block, c.dropout, c.epochs, len(training), seed))
        np.testing.assert_allclose(model.preprocessor.mean, jets[:100].select(FOUR_MOMENTUM).values.mean(0))

    monkeypatch.setattr(training, "train_model", train)
    found = variants.compare(epochs=3, jets=100, seeds=2, seed=5)
    settings = [("dense", 0.0), ("residual", 0.0), ("dense", 0.1), ("convolution", 0.0)]
    assert seen == [(*one, 3, 100, seed) for one in settings for seed in (5, 6)]
    assert found["n"] == 300
    assert found["train_n"] == 100
    parameters = {name: own["parameters"] for name, own in found["methods"].items()}
    assert parameters["ae_3d_200"] == parameters["dropout 0.1"] == 52_607
    assert min(parameters["residual blocks"], parameters["convolution"]) > 52_607
    for own in found["methods"].values():
        assert own["least"] <= own["mse"] <= own["greatest"]
        assert own["mse"] == pytest.approx(np.mean(own["all"]))
        assert len(set(own["all"])) == 2
    assert set(found["rivals"]) == {"PCA, 3 components", rivals.MASSLESS, rivals.FITTED_MASS}
    output = " ".join(capsys.readouterr().out.split())
    for part in (
        "3 epochs, 2 seeds: mean square error of pt_eta_phi_e",
        "residual blocks",
        "52,607",
        "least to greatest",
    ):
        assert part in output


def test_variants_of_what_is_not_simulated_are_refused() -> None:
    with pytest.raises(InputError, match="received aod_27"):
        variants.compare(epochs=1, variables="aod_27")
    with pytest.raises(InputError, match="received 0 and 1"):
        variants.compare(epochs=0)
