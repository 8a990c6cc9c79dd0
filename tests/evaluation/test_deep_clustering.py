"""Scores of clusters, features by hand, and the study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_digits

from particle_zoo import InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.cli import read_json
from particle_zoo.evaluation.deep_clustering import samples, study
from particle_zoo.evaluation.deep_clustering.hand_features import cluster, hand_features, standardised
from particle_zoo.evaluation.deep_clustering.scores import scores
from particle_zoo.models.dec import DEC
from tests.forms import ALL
from tests.patch_files import simple_patches

TINY: dict[str, Any] = {"units": [8], "epochs": 1, "cluster_steps": 4, "batch_size": 32, "restarts": 2}


def few_digits(**_: Any) -> samples.Sample:
    found = load_digits(n_class=3)
    return samples._pixels("digits", found.images[:90] / 16, found.target[:90])


# --- Scores ---


def test_names_of_clusters_do_not_matter() -> None:
    kinds = np.repeat(["a", "b", "c"], [10, 20, 30])
    for labels in (np.repeat([2, 0, 1], [10, 20, 30]), np.repeat([7, 5, 9], [10, 20, 30])):
        found = scores(kinds, labels)
        assert [found[name] for name in ("accuracy", "NMI", "ARI")] == pytest.approx([1, 1, 1])
        assert found["recall"] == found["precision"] == {"a": 1, "b": 1, "c": 1}


def test_scores_of_a_known_confusion() -> None:
    # 8 of 10 a in cluster 0; 2 a and 5 of 10 b in cluster 1; 5 b in cluster 2, which is left without a kind.
    kinds = np.repeat(["a", "b"], 10)
    labels = np.array([0] * 8 + [1] * 2 + [1] * 5 + [2] * 5)
    found = scores(kinds, labels)
    assert found["accuracy"] == pytest.approx(13 / 20)
    assert found["recall"] == pytest.approx({"a": 0.8, "b": 0.5})
    assert found["precision"]["a"] == 1
    # Greedy assignment of 0 to a would lose here.
    kinds, labels = np.repeat(["a", "b"], [9, 5]), np.array([0] * 5 + [1] * 4 + [0] * 5)
    assert scores(kinds, labels)["accuracy"] == pytest.approx(9 / 14)


def test_one_cluster_of_all_knows_nothing() -> None:
    found = scores(np.repeat(["a", "b"], [15, 5]), np.zeros(20, int))
    assert (found["accuracy"], found["NMI"], found["ARI"]) == pytest.approx((0.75, 0, 0))
    assert found["recall"] == {"a": 1, "b": 0}
    with pytest.raises(InputError, match="one kind and one cluster a patch"):
        scores(np.zeros(3), np.zeros(4))


# --- Features ---


def test_features_of_a_disc_and_a_line() -> None:
    image = np.zeros((2, 64, 64), np.float32)
    row, col = np.indices((64, 64))
    image[0][(row - 30) ** 2 + (col - 30) ** 2 <= 100] = 20
    image[1, 30:34, 7:57] = 5
    # A brighter pixel elsewhere is no object: smoothing spreads it.
    image[1, 5, 5] = 10
    disc, line = (found for _, found in hand_features(image, noise=3.0).iterrows())
    assert disc["integral"] == pytest.approx(image[0].sum())
    # Smoothing widens the object by a few pixels all around.
    assert np.pi * 10**2 < disc["pixels"] < np.pi * 15**2
    assert disc["delta"] == pytest.approx(disc["integral"] / disc["pixels"])
    assert disc["slimness"] == pytest.approx(1, abs=0.01)
    # A disc of radius r has a standard deviation of r / 2 along any axis, a line of length l one of l / sqrt(12).
    assert disc["length"] == pytest.approx(20, rel=0.03)
    assert line["length"] == pytest.approx(4 * 50 / np.sqrt(12), rel=0.03)
    assert line["slimness"] == pytest.approx(4 / 50, rel=0.05)
    # Its corners are lost.
    assert line["integral"] == pytest.approx(1000, rel=0.03)


def test_dark_patches_have_no_features() -> None:
    dark = np.random.default_rng(0).normal(0, 3, (50, 32, 32)).astype(np.float32)
    found = hand_features(dark, noise=3.0)
    assert (found["pixels"] == 0).mean() > 0.8
    assert (found["pixels"] < 15).all()
    assert np.isfinite(standardised(found)).all()


def test_features_sort_simple_patches() -> None:
    images, kinds = simple_patches(60)
    found = cluster(hand_features(images, noise=3.0), 3, seed=0)
    assert set(found) == {"k-means, 5 features", "Gaussians, 5 features"}
    for labels in found.values():
        assert scores(kinds, labels)["accuracy"] > 0.95


# --- Study ---


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A study of two seeds on 90 digits by the command, its JSON and what it printed."""
    root = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "sample", lambda *_, **__: few_digits())
        patch.setitem(samples.FORMS, "digits", {"size": 8, **TINY})
        # Tracing six networks takes longer than their few steps.
        patch.setattr(DEC, "compile_args", lambda self: {"run_eagerly": True})
        given = ["deep_clustering", "--digits", "--seeds", "2", "--output", str(root / "study")]
        result = CliRunner().invoke(benchmark, [*given, "--json", str(root / "found.json")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return root / "study", read_json(root / "found.json"), result.output


def test_all_methods_have_all_seeds(finished: tuple[Path, dict[str, Any], str]) -> None:
    folder, result, printed = finished
    digits = result["digits"]
    assert list(digits["methods"]) == ["k-means, pixels", study.START, "dec", "idec"]
    for row in digits["methods"].values():
        for measure in ("accuracy", "NMI", "ARI"):
            number = row[measure]
            assert len(number["seeds"]) == 2
            assert number["min"] <= number["mean"] <= number["max"]
            assert f"{100 * number['mean']:.1f} [{100 * number['min']:.1f}" in printed
    starts = digits["methods"][study.START]["accuracy"]["seeds"]
    for name in study.NETWORKS:
        row = digits["methods"][name]
        np.testing.assert_allclose(row["gain"]["seeds"], np.subtract(row["accuracy"]["seeds"], starts))
        assert row["steps"]["max"] <= 4
    assert sum(digits["scan"].values()) == 2
    for sentence in digits["sentences"]:
        assert sentence in " ".join(printed.split())
    assert read_json(folder / "results.json") == result


def test_finished_seeds_are_kept(finished: tuple[Path, dict[str, Any], str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, result, _ = finished
    monkeypatch.setattr(study, "sample", lambda *_, **__: few_digits())
    monkeypatch.setitem(samples.FORMS, "digits", {"size": 8, **TINY})
    monkeypatch.setattr(study, "one_seed", lambda *_: pytest.fail("trained again"))
    assert study.compare(["digits"], folder, seeds=2, quiet=True) == result
    with pytest.raises(InputError, match="was started with settings"):
        study.compare(["digits"], folder, seeds=2, settings={"latent": 3})


def test_a_loss_is_said() -> None:
    def row(accuracy: float, **more: Any) -> dict[str, Any]:
        return {"accuracy": accuracy, "NMI": 0.5, "ARI": 0.5, "recall": {"a": 1.0, "b": accuracy}, **more}

    def seed(start: float, dec: float) -> dict[str, Any]:
        network = row(dec, n_iter=9, converged=dec > 0.5, alarms=[] if dec > 0.5 else ["cluster 1 has 0.00%"])
        methods = {"k-means, pixels": row(0.7), study.START: row(start), "dec": network, "idec": network}
        return {"scan": 4, "methods": methods}

    whole = few_digits()
    result = study.collect(whole, [seed(0.8, 0.4), seed(0.7, 0.6), seed(0.5, 0.6)])
    assert result["sentences"][0] == (
        "digits: dec is better than its k-means start with 1 of 3 seeds and worse with 2; its accuracy changes by -13.3 "
        "points (-40.0 to +10.0), to -16.7 against k-means, pixels; it converged 2 times and raised the collapse alarm 1 times"
    )
    lost = "digits: dec finds less than its start of b (67% to 53%) (share in its cluster, mean)"
    assert result["sentences"][1] == lost
    assert result["sentences"][4] == "digits: of 3 kinds a scan without labels makes 4 (3 times) clusters"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "cannot be read"),
        ({}, "holds no x_train"),
        ({"x_train": (5, 8, 8), "x_test": (2, 8, 8), "y_train": (5,), "y_test": (2,)}, "28 x 28 px"),
        ({"x_train": (5, 28, 28), "x_test": (2, 28, 28), "y_train": (4,), "y_test": (2,)}, "one digit each"),
    ],
)
def test_files_that_are_no_mnist(content: dict[str, Any] | None, text: str, tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    if content is not None:
        np.savez(path, **{name: np.zeros(shape) for name, shape in content.items()})
    with pytest.raises(InputError, match=text):
        study.compare(["mnist"], tmp_path / "study", mnist=path)
    np.save(tmp_path / "mnist.npy", np.zeros(3))
    with pytest.raises(InputError, match="holds no x_train"):
        samples.read_mnist(tmp_path / "mnist.npy")
    with pytest.raises(InputError, match="received faces"):
        study.compare(["faces"], tmp_path / "study")


def test_mnist_of_a_user_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 256, (6, 28, 28)), "x_test": rng.integers(0, 256, (4, 28, 28))}
    np.savez(tmp_path / "mnist.npz", **arrays, y_train=np.arange(6), y_test=np.arange(4))
    found = samples.sample("mnist", patches=1, size=28, mnist=tmp_path / "mnist.npz")
    assert found.x.shape == (10, 28, 28, 1)
    assert found.x.max() <= 1
    assert found.k == 6


@pytest.mark.slow
def test_digits_are_sorted_no_worse_than_by_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The anchor of the command with one seed, in the small form narrower and shorter: none may lose 3 points against its own start."""
    if not ALL:
        # Narrower and half as long.
        short = {"units": [64, 64, 128], "epochs": 50, "cluster_steps": 600}
        monkeypatch.setitem(samples.FORMS, "digits", samples.FORMS["digits"] | short)
    found = study.compare(["digits"], tmp_path / "study", seeds=1, quiet=True)["digits"]["methods"]
    assert found[study.START]["accuracy"]["mean"] > 0.65
    for name in study.NETWORKS:
        assert found[name]["gain"]["mean"] > -0.03
        assert found[name]["NMI"]["mean"] > found[study.START]["NMI"]["mean"] - 0.03
