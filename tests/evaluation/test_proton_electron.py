from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from particle_zoo import InputError, UnknownModelError
from particle_zoo.benchmark import main
from particle_zoo.evaluation.proton_electron import networks, sample, study
from particle_zoo.evaluation.proton_electron.compare import compare, fractions
from particle_zoo.evaluation.proton_electron.sample import Sample
from particle_zoo.evaluation.proton_electron.settings import FORMS, Settings
from tests.evaluation.small_study import Study, make_few, predicted, tiny


@pytest.fixture(autouse=True)
def _few_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    make_few(monkeypatch)


def replace_networks(patch: pytest.MonkeyPatch) -> None:
    """Put something in the place of the networks that is quick and knows the energy of a cluster roughly."""

    def train(
        settings: Settings,
        model: str,
        clusters: Sample,
        folder: Path,
        *,
        seed: int,
        fraction: float,
        init: Any,
        **_: Any,
    ) -> networks.Prediction:
        rng = np.random.default_rng((seed, round(100 * fraction), init is not None))
        energy = clusters.test.table["energy_sum"].to_numpy() / clusters.test.sizes
        probability = 1 / (1 + np.exp(-np.log(energy / 25) - rng.normal(0, 0.5, len(energy))))
        return networks.Prediction(probability, 1.5, np.linspace(0.6, 0.8, settings.epochs_of(model, fraction)))

    patch.setattr(networks, "train", train)
    patch.setattr(networks, "pretrain", lambda settings, model, folder, *_, **__: folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """As `trained`, with something else in the place of the networks."""
    folder = tmp_path_factory.mktemp("study") / "study"
    with pytest.MonkeyPatch.context() as patch:
        make_few(patch)
        replace_networks(patch)
        return folder, compare(tiny(), folder, quiet=True)


@pytest.fixture
def _no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_networks(monkeypatch)


def test_every_method_has_every_seed_and_share(finished: Study) -> None:
    folder, result = finished
    assert list(result["methods"]) == [
        "majority", "energy and size cut", "random forest", "gradient boosting",
        "tiny_cnn", "tiny_cnn, from scratch", "tiny_cnn, pretrained",
    ]  # fmt: skip
    seeds = {name: len(numbers["balanced accuracy"]["seeds"]) for name, numbers in result["methods"].items()}
    assert seeds.pop("majority") == seeds.pop("energy and size cut") == 1
    assert set(seeds.values()) == {2}
    assert {name: list(parts) for name, parts in result["fractions"].items()} == {
        name: ["1", "0.1"]
        for name in ("random forest", "gradient boosting", "tiny_cnn, from scratch", "tiny_cnn, pretrained")
    }
    assert len(predicted(folder)) == 2 + 2 * 5 + 2 * 4
    assert result["methods"]["majority"]["balanced accuracy"]["value"] == 0.5
    assert set(result["sentences"]) == {"tiny_cnn", "tiny_cnn, from scratch", "tiny_cnn, pretrained"}
    assert {len(curve) for seeds in result["epochs"].values() for curve in seeds} == {2}
    # A tenth of the labels has ten times fewer steps an epoch; three times the epochs is the most that is given back.
    assert len(np.load(folder / "predictions" / "tiny_cnn_from_scratch-10-0.npz")["curve"]) == 6
    for name in ("accuracy_epochs", "label_fraction", "accuracy_size", "accuracy_energy"):
        assert (folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_json_holds_what_is_printed(finished: Study, capsys: pytest.CaptureFixture[str]) -> None:
    folder, result = finished
    again = compare(tiny(), folder, quiet=True)
    printed = capsys.readouterr().out
    written = json.loads((folder / "results.json").read_text())
    assert written == json.loads(json.dumps(again)) == json.loads(json.dumps(result))
    for numbers in written["methods"].values():
        for name in ("balanced accuracy", "ROC AUC"):
            assert f"{100 * numbers[name]['value']:.2f} [{100 * numbers[name]['low']:.2f}," in printed
    for sentence in (*written["sentences"].values(), *written["large"]):
        assert sentence in printed
    assert len(written["large"]) == len(written["sentences"])


def test_what_is_there_is_not_trained_again(finished: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, result = finished

    def forbidden(*arguments: Any, **options: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(networks, "train", forbidden)
    monkeypatch.setattr(study, "_rival", forbidden)
    # Fewer seeds are part of what there is, more resamples nothing to be learned.
    assert compare(tiny(seeds=1, resamples=60), folder, quiet=True)["methods"].keys() == result["methods"].keys()
    with pytest.raises(AssertionError, match="trained again"):
        compare(tiny(seeds=3), folder, quiet=True)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"epochs": 3}, "started with epochs 2, now it is 3"),
        ({"train": 100}, "started with train 200, now it is 100"),
        ({"network_settings": {"input": "mask"}}, "started with network_settings"),
    ],
)
def test_other_settings_in_the_same_folder(finished: Study, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        compare(tiny(**changes), finished[0], quiet=True)


@pytest.mark.usefixtures("_no_networks")
def test_force_starts_over_and_keeps_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "settings.json").write_text(json.dumps({"epochs": 99}))
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "random_forest-100-0.npz").write_bytes(b"old")
    with pytest.raises(InputError, match="start over with --force"):
        compare(tiny(), tmp_path, quiet=True)
    compare(tiny(seeds=1), tmp_path, force=True, quiet=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert json.loads((tmp_path / "settings.json").read_text())["epochs"] == 2
    assert len(predicted(tmp_path)["random_forest-100-0"]) == 150


@pytest.mark.usefixtures("_no_networks")
def test_impossible_settings_leave_nothing_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--train 100000"):
        compare(tiny(train=100_000), tmp_path / "s", quiet=True)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_a_damaged_prediction(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "majority-100-0.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"majority-100-0.npz is damaged .*; remove it and start again"):
        compare(tiny(), tmp_path, quiet=True)


@pytest.mark.usefixtures("_no_networks")
def test_ablations_have_a_table_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = compare(tiny(seeds=1), tmp_path, ablations=True, quiet=True)
    printed = capsys.readouterr().out
    assert list(result["methods"]) == ["ablation: usual", "ablation: masks"]
    assert list(result["differences"]) == ["ablation: masks"]
    assert result["sentences"]["ablation: masks"] in printed
    assert "random forest" not in printed
    assert not (tmp_path / "results.json").exists()
    assert len(predicted(tmp_path)) == 2


def test_forms_and_shares_of_the_command() -> None:
    assert fractions("1, 10,100") == (0.01, 0.1, 1.0)
    assert Settings.choose("full").backbone == "B4"
    assert Settings.choose("full").size == 384
    assert Settings.choose("small").pretrain_size == 64 < Settings.choose("small").size
    # Whoever chooses a size chooses that of the pretraining too, unless both are given.
    assert Settings.choose("small", size=192).pretrain_size == 192
    assert Settings.choose("small", size=192, pretrain_size=128).pretrain_size == 128
    assert Settings.choose("small", epochs=None).epochs == FORMS["small"].epochs
    shares = (1.0, 0.5, 0.1, 0.01)
    # An epoch of the full form sees all clusters it has labels of; one of the small form 2,500 at most, of 16,000.
    full = Settings.choose("full", epochs=4, most_passes=10)
    assert [full.epochs_of("effnet_classifier", share) for share in shares] == [4, 8, 40, 40]
    small = Settings.choose("small", epochs=4, most_passes=10, train=16_000)
    assert [small.epochs_of("effnet_classifier", share) for share in shares] == [4, 4, 6, 40]
    assert Settings.choose("full", cnn_epochs=3, most_passes=2).epochs_of("timepix_cnn", 0.1) == 6


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--fractions", "0,10"], "--fractions takes percent of the labels, such as 1,10,100; received '0,10'"),
        (["--fractions", "all"], "--fractions takes percent"),
        (["--seeds", "0"], "Invalid value for '--seeds'"),
        (["--spectrum", "sun"], "'sun' is not one of 'orbit', 'benchmark'"),
        (["--train", "3"], "Invalid value for '--train'"),
        (["--backbone", "B9"], "backbone: Input should be 'B0', 'B1'"),
        (["--size", "100"], "size must be a multiple of 32, such as 96"),
        (["--pretrained", "nowhere"], "--pretrained nowhere holds no model.weights.h5; give the folder"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_2(
    arguments: list[str], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", "proton_electron", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert text in said[0]


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"cnn": "tiny_cmn"}, UnknownModelError, "unknown model 'tiny_cmn'"),
        ({"size": 5000}, InputError, "size: Input should be less than or equal to 512; received 5000"),
    ],
)
def test_models_are_checked_before_anything_is_loaded(
    changes: dict[str, Any], kind: type[Exception], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "load", lambda *_: pytest.fail("loaded"))
    with pytest.raises(kind, match=text):
        compare(tiny(**changes), tmp_path / "s", quiet=True)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("form", FORMS)
def test_every_network_of_a_form_takes_its_settings(form: str) -> None:
    settings = Settings.choose(form)
    study.check_models(settings, study.main_trials(settings) + study.ablation_trials(settings))


def test_a_pretrained_run_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--pretrained .* holds no model.weights.h5; give the folder"):
        compare(tiny(), tmp_path / "s", pretrained=tmp_path, quiet=True)
