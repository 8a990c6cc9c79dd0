"""What a trial is worth, what it is judged on, and what ends it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pytest

from particle_zoo import Clusters, InputError, data, registry
from particle_zoo.evaluation import classifier
from particle_zoo.pipelines.examples import class_index
from tests.conftest import eager_steps
from tests.tuning.trials import SMALL, Judge, ids, objective
from tuning.metrics import direction
from tuning.objective import Objective
from tuning.trial_data import by_id

CLASSES = ("xray", "electron", "muon")


@pytest.fixture(autouse=True, scope="module")
def _eager() -> Iterator[None]:
    with eager_steps():
        yield


@pytest.fixture(scope="module")
def source(one_layout: Path) -> Path:
    return one_layout


@pytest.fixture(scope="module")
def plain(source: Path) -> Objective:
    """Its data are loaded once for all tests."""
    return objective("tiny_cnn", source)


# --- The value of a trial -------------------------------------------------------------------------------------------------------


def test_a_trial_is_worth_the_lowest_validation_loss(plain: Objective) -> None:
    trial = Judge()
    value = plain(trial)
    assert plain.directions == ("minimize",)
    assert list(trial.reports) == [0, 1]
    assert value == min(trial.reports.values())
    attributes = trial.user_attrs
    assert attributes["settings"] == {**SMALL, "epochs": 2}
    # Of one convolution with 8 filters and 3 logits of an 8 x 8 map.
    assert attributes["parameters"] == 8 * (9 + 1) + 3 * (8 * 8 * 8 + 1)
    assert attributes["epochs_run"] == 2
    assert attributes["best_epoch"] == min(trial.reports, key=lambda step: trial.reports[step])
    assert attributes["seconds"] > 0
    assert attributes["versions"]["keras"] == keras.__version__


def test_the_settings_of_a_trial_build_its_model_again(plain: Objective) -> None:
    trial = Judge()
    plain(trial)
    model = registry.create("tiny_cnn", **trial.user_attrs["settings"])
    assert model.count_params() == trial.user_attrs["parameters"]
    assert model.zoo_config.epochs == 2


def test_equal_trials_have_equal_values(plain: Objective) -> None:
    assert plain(Judge()) == plain(Judge())


def test_accuracies_are_those_of_the_best_weights_on_the_validation_clusters(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = objective("tiny_cnn", source, metric=["accuracy", "balanced_accuracy", "val_accuracy"])
    seen: list[tuple[np.ndarray, Clusters]] = []
    judge = classifier.probabilities

    def spy(model: Any, clusters: Clusters) -> np.ndarray:
        seen.append((judge(model, clusters), clusters))
        return seen[-1][0]

    monkeypatch.setattr(classifier, "probabilities", spy)
    trial = Judge()
    values = found(trial)
    assert isinstance(values, tuple)
    assert found.directions == ("maximize",) * 3
    [(probabilities, clusters)] = seen
    assert set(clusters.ids) == ids(next(iter(found.data.parts(0))))[1]
    truth = class_index(clusters, CLASSES)
    assert values[0] == np.mean(probabilities.argmax(1) == truth)
    recalls = [np.mean(probabilities.argmax(1)[truth == i] == i) for i in np.unique(truth)]
    assert values[1] == pytest.approx(np.mean(recalls))
    assert trial.user_attrs["accuracy"] == values[0]
    # Without several objectives a pruner would have nothing to compare.
    assert trial.reports == {}


def test_costs_of_a_network_are_objectives(source: Path) -> None:
    found = objective("tiny_cnn", source, metric=["val_loss", "parameters", "latency"], epochs=1)
    trial = Judge()
    loss, parameters, latency = found(trial)  # type: ignore[misc]
    assert found.directions == ("minimize",) * 3
    assert loss > 0
    assert parameters == trial.user_attrs["parameters"]
    assert 0.01 < latency < 1000


def test_accuracy_alone_is_pruned_by_that_of_the_epochs(source: Path) -> None:
    trial = Judge()
    objective("tiny_cnn", source, metric="accuracy")(trial)
    assert list(trial.reports) == [0, 1]
    assert all(0 <= value <= 1 for value in trial.reports.values())


@pytest.mark.parametrize(("metric", "better"), [
    ("val_loss", "minimize"), ("loss", "minimize"), ("latency", "minimize"), ("parameters", "minimize"), ("leak", "minimize"),
    ("accuracy", "maximize"), ("val_accuracy", "maximize"), ("balanced_accuracy", "maximize"), ("val_auc", "maximize"),
])  # fmt: skip
def test_the_name_of_a_metric_says_which_way_is_better(metric: str, better: str) -> None:
    assert direction(metric) == better


# --- What ends a trial ------------------------------------------------------------------------------------------------------------


class Ends(keras.callbacks.Callback):
    """Notes that a training has ended properly."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0

    def on_train_end(self, logs: Any = None) -> None:
        self.ended += 1


@pytest.fixture
def ends(plain: Objective, monkeypatch: pytest.MonkeyPatch) -> Ends:
    """Of the trainings of `plain`."""
    found, fit = Ends(), plain.data.fit
    monkeypatch.setattr(plain.data, "fit", lambda model, part, callbacks: fit(model, part, [*callbacks, found]))
    return found


def test_a_pruned_training_ends_in_order(plain: Objective, ends: Ends) -> None:
    trial = Judge(after=1)
    with pytest.raises(optuna.TrialPruned, match="the pruner stopped it after 1 epochs"):
        plain(trial)
    assert ends.ended == 1
    assert trial.user_attrs["epochs_run"] == 1
    assert "impossible" not in trial.user_attrs


def test_a_storage_that_is_lost_ends_the_training_in_order(plain: Objective, ends: Ends) -> None:
    with pytest.raises(ConnectionError, match="the database is away"):
        plain(Judge(error=ConnectionError("the database is away")))
    assert ends.ended == 1


def test_a_metric_that_is_not_there_costs_one_epoch(source: Path) -> None:
    trial = Judge()
    known = "accuracy, balanced_accuracy, latency, loss, parameters, val_accuracy, val_loss"
    with pytest.raises(InputError, match=f"no metric 'val_acc'; tiny_cnn has {known}"):
        objective("tiny_cnn", source, metric="val_acc")(trial)
    assert trial.user_attrs["epochs_run"] == 1


def test_impossible_settings_are_pruned_with_a_reason(source: Path) -> None:
    def five_poolings(trial: Any) -> dict[str, Any]:
        return {"filters": [4] * 5, "kernel_sizes": [3] * trial.suggest_int("kernels", 5, 5)}

    trial = Judge({"kernels": 5})
    with pytest.raises(optuna.TrialPruned):
        objective("tiny_cnn", source, space=five_poolings)(trial)
    assert "5 poolings shrink a 16 px image to nothing" in trial.user_attrs["impossible"]


@pytest.mark.parametrize(("error", "reason"), [
    (MemoryError(), "the training needs more memory than there is"),
    (ValueError("a kernel of\n  -1 px"), "a kernel of -1 px"),
])  # fmt: skip
def test_a_model_that_cannot_be_made_is_impossible(
    error: Exception, reason: str, plain: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    trial = Judge()
    monkeypatch.setattr(plain.data, "build", fail)
    with pytest.raises(optuna.TrialPruned):
        plain(trial)
    assert trial.user_attrs["impossible"] == reason


def test_other_errors_are_no_fault_of_the_settings(plain: Objective, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise InputError("the disk is gone; mount it")

    monkeypatch.setattr(plain.data, "build", fail)
    with pytest.raises(InputError, match="the disk is gone"):
        plain(Judge())


def test_a_training_that_diverges_is_pruned_with_a_reason(source: Path) -> None:
    def reckless(trial: Any) -> dict[str, Any]:
        return {"filters": [4], "kernel_sizes": [3], "learning_rate": trial.suggest_float("learning_rate", 1, 1e38)}

    trial = Judge({"learning_rate": 1e38})
    with pytest.raises(optuna.TrialPruned):
        objective("tiny_cnn", source, space=reckless, epochs=3)(trial)
    assert "the training diverged" in trial.user_attrs["diverged"]
    assert "impossible" not in trial.user_attrs


# --- Data -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [0, 3])
def test_the_test_split_is_never_touched(folds: int, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    load = data.load

    def spy(dataset: str, split: str = "train", **options: Any) -> Clusters:
        asked.append(split)
        return load(dataset, split, **options)

    monkeypatch.setattr(data, "load", spy)
    found = objective("tiny_cnn", source, folds=folds, epochs=1)
    found(Judge())
    assert set(asked) == {"train", "validation"}
    where = {"manual_dir": source, "data_dir": source.parent / "data"}
    kept = set(load("ccd_clusters/damic_labelled", "test", **where).ids)
    assert kept
    for part in found.data.parts(folds):
        assert not kept & set.union(*ids(part))


def test_data_are_loaded_once_for_all_trials(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    load = data.load
    monkeypatch.setattr(
        data, "load", lambda name, split, **options: calls.append(split) or load(name, split, **options)
    )
    found = objective("tiny_cnn", source, epochs=1)
    found(Judge())
    found(Judge())
    assert calls == ["train", "validation"]


def test_folds_part_the_training_and_validation_clusters(source: Path) -> None:
    found = objective("tiny_cnn", source, folds=3)
    train, validation = ids(next(iter(found.data.parts(0))))
    held: list[str] = []
    for part in found.data.parts(3):
        learned, judged = ids(part)
        assert not learned & judged
        assert learned | judged == train | validation
        held += judged
        shares = [np.mean(half.labels == "xray") for half in part]
        assert abs(shares[0] - shares[1]) < 0.15
    assert sorted(held) == sorted(train | validation)


def test_with_folds_the_value_is_their_mean(source: Path) -> None:
    found, trial = objective("tiny_cnn", source, folds=3, epochs=1), Judge()
    value = found(trial)
    values = [v for (v,) in trial.user_attrs["fold_values"]]
    assert len(set(values)) == 3
    assert value == pytest.approx(np.mean(values))
    # The mean so far, after the only epoch of each fold and after the fold.
    so_far = [np.mean(values[: i + 1]) for i in range(3)]
    assert list(trial.reports) == list(range(found.steps)) == list(range(6))
    assert list(trial.reports.values()) == pytest.approx(np.repeat(so_far, 2))
    assert trial.user_attrs["epochs_run"] == 3


def test_an_epoch_of_a_later_fold_counts_beside_the_folds_before(source: Path) -> None:
    found, trial = objective("tiny_cnn", source, folds=2, epochs=3), Judge()
    found(trial)
    first = trial.user_attrs["fold_values"][0][0]
    assert first == pytest.approx(min(trial.reports[step] for step in range(3)))
    assert trial.reports[3] == first
    later = [2 * trial.reports[step] - first for step in range(4, 7)]
    assert trial.user_attrs["fold_values"][1][0] == pytest.approx(min(later))


@pytest.mark.parametrize(
    ("after", "said", "folds"),
    [
        (1, "after 1 epochs", 0),
        (2, "after 1 of 3 folds", 1),
        (3, "after 1 epochs of fold 2", 1),
        (4, "after 2 of 3 folds", 2),
    ],
)
def test_a_trial_is_pruned_in_a_fold_and_between_folds(after: int, said: str, folds: int, source: Path) -> None:
    trial = Judge(after=after)
    with pytest.raises(optuna.TrialPruned, match=said):
        objective("tiny_cnn", source, folds=3, epochs=1)(trial)
    assert len(trial.user_attrs.get("fold_values", ())) == folds


def test_folds_depend_on_names_and_not_on_their_order() -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"cluster {i:03d}" for i in range(40)])
    labels = np.array(["a", "b"]).repeat(20)
    order = rng.permutation(40)
    here, there = by_id(names, 4, 7, labels=labels), by_id(names[order], 4, 7, labels=labels[order])
    assert [set(names[held]) for _, held in here] == [set(names[order][held]) for _, held in there]
    assert [set(held) for _, held in by_id(names, 4, 8, labels=labels)] != [set(held) for _, held in here]


def test_there_must_be_as_many_primaries_as_folds() -> None:
    names = np.array([f"cluster {i}" for i in range(6)])
    with pytest.raises(InputError, match="3 folds need at least 3 primaries or events; received 2"):
        by_id(names, 3, 0, groups=np.array([0, 0, 0, 1, 1, 1]))


def test_clusters_of_one_primary_stay_together() -> None:
    primary = np.arange(60) // 3
    names = np.array([f"cluster {i:03d}" for i in range(60)])
    for learn, held in by_id(names, 5, 0, labels=np.array(["a", "b"] * 30), groups=primary):
        assert not set(primary[learn]) & set(primary[held])


def test_a_class_needs_an_example_a_fold() -> None:
    names, labels = np.array(["p", "q", "r", "s"]), np.array(["muon", "muon", "muon", "xray"])
    with pytest.raises(InputError, match=r"2 folds need at least 2 examples of every class; received .*'xray': 1"):
        by_id(names, 2, 0, labels=labels)


@pytest.mark.parametrize(("settings", "message"), [
    ({"folds": 1}, "--folds is 2 or more, or 0 for none; received 1"),
    ({"metric": ["val_loss", "val_loss"]}, "every --metric once"),
])  # fmt: skip
def test_what_an_objective_cannot_be(settings: dict[str, Any], message: str, source: Path) -> None:
    with pytest.raises(InputError, match=message):
        objective("tiny_cnn", source, **settings)


# --- Conditions -------------------------------------------------------------------------------------------------------------------


def test_the_fingerprint_tells_other_data_and_other_settings(source: Path, layout: Path, plain: Objective) -> None:
    assert objective("tiny_cnn", source, data_dir=layout.parent / "elsewhere").fingerprint == plain.fingerprint
    # A copy of the same files in another place, as on a second machine.
    assert objective("tiny_cnn", layout).fingerprint == plain.fingerprint
    for changed in (
        {"limit": 20},
        {"epochs": 3},
        {"seed": 1},
        {"folds": 2},
        {"metric": "accuracy"},
        {"classes": "xray,muon"},
    ):
        assert objective("tiny_cnn", source, **changed).fingerprint != plain.fingerprint
    (layout / "clusters" / "000061.csv").write_text("1,1\n1,1\n")
    assert objective("tiny_cnn", layout).fingerprint != plain.fingerprint


def test_a_pickled_objective_leaves_its_data_behind(plain: Objective) -> None:
    next(iter(plain.data.parts(0)))
    sent = pickle.dumps(plain)
    assert len(sent) < 5000
    assert pickle.loads(sent).fingerprint == plain.fingerprint
