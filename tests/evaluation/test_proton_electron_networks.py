from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from particle_zoo import InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.evaluation.proton_electron import networks, sample, study
from particle_zoo.evaluation.proton_electron.compare import compare
from particle_zoo.evaluation.proton_electron.sample import Sample
from particle_zoo.evaluation.proton_electron.settings import FORMS, Form, Settings
from tests.conftest import eager_steps
from tests.evaluation import small_study
from tests.evaluation.runs import untrained_run
from tests.evaluation.small_study import ORBIT, Study, load, make_few, predicted
from tests.shallow import shallow_efficientnet

pytestmark = pytest.mark.slow


def tiny(**changes: Any) -> Settings:
    """As that of `small_study`, with fewer clusters: without graphs every step counts."""
    return small_study.tiny(**{"train": 80, "validation": 40, "test": 80} | changes)


@pytest.fixture(autouse=True, scope="module")
def _without_graphs() -> Iterator[None]:
    with eager_steps():
        yield


@pytest.fixture(autouse=True)
def _few_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    make_few(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Folder and result of a whole study."""
    folder = tmp_path_factory.mktemp("study") / "study"
    with pytest.MonkeyPatch.context() as patch:
        make_few(patch)
        return folder, compare(tiny(fractions=(1.0,)), folder, quiet=True)


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


def test_seeds_give_different_networks(trained: Study) -> None:
    found = predicted(trained[0])
    for name in ("tiny_cnn-100", "tiny_cnn_from_scratch-100", "tiny_cnn_pretrained-100", "random_forest-100"):
        assert not np.allclose(found[f"{name}-0"], found[f"{name}-1"]), name
    assert not np.allclose(found["tiny_cnn_from_scratch-100-0"], found["tiny_cnn_pretrained-100-0"])


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


def test_a_run_takes_the_place_of_the_pretraining(trained: Study, tmp_path: Path) -> None:
    run = trained[0] / "pretrained" / "tiny_cnn"
    result = compare(tiny(seeds=1), tmp_path / "s", pretrained=run, quiet=True)
    assert not (tmp_path / "s" / "pretrained").exists()
    assert list(result["fractions"]["tiny_cnn, pretrained"]) == ["1", "0.1"]
    name = "tiny_cnn_pretrained-100-0"
    np.testing.assert_allclose(predicted(tmp_path / "s")[name], predicted(trained[0])[name], atol=1e-6)
    assert result["settings"]["pretrained"] == networks.check_start(tiny(), run)
    # Labels of the training would count as those of none.
    with pytest.raises(InputError, match=r"of tiny_cnn, a classifier; give a run of a model such as tiny_vae"):
        networks.check_start(tiny(autoencoder="tiny_vae"), run)
    with pytest.raises(InputError, match="started with pretrained"):
        compare(tiny(), tmp_path / "s", quiet=True)


def test_an_encoder_that_never_saw_times_serves_a_timepix1(shallow: None, tmp_path: Path) -> None:
    clusters = load(ORBIT, "train")[:20]
    assert "toa" not in clusters.columns
    run = untrained_run(tmp_path / "run", "tiny_effnet_ae", ORBIT, clusters)
    names = {"classifier": "tiny_effnet_classifier", "autoencoder": "tiny_effnet_ae"}
    assert networks.check_start(tiny(**names, size=64, network_settings={}), run)


@pytest.fixture
def shallowest() -> Iterator[None]:
    """Without graphs the time goes with the number of layers."""
    with shallow_efficientnet(one_stage=True):
        yield


def test_the_real_networks_through_the_command(
    shallowest: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"cnn": "tiny_timepix_cnn", "classifier": "tiny_effnet_classifier", "autoencoder": "tiny_effnet_ae"}
    budget: dict[str, Any] = {"pretraining": ORBIT, "pretrain_clusters": 16, "train": 24, "validation": 16}
    # Otherwise every training cluster is drawn ten times an epoch.
    budget["network_settings"] = {"epoch_clusters": 24}
    monkeypatch.setitem(FORMS, "small", Form(**names, **budget, test=40, size=64, pretrain_size=32))
    arguments = ["proton_electron", "--seeds", "1", "--epochs", "1", "--pretrain-epochs", "1"]
    arguments += ["--fractions", "100", "--output", str(tmp_path / "s"), "--json", str(tmp_path / "s.json")]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "s.json").read_text())
    assert found == json.loads((tmp_path / "s" / "results.json").read_text())
    networks_there = ["tiny_timepix_cnn", "tiny_effnet_classifier, from scratch", "tiny_effnet_classifier, pretrained"]
    assert list(found["sentences"]) == networks_there
    for name in networks_there:
        # Before batch normalisation has seen some hundred steps they differ little.
        probability = predicted(tmp_path / "s")[f"{study.plain(name)}-100-0"]
        assert probability.shape == (40,)
        assert 0 <= probability.min() < probability.max() <= 1
        assert found["sentences"][name] in result.output
    pretrained = tmp_path / "s" / "pretrained" / "tiny_effnet_ae"
    config = json.loads(
        (tmp_path / "s" / "networks" / "tiny_effnet_classifier_pretrained-100-0" / "config.json").read_text()
    )
    assert config["init"] == str(pretrained)
    # The weights fit images of any size, and smaller ones cost less.
    assert config["config"]["size"] == 64
    assert json.loads((pretrained / "config.json").read_text())["config"]["size"] == 32
    # Given again, the command trains nothing and says the same.
    again = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert "pretraining" not in again.output
    assert json.loads((tmp_path / "s.json").read_text()) == found


def test_sample_is_what_the_networks_see(trained: Study) -> None:
    config = json.loads((trained[0] / "networks" / "tiny_cnn-100-0" / "config.json").read_text())
    clusters: Sample = sample.load(tiny())
    assert config["classes"] == list(clusters.classes) == ["proton", "electron"]
    assert config["fingerprint"] == clusters.fingerprint
    assert config["dataset"] == ORBIT
    assert config["config"]["input"] == "energy"
