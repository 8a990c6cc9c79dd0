"""Stages of deep clustering, its checks, and the command."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import InputError, cli
from particle_zoo.cli import read_json
from particle_zoo.errors import ParticleZooError
from particle_zoo.evaluate import evaluate
from particle_zoo.evaluation.deep_clustering.on_run import _baselines
from particle_zoo.losses import target_distribution
from particle_zoo.models.dec import DEC
from particle_zoo.pipelines.patches import PatchPreprocessor
from particle_zoo.train import train
from particle_zoo.training.cluster_checks import alarms, scan
from particle_zoo.training.cluster_stages import IndexBatches, kmeans_start, refine
from particle_zoo.weights import load_run
from tests.patch_files import write_patches

SETTINGS = ("epochs=2", "k=scan", "scan_most=4", "cluster_steps=6", "filters=[2,4,4]")


class Recorder:
    """Stands in for a model: the shares of n images with one more turned over at each of the first `turns` targets."""

    def __init__(self, n: int, *, turns: int, **settings: Any) -> None:
        fixed = {
            "batch_size": 4,
            "update_interval": 3,
            "cluster_steps": 100,
            "tolerance": 1e-3,
            "cluster_learning_rate": 1,
        }
        self.zoo_config = SimpleNamespace(**{**fixed, **settings})
        self.n, self.turns, self.asked = n, turns, 0
        self.centroids = np.zeros((2, 1), np.float32)
        self.seen: list[tuple[np.ndarray, np.ndarray, int]] = []
        self.broken = False
        self.left_out = 0
        self.optimizer = SimpleNamespace(iterations=0)

    def begin(self, stage: str) -> None:
        assert stage == "clustering"

    def reset_metrics(self) -> None:
        pass

    def soft(self, asked: int) -> np.ndarray:
        first = 0.5 + np.linspace(0.01, 0.4, self.n) * np.where(np.arange(self.n) < min(asked, self.turns), -1, 1)
        return np.stack([first, 1 - first], axis=1).astype(np.float32)

    def assign(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert len(x) == self.n
        self.asked += 1
        soft = self.soft(self.asked - 1)
        return x[:, :1], np.full_like(soft, np.nan) if self.broken else soft

    def train_on_batch(self, x: np.ndarray, target: np.ndarray, return_dict: bool) -> dict[str, float]:
        self.seen.append((x[:, 0].astype(int), target, self.asked - 1))
        self.optimizer.iterations += len(self.seen) > self.left_out
        return {"loss": 0.5, "kl": 0.25}


def numbered(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float32)[:, None]


# --- Batches and stages ---


def test_every_pass_takes_all_images_in_another_order() -> None:
    order = IndexBatches(12, 4, seed=5)
    passes = [np.concatenate([order[3 * k + i] for i in range(3)]) for k in range(3)]
    assert len(order) == 3
    assert all(sorted(one) == list(range(12)) for one in passes)
    assert len({tuple(one) for one in passes}) == 3
    np.testing.assert_array_equal(order[7], IndexBatches(12, 4, seed=5)[7])
    assert not np.array_equal(np.concatenate([order[i] for i in range(3)]), passes[1])
    # Batches of one size, and never an empty one.
    assert [len(IndexBatches(11, 4, 0)[i]) for i in range(4)] == [4] * 4
    assert sorted(IndexBatches(3, 64, 0)[1]) == [0, 1, 2]


def test_targets_are_those_of_the_same_images_and_of_the_whole_set() -> None:
    model = Recorder(12, turns=3)
    refine(model, numbered(12), seed=0)
    assert len(model.seen) >= 9
    for images, target, asked in model.seen:
        np.testing.assert_array_equal(target, target_distribution(model.soft(asked))[images])


@pytest.mark.parametrize(("interval", "steps"), [(3, 3), (0, 3), (7, 7)])
def test_targets_are_renewed_at_the_interval(interval: int, steps: int) -> None:
    model = Recorder(12, turns=2, update_interval=interval)
    found = refine(model, numbered(12), seed=0)
    # One share turns over at each of two targets; the next finds nothing changed.
    assert found.n_iter == 3 * steps
    assert found.history["step"].tolist() == [0, steps, 2 * steps, 3 * steps]
    assert [asked for *_, asked in model.seen] == np.repeat([0, 1, 2], steps).tolist()


def test_the_tolerance_stops() -> None:
    found = refine(Recorder(100, turns=5), numbered(100), seed=0)
    assert found.converged
    assert found.n_iter == 6 * 3
    np.testing.assert_allclose(found.history["changed"], [np.nan] + 5 * [0.01] + [0])
    assert "0.00% of the labels changed in 3 steps, the tolerance is 0.10%" in found.reason
    loose = refine(Recorder(100, turns=5, tolerance=0.02), numbered(100), seed=0)
    assert loose.converged
    assert loose.n_iter == 3


def test_labels_that_stay_because_no_step_was_taken_are_not_settled() -> None:
    model = Recorder(12, turns=0)
    model.left_out = 4
    found = refine(model, numbered(12), seed=0)
    # All of the first three steps and one of the next were left out, as under a scaled loss that overflows.
    assert found.converged
    assert found.n_iter == 6


def test_the_most_steps_stop_too() -> None:
    rows: list[dict[str, float]] = []
    found = refine(Recorder(100, turns=50, cluster_steps=8), numbered(100), seed=0, tell=rows.append)
    assert not found.converged
    assert found.n_iter == 8
    assert found.reason == "cluster_steps 8 were reached while 1.00% of the labels still changed"
    # The last targets come after fewer steps.
    assert [row["step"] for row in rows] == [0, 3, 6, 8]
    np.testing.assert_array_equal(found.labels, found.soft.argmax(1))


def test_a_divergence_ends_in_a_sentence() -> None:
    model = Recorder(12, turns=2)
    model.broken = True
    with pytest.raises(InputError, match="the training diverged; lower cluster_learning_rate"):
        refine(model, numbered(12), seed=0)


def test_the_start_is_that_of_kmeans() -> None:
    points = np.concatenate([np.random.default_rng(0).normal(at, 0.1, (20, 2)) for at in (0, 3, 6)]).astype(np.float32)
    centroids, labels = kmeans_start(points, 3, restarts=5, seed=0)
    assert sorted(centroids.mean(1).round()) == [0, 3, 6]
    np.testing.assert_array_equal(labels, ((points[:, None] - centroids) ** 2).sum(-1).argmin(1))
    with pytest.raises(InputError, match="61 clusters need as many patches or more; received 60"):
        kmeans_start(points, 61, restarts=1, seed=0)


# --- Checks ---


def test_the_collapse_alarm_is_silent_on_sound_clusters() -> None:
    labels = np.repeat([0, 1, 2], [98, 1, 1])
    assert alarms(labels, np.array([[0.0, 0], [1, 0], [0, 1]])) == []
    # Of two clusters there is but one distance.
    assert alarms(np.array([0, 1]), np.array([[0.0], [1e-6]])) == []


def test_the_collapse_alarm_names_empty_clusters_and_merged_centroids() -> None:
    labels = np.repeat([0, 1, 2], [150, 150, 1])
    (empty,) = alarms(labels, np.array([[0.0, 0], [1, 0], [0, 1]]))
    assert empty == "cluster 2 has 0.33% of the images, less than 1%"
    (merged,) = alarms(np.array([0, 1, 2]), np.array([[0.0, 0], [0.09, 0], [1, 0]]))
    assert merged.startswith("the centroids of clusters 0 and 1 are 0.09 apart")
    assert alarms(np.array([0, 1, 2]), np.array([[0.0, 0], [0.11, 0], [1, 0]])) == []
    assert len(alarms(np.array([0, 1, 2]), np.zeros((3, 2)))) == 3


def test_a_scan_finds_separate_groups() -> None:
    rng = np.random.default_rng(1)
    middles = rng.normal(0, 10, (4, 5))
    points = (middles[:, None] + rng.normal(0, 0.5, (4, 40, 5))).reshape(-1, 5).astype(np.float32)
    k, table = scan(points, range(2, 8), seed=0)
    assert k == 4
    assert table["k"].tolist() == list(range(2, 8))
    assert table["stability"][table["k"] == 4].item() == 1
    assert table["smallest"][table["k"] == 4].item() == 0.25
    # No more clusters than half of the images can have.
    assert scan(points[::40], range(2, 8), seed=0)[1]["k"].tolist() == [2]
    with pytest.raises(InputError, match="needs 4 patches or more; received 3"):
        scan(points[:3], range(2, 8), seed=0)


# --- The command ---


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 48 patches of a file, one of which other regions reach into."""
    root = tmp_path_factory.mktemp("clustered")
    source = write_patches(root / "patches.npz")
    given = ["tiny_dec", "--dataset", str(source), "--output", str(root / "run")]
    with pytest.MonkeyPatch.context() as patch:
        # Tracing the network takes longer than its few steps.
        patch.setattr(DEC, "compile_args", lambda self: {"run_eagerly": True})
        result = CliRunner().invoke(train, [*given, *_set(*SETTINGS), "--profile"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (root / "printed.txt").write_text(result.output)
    return root / "run"


def _set(*pairs: str) -> list[str]:
    return [part for pair in pairs for part in ("--set", pair)]


def test_the_command_writes_a_run_folder(run: Path) -> None:
    printed = (run.parent / "printed.txt").read_text()
    assert "47 patches (1 with several regions left out)" in printed
    metrics, config = read_json(run / "metrics.json"), read_json(run / "config.json")
    assert f"{metrics['clusters']} clusters by the scan of 2 to 4" in printed
    assert f"stopped after {metrics['n_iter']} steps: {metrics['reason']}" in printed
    assert config["config"]["found"] == metrics["clusters"] == len(np.load(run / "clusters.npz")["centroids"])
    assert [row["k"] for row in metrics["scan"]] == [2, 3, 4]
    assert 0 <= metrics["accuracy"] <= 1
    assert {"start_accuracy", "NMI", "ARI", "alarms", "moved_since_start"} <= set(metrics)
    assert len(pd.read_csv(run / "history.csv")) == 2
    assert pd.read_csv(run / "clustering.csv")["step"].iloc[-1] == metrics["n_iter"]
    # That of the autoencoder's training.
    assert (run / "profile" / "trace.json.gz").is_file()
    for name in ("pretraining", "clustering", "clusters", "latent"):
        assert (run / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_gives_what_it_has_stored(run: Path) -> None:
    model, config = load_run(run)
    with np.load(run.parent / "patches.npz") as file:
        images = file["patches"][~file["several"]]
    embedding, soft = model.assign(model.preprocess(images))
    with np.load(run / "clusters.npz") as stored:
        np.testing.assert_allclose(soft, stored["soft"], atol=1e-5)
        np.testing.assert_allclose(embedding, stored["embedding"], atol=1e-4)
        np.testing.assert_array_equal(stored["labels"], stored["soft"].argmax(1))
        np.testing.assert_array_equal(model.centroids, stored["centroids"])
        assert str(stored["reason"]) == read_json(run / "metrics.json")["reason"]
        assert stored["ids"][0] == "patches.npz-0"
    assert config["preprocessing"]["noise"] == PatchPreprocessor(size=32).fit(images).noise


def test_a_run_goes_on_after_the_pretraining(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from particle_zoo.training import deep_clustering

    before = np.load(run / "clusters.npz")["soft"]
    monkeypatch.setattr(DEC, "compile_args", lambda self: {"run_eagerly": True})
    monkeypatch.setattr(deep_clustering, "pretrain", lambda *_, **__: pytest.fail("pretrained again"))
    given = ["tiny_dec", "--dataset", str(run.parent / "patches.npz"), "--output", str(run), *_set(*SETTINGS)]
    result = CliRunner().invoke(train, [*given, "--resume", "--quiet"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(np.load(run / "clusters.npz")["soft"], before, atol=1e-4)
    with pytest.raises(InputError, match="was started with config"):
        train.main([*given, "--resume", "--set", "latent=3"], standalone_mode=False)


def test_more_epochs_go_on_with_the_autoencoder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    before = (copy / "autoencoder.weights.h5").read_bytes()
    monkeypatch.setattr(DEC, "compile_args", lambda self: {"run_eagerly": True})
    given = ["tiny_dec", "--dataset", str(run.parent / "patches.npz"), "--output", str(copy), *_set(*SETTINGS)]
    result = CliRunner().invoke(train, [*given, "--epochs", "3", "--resume", "--quiet"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    history = pd.read_csv(copy / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    # The weights of the clustering never take the place of those of an earlier epoch that is still the best.
    assert ((copy / "autoencoder.weights.h5").read_bytes() == before) == (history["loss"].argmin() < 2)
    assert load_run(copy)[1]["config"]["epochs"] == 3


def test_evaluate_sorts_other_patches(run: Path, tmp_path: Path) -> None:
    other = write_patches(tmp_path / "other.npz", 30, seed=1)
    found = tmp_path / "found.json"
    given = [str(run), "--dataset", str(other), "--output", str(tmp_path / "plots"), "--json", str(found)]
    result = CliRunner().invoke(evaluate, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    written = read_json(found)
    assert sum(row["patches"] for row in written["clusters"]) == written["n"] == 29
    assert set(written["baselines"]) >= {"k-means, 5 features", "Gaussians, 5 features"}
    assert set(written["recall"]) == {"dark", "spot", "line"}
    assert (tmp_path / "plots" / "clusters_evaluated.png").exists()
    with pytest.raises(InputError, match="--compare is not for models that sort patches"):
        evaluate.main([*given, "--compare", str(run)], standalone_mode=False)
    unknown = write_patches(tmp_path / "unknown.npz", 30, known=False)
    given = [str(run), "--dataset", str(unknown), "--output", str(tmp_path / "plots")]
    assert (
        "the kinds of these patches are unknown" in CliRunner().invoke(evaluate, given, catch_exceptions=False).output
    )


def test_rivals_have_as_many_clusters_and_others_one_a_kind() -> None:
    features = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 5)))
    kinds = np.repeat(["dark", "spot", "line"], 20)
    own = {"k-means, 5 features", "Gaussians, 5 features"}
    assert set(_baselines(features, kinds, 3, seed=0)) == own
    assert set(_baselines(features, kinds, 4, seed=0)) == own | {f"{name}, 3 clusters" for name in own}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--dataset", "{tmp}/empty.npz"], "an empty array"),
        (["--dataset", "{tmp}/small.npz"], "takes patches of 32 x 32 px; received an array of shape (3, 16, 16)"),
        (["--dataset", "{tmp}/nan.npz"], "patch 2 holds pixels that are no finite numbers"),
        (["--dataset", "{tmp}/few.npz", "--set", "k=9"], "k is 9, more than the 5 patches"),
        (["--dataset", "{tmp}/gone.npz"], "gone.npz cannot be read"),
        (["--dataset", "{tmp}/crowded.npz"], "--set several=true"),
        (["--dataset", "camera_frames/files"], "needs --manual-dir"),
        (["--dataset", "ccd_clusters/simulated"], "--dataset of patches is one of"),
        (["--dataset", "{tmp}/few.npz", "--init", "imagenet"], "no ImageNet weights"),
        (["--dataset", "{tmp}/few.npz", "--set", "kk=3"], "no setting 'kk'"),
        (["--dataset", "{tmp}/few.npz", "--set", "k=1"], "2 or more clusters, or scan, not 1"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.ones((6, 32, 32), np.float32)
    np.savez(tmp_path / "empty.npz", patches=images[:0])
    np.savez(tmp_path / "small.npz", patches=images[:3, :16, :16])
    np.savez(tmp_path / "few.npz", patches=images[:5])
    np.savez(tmp_path / "crowded.npz", patches=images[:5], several=np.ones(5, bool))
    images[2, 4, 4] = np.nan
    np.savez(tmp_path / "nan.npz", patches=images)
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        train.main(["tiny_dec", *(a.format(tmp=tmp_path) for a in arguments)], standalone_mode=False)
    said = error.value.format_message() if isinstance(error.value, click.ClickException) else str(error.value)
    assert text in said
    assert "\n" not in said
    assert not (tmp_path / "runs").exists()


def test_bad_input_is_exit_code_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "empty.npz", patches=np.zeros((0, 32, 32)))
    monkeypatch.setattr(sys, "argv", ["train", "tiny_dec", "--dataset", str(tmp_path / "empty.npz")])
    with pytest.raises(SystemExit) as stop:
        cli.run(train)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")
