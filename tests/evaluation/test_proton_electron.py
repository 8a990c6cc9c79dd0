from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import particle_zoo.data
from particle_zoo import Clusters, InputError, UnknownModelError
from particle_zoo.benchmark import benchmark, main
from particle_zoo.data import timepix1
from particle_zoo.data.load import SOURCES
from particle_zoo.evaluation.proton_electron import networks, rivals, sample, study
from particle_zoo.evaluation.proton_electron.compare import compare, fractions
from particle_zoo.evaluation.proton_electron.sample import Sample
from particle_zoo.evaluation.proton_electron.settings import FORMS, Ablation, Form, Settings

ORBIT = "timepix1_clusters/satram_simulated_orbit"
DATA_LOAD = particle_zoo.data.load


@pytest.fixture(scope="module")
def source() -> Any:
    """The data set with few clusters."""
    name = ORBIT.partition("/")[2]
    mix = timepix1.SOURCE.mixes[name].model_copy(update={"clusters": 1200, "block": 600})
    return dataclasses.replace(timepix1.SOURCE, replaced={name: mix})


@functools.lru_cache
def load(dataset: str, split: str = "train", **options: Any) -> Clusters:
    """`particle_zoo.data.load` past TFDS, once a split."""
    return DATA_LOAD(dataset, split, **options, use_tfds=False)


def make_few(source: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(SOURCES, "timepix1_clusters", source)
    patch.setattr("particle_zoo.data.load", load)


@pytest.fixture(autouse=True)
def _few_clusters(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_few(source, monkeypatch)


def tiny(**changes: Any) -> Settings:
    """A study of seconds; one tiny network stands for all."""
    chosen = {
        "cnn": "tiny_cnn", "classifier": "tiny_cnn", "autoencoder": "tiny_cnn", "size": 16, "seeds": 2, "resamples": 50,
        "pretraining": ORBIT, "pretrain_epochs": 1, "epochs": 2, "cnn_epochs": 2,
        "train": 200, "validation": 60, "test": 150, "fractions": (0.1, 1.0), "most_passes": 3,
        "network_settings": {"input": "energy", "test_time_average": False},
        "ablations": {"usual": Ablation(autoencoder="tiny_cnn"), "masks": Ablation(autoencoder="tiny_cnn", settings={"input": "mask"})},
    }  # fmt: skip
    return Settings.choose("small", **(chosen | changes))


def predicted(folder: Path) -> dict[str, np.ndarray]:
    """Probabilities by file name."""
    return {path.stem: np.load(path)["probability"] for path in sorted((folder / "predictions").glob("*.npz"))}


Study = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def trained(source: Any, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Folder and result of a whole study."""
    folder = tmp_path_factory.mktemp("study") / "study"
    with pytest.MonkeyPatch.context() as patch:
        make_few(source, patch)
        return folder, compare(tiny(), folder, quiet=True)


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
def finished(source: Any, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """As `trained`, with something else in the place of the networks."""
    folder = tmp_path_factory.mktemp("study") / "study"
    with pytest.MonkeyPatch.context() as patch:
        make_few(source, patch)
        replace_networks(patch)
        return folder, compare(tiny(), folder, quiet=True)


@pytest.fixture
def _no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_networks(monkeypatch)


# === Sample ===


def test_shares_of_the_labels_are_nested_and_balanced() -> None:
    labels = sample.load(tiny()).train.labels
    for seed in (0, 1):
        kept = [set(sample.share(labels, fraction, seed).tolist()) for fraction in (0.01, 0.1, 0.5, 1.0)]
        assert [len(part) for part in kept] == [2, 20, 100, 200]
        assert all(small < large for small, large in pairwise(kept))
        for part in kept:
            assert np.sum(labels[list(part)] == "proton") == len(part) / 2
    assert set(sample.share(labels, 0.1, 0)) != set(sample.share(labels, 0.1, 1))


def test_training_clusters_are_the_first_of_each_particle() -> None:
    found = sample.load(tiny(train=101))
    everything = particle_zoo.data.load(ORBIT, "train")
    for name in ("proton", "electron"):
        ids = everything.ids[everything.labels == name][:50].tolist()
        assert found.train.ids[found.train.labels == name].tolist() == ids
    assert found.test.ids.tolist() == particle_zoo.data.load(ORBIT, "test").ids[:150].tolist()
    parts = [set(part.table["primary"]) for part in (found.train, found.validation, found.test)]
    assert not any(one & other for one, other in combinations(parts, 2))


def test_more_training_clusters_than_there_are() -> None:
    with pytest.raises(
        InputError, match=r"--train 100000 takes 50000 clusters of each class and there are \d+; give 2 to \d+"
    ):
        sample.load(tiny(train=100_000))


# === Rivals ===


def test_cuts_and_trees_never_see_the_test_clusters() -> None:
    clusters = sample.load(tiny())
    train, test = rivals.table(clusters.train), rivals.table(clusters.test)
    target = (clusters.train.labels == "electron").astype(int)
    # One by one, shuffled or without the others: what is said of a cluster does not depend on the rest.
    for name, learn in rivals.RIVALS.items():
        whole = learn(train, target, test, 0)
        assert np.array_equal(learn(train, target, test.iloc[::-1], 0)[::-1], whole), name
        assert np.array_equal(learn(train, target, test.iloc[:3], 0), whole[:3]), name
        assert ((whole >= 0) & (whole <= 1)).all()


def test_the_cut_uses_energy_and_size_alone() -> None:
    clusters = sample.load(tiny())
    train, test = rivals.table(clusters.train), rivals.table(clusters.test)
    target = (clusters.train.labels == "electron").astype(int)
    scrambled = test.copy()
    others = [name for name in rivals.FEATURES if name not in ("energy_sum", "size")]
    scrambled[others] = -1.0
    cut = rivals.energy_size_cut(train, target, test, 0)
    assert np.array_equal(rivals.energy_size_cut(train, target, scrambled, 0), cut)
    # At most four regions, and better than a coin.
    assert 2 <= len(np.unique(cut)) <= 4
    assert np.mean((cut >= 0.5) == (clusters.test.labels == "proton")) > 0.65


def test_features_do_not_depend_on_place_or_direction() -> None:
    clusters = sample.load(tiny()).test
    hits = clusters.hits.copy()
    hits[:, [0, 1]] = 255 - hits[:, [1, 0]]
    turned = Clusters(hits, clusters.columns, clusters.offsets, clusters.table, clusters.unit)
    # Ways along the pixels of equal length are told apart by their place.
    steady = [name for name in rivals.FEATURES if name not in ("skeleton_length", "tortuosity")]
    found, again = rivals.table(clusters)[steady], rivals.table(turned)[steady]
    assert np.isclose(found, again, rtol=1e-4).mean() > 0.99


# === Study ===


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


@pytest.mark.slow
def test_seeds_give_different_networks(trained: Study) -> None:
    found = predicted(trained[0])
    for name in ("tiny_cnn-100", "tiny_cnn_from_scratch-100", "tiny_cnn_pretrained-100", "random_forest-100"):
        assert not np.allclose(found[f"{name}-0"], found[f"{name}-1"]), name
    assert not np.allclose(found["tiny_cnn_from_scratch-100-0"], found["tiny_cnn_pretrained-100-0"])


def test_the_json_holds_what_is_printed(finished: Study, capsys: pytest.CaptureFixture[str]) -> None:
    folder, result = finished
    again = compare(tiny(), folder, quiet=True)
    printed = capsys.readouterr().out
    written = json.loads((folder / "results.json").read_text())
    assert written == json.loads(json.dumps(again)) == json.loads(json.dumps(result))
    for numbers in written["methods"].values():
        for name in ("balanced accuracy", "ROC AUC"):
            assert f"{100 * numbers[name]['value']:.2f} [{100 * numbers[name]['low']:.2f}," in printed
    for sentence in written["sentences"].values():
        assert sentence in printed


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


def stop_at(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, call: int, after: Callable[..., Any] | None = None
) -> None:
    """Let a function be interrupted at its n-th call, after something else was done with its arguments."""
    real, calls = getattr(module, name), []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            if after:
                after(*arguments, **options)
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, interrupted)


@pytest.mark.slow
def test_an_interrupted_study_ends_as_if_it_had_not_been(
    trained: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = networks.fit

    def half(*arguments: Any, **options: Any) -> None:
        # Ctrl-C after the first of two epochs.
        real(*arguments, **options, epochs=1)

    settings = tiny(seeds=1, fractions=(1.0,))
    with monkeypatch.context() as patch:
        stop_at(patch, networks, "fit", 2, after=half)
        with pytest.raises(KeyboardInterrupt):
            compare(settings, tmp_path, quiet=True)
    name = "tiny_cnn_from_scratch-100-0"
    assert len((tmp_path / "networks" / name / "history.csv").read_text().splitlines()) == 2
    assert not (tmp_path / "results.json").exists()
    assert "tiny_cnn-100-0" in predicted(tmp_path)
    assert name not in predicted(tmp_path)
    compare(settings, tmp_path, quiet=True)
    after, expected = predicted(tmp_path), predicted(trained[0])
    assert after.keys() == {name for name in expected if name.endswith("-100-0")}
    for name, values in after.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5, err_msg=name)
    assert bool(np.load(tmp_path / "predictions" / "tiny_cnn_from_scratch-100-0.npz")["resumed"])


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


@pytest.mark.slow
def test_a_run_takes_the_place_of_the_pretraining(trained: Study, tmp_path: Path) -> None:
    run = trained[0] / "pretrained" / "tiny_cnn"
    result = compare(tiny(seeds=1, fractions=(1.0,)), tmp_path / "s", pretrained=run, quiet=True)
    assert not (tmp_path / "s" / "pretrained").exists()
    name = "tiny_cnn_pretrained-100-0"
    np.testing.assert_allclose(predicted(tmp_path / "s")[name], predicted(trained[0])[name], atol=1e-6)
    assert result["settings"]["pretrained"] == networks.check_start(tiny(), run)
    with pytest.raises(InputError, match="started with pretrained"):
        compare(tiny(), tmp_path / "s", quiet=True)


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


@pytest.mark.slow
def test_the_real_networks_through_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"cnn": "tiny_timepix_cnn", "classifier": "tiny_effnet_classifier", "autoencoder": "tiny_effnet_ae"}
    budget: dict[str, Any] = {"pretraining": ORBIT, "pretrain_clusters": 64, "train": 200, "validation": 40}
    monkeypatch.setitem(FORMS, "small", Form(**names, **budget, test=100))
    arguments = ["proton_electron", "--seeds", "1", "--size", "64", "--epochs", "1", "--pretrain-epochs", "1"]
    arguments += ["--fractions", "100", "--output", str(tmp_path / "s"), "--json", str(tmp_path / "s.json")]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "s.json").read_text())
    assert found == json.loads((tmp_path / "s" / "results.json").read_text())
    networks_there = ["tiny_timepix_cnn", "tiny_effnet_classifier, from scratch", "tiny_effnet_classifier, pretrained"]
    assert list(found["sentences"]) == networks_there
    for name in networks_there:
        assert len(np.unique(predicted(tmp_path / "s")[f"{study.plain(name)}-100-0"])) > 50
        assert found["sentences"][name] in result.output
    config = json.loads(
        (tmp_path / "s" / "networks" / "tiny_effnet_classifier_pretrained-100-0" / "config.json").read_text()
    )
    assert config["init"] == str(tmp_path / "s" / "pretrained" / "tiny_effnet_ae")
    # Given again, the command trains nothing and says the same.
    again = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert "pretraining" not in again.output
    assert json.loads((tmp_path / "s.json").read_text()) == found


# === Command ===


def test_forms_and_shares_of_the_command() -> None:
    assert fractions("1, 10,100") == (0.01, 0.1, 1.0)
    assert Settings.choose("full").backbone == "B4"
    assert Settings.choose("full").size == 384
    assert Settings.choose("small", epochs=None).epochs == FORMS["small"].epochs
    settings = Settings.choose("small", epochs=4, most_passes=10)
    assert [settings.epochs_of("effnet_classifier", share) for share in (1.0, 0.5, 0.1, 0.01)] == [4, 8, 40, 40]


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


def test_a_pretrained_run_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--pretrained .* holds no model.weights.h5; give the folder"):
        compare(tiny(), tmp_path / "s", pretrained=tmp_path, quiet=True)


@pytest.mark.slow
def test_sample_is_what_the_networks_see(trained: Study) -> None:
    config = json.loads((trained[0] / "networks" / "tiny_cnn-100-0" / "config.json").read_text())
    clusters: Sample = sample.load(tiny())
    assert config["classes"] == list(clusters.classes) == ["proton", "electron"]
    assert config["fingerprint"] == clusters.fingerprint
    assert config["dataset"] == ORBIT
    assert config["config"]["input"] == "energy"
