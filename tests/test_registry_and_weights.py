from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import particle_zoo
from particle_zoo import InputError, UnknownModelError, WeightsNotFoundError, cli
from particle_zoo.predict import predict
from particle_zoo.weights import load_run, write_card


def test_importing_is_fast_and_loads_no_framework() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import particle_zoo; t = time.perf_counter() - t;"
        "assert not {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules), sorted(sys.modules);"
        "assert t < 0.5, t; assert 'load' in dir(particle_zoo)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_array_path_needs_no_tensorflow() -> None:
    code = (
        "import sys; sys.modules['tensorflow'] = None; sys.modules['tensorflow_datasets'] = None; sys.modules['keras'] = None\n"
        "from particle_zoo.simulation import ccd\nfrom particle_zoo.pipelines.ccd import CCDPreprocessor\n"
        "from particle_zoo import data\n"
        "c = ccd.generate(3, 0); print(CCDPreprocessor().fit(c)(c).shape)"
    )
    assert (
        "(3, 64, 64, 1)"
        in subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )


def test_list_and_filter() -> None:
    assert particle_zoo.list_models("*vae*") == ["tiny_vae", "vae", "vae_generative"]
    assert "cnn" in particle_zoo.list_models(task="classifier")
    assert particle_zoo.list_models(detector="submarine") == []


def test_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(UnknownModelError, match=r"did you mean .*vae_generative.*list_models"):
        particle_zoo.create("vae_generativ")
    with pytest.raises(UnknownModelError, match=r"unknown model 'zzzz'; particle_zoo\.list_models"):
        particle_zoo.info("zzzz")


def test_missing_weights_name_file_places_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTICLE_ZOO_PATH", str(tmp_path / "shared"))
    with pytest.raises(WeightsNotFoundError) as error:
        particle_zoo.load("effnet_ae_mask0_imagehead")
    message = str(error.value)
    assert "model.weights.h5" in message
    assert str(tmp_path / "shared" / "effnet_ae_mask0_imagehead") in message
    assert str(tmp_path / "zoo-home" / "effnet_ae_mask0_imagehead") in message
    assert "python -m particle_zoo.train effnet_ae_mask0_imagehead --publish" in message


def test_untrained_on_request() -> None:
    assert particle_zoo.load("tiny_cnn", weights=False, classes=4).output.shape == (None, 4)


def test_a_trained_classifier_knows_its_classes(trained: Path) -> None:
    assert particle_zoo.load("tiny_cnn", weights=trained).class_names == ("xray", "electron", "muon")
    assert particle_zoo.create("tiny_cnn").class_names == ()


def test_weights_that_cannot_be_used(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a tiny_cnn, not a cnn"):
        particle_zoo.load("cnn", weights=trained)
    with pytest.raises(InputError, match="own settings"):
        particle_zoo.load("tiny_cnn", weights=trained, classes=4)
    damaged = shutil.copytree(trained, tmp_path / "damaged")
    content = bytearray((damaged / "model.weights.h5").read_bytes())
    content[len(content) // 2] ^= 255
    (damaged / "model.weights.h5").write_bytes(bytes(content))
    with pytest.raises(InputError, match="sha256"):
        particle_zoo.load("tiny_cnn", weights=damaged)
    # Without the card's digest the file itself must give it away.
    (damaged / "card.json").unlink()
    (damaged / "model.weights.h5").write_bytes(bytes(content[:1000]))
    with pytest.raises(InputError, match="damaged or belongs to another model"):
        particle_zoo.load("tiny_cnn", weights=damaged)
    config = json.loads((damaged / "config.json").read_text())
    del config["preprocessing"]
    (damaged / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="lacks preprocessing"):
        particle_zoo.load("tiny_cnn", weights=damaged)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 3}, "model must be a text"),
        ({"dataset": None}, "dataset must be a text"),
        ({"config": [1]}, "config must be a JSON object"),
        ({"config": {"name": "cnn"}}, "config must be the settings"),
        ({"config": {"N_conv_layers": 2}}, "the table is not complete: there is no N_dense_layers"),
        ({"preprocessing": "x"}, "preprocessing must be a JSON object"),
        ({"preprocessing": {"size": 32}}, "preprocessing.size must be 16"),
        ({"preprocessing": {"energy_scale": "x"}}, "preprocessing.energy_scale must be a number"),
        ({"preprocessing": {"meta_mean": [1, 2]}}, "preprocessing.meta_mean must be 4 numbers"),
        ({"preprocessing": {"colour": 1}}, "unknown preprocessing"),
        ({"classes": "xray"}, "classes must be a list"),
        ({"classes": [1, 2, 3]}, "classes must be a list"),
        ({"classes": ["a"]}, "classes must be 3 class names"),
    ],
)
def test_an_edited_configuration_is_one_sentence(
    trained: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    config = json.loads((trained / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    shutil.copy(trained / "model.weights.h5", tmp_path)
    with pytest.raises(InputError, match=message) as error:
        load_run(tmp_path)
    assert "\n" not in str(error.value)


def test_the_card_of_a_run_is_about_its_own_settings(tmp_path: Path) -> None:
    model, card = particle_zoo.create("tiny_cnn", size=32), particle_zoo.info("tiny_cnn")
    model.save_weights(tmp_path / "model.weights.h5")
    write_card(tmp_path, model, {"dataset": "here"})
    written = json.loads((tmp_path / "card.json").read_text())
    assert written["parameters"] == model.count_params() != card.parameters
    assert written["config"] == model.zoo_config.model_dump(mode="json") != card.config
    assert written["inputs"][0]["shape"] == [32, 32, 1]
    assert written["summary"] == f"{card.summary}; with size=32"
    assert written["dataset"] == "here"


@pytest.mark.parametrize("kind", ["corrupted", "card disagrees", "of another model"])
def test_a_command_on_unusable_weights_exits_with_one_sentence(
    kind: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback and no warning of Keras before the sentence; pytest turns warnings into errors."""
    run_folder = shutil.copytree(trained, tmp_path / "run")
    weights = run_folder / "model.weights.h5"
    if kind == "of another model":
        particle_zoo.create("tiny_cnn", filters=[4], kernel_sizes=[3]).save_weights(weights)
    else:
        weights.write_bytes(weights.read_bytes()[:-700])
    if kind != "card disagrees":
        (run_folder / "card.json").unlink()
    (tmp_path / "1.csv").write_text("0,1,1\n1,1,0\n")
    output = tmp_path / "p.csv"
    monkeypatch.setattr(sys, "argv", ["predict", str(run_folder), str(tmp_path / "1.csv"), "--output", str(output)])
    with pytest.raises(SystemExit) as stop:
        cli.run(predict)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith(f"error: {weights} is damaged")
    assert not output.exists()
