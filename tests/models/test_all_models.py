"""Every registered model goes through these tests; registering is all it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import Clusters
from particle_zoo.cli import write_json
from particle_zoo.models.base import ZooModel
from particle_zoo.training.fit import compile_model
from particle_zoo.weights import WEIGHTS, load_run, write_card

NAMES = particle_zoo.list_models()


def outputs(model: Any, inputs: Any) -> list[np.ndarray]:
    found = model(inputs, training=False)
    values = found.values() if isinstance(found, dict) else [found]
    return [keras.ops.convert_to_numpy(v) for v in values]


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest, simulated: Clusters) -> Any:
    keras.utils.set_random_seed(1)
    built = particle_zoo.create(request.param)
    built.preprocessor = built.preprocessor.fit(simulated)
    return built


def test_card_matches_reality(model: Any, simulated: Clusters) -> None:
    card = particle_zoo.info(model.zoo_name)
    assert model.count_params() == card.parameters
    assert card.config == model.zoo_config.model_dump(mode="json")
    inputs = model.preprocess(simulated[:6])
    named = inputs if isinstance(inputs, dict) else {card.inputs[0]["name"]: inputs}
    assert {i["name"]: tuple(i["shape"]) for i in card.inputs} == {k: v.shape[1:] for k, v in named.items()}
    assert named["image"].min() >= 0
    assert named["image"].max() <= 1
    assert card.name in str(card)


def test_forward_is_finite_and_the_same_twice(model: Any, simulated: Clusters) -> None:
    inputs = model.preprocess(simulated[:3])
    first, second = outputs(model, inputs), outputs(model, inputs)
    for a, b in zip(first, second, strict=True):
        assert len(a) == 3
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def test_a_step_of_training_moves_every_weight(model: Any, three_classes: Clusters) -> None:
    inputs = model.preprocess(three_classes[:16])
    targets = np.arange(16, dtype=np.int32) % 3
    compile_model(model, 10)
    before = [w.numpy().copy() for w in model.trainable_variables]
    # A dead ReLU of one batch is no missing gradient.
    for _ in range(3):
        model.fit(inputs, targets if particle_zoo.info(model.zoo_name).task == "classifier" else None, verbose=0)
    still = [w.path for w, old in zip(model.trainable_variables, before, strict=True) if np.array_equal(w.numpy(), old)]
    assert not still


def test_saved_weights_give_the_same_outputs(model: Any, simulated: Clusters, tmp_path: Path) -> None:
    config = {
        "model": model.zoo_name,
        "config": model.zoo_config.model_dump(mode="json"),
        "preprocessing": model.preprocessor.to_dict(),
        "classes": None,
        "dataset": "ccd_clusters/simulated",
    }
    write_json(tmp_path / "config.json", config)
    model.save_weights(tmp_path / WEIGHTS)
    write_card(tmp_path, model.zoo_name, {})
    again, _ = load_run(tmp_path)
    inputs = model.preprocess(simulated[:4])
    for a, b in zip(outputs(model, inputs), outputs(again, again.preprocess(simulated[:4])), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_rebuilt_from_its_config(model: ZooModel) -> None:
    again = type(model).from_config(model.get_config())
    assert again.zoo_name == model.zoo_name
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_outputs_stay_float32_under_mixed_precision(name: str, precision: str) -> None:
    keras.config.set_dtype_policy(precision)
    model = particle_zoo.create(name)
    found = model.output if isinstance(model.output, dict) else {"output": model.output}
    assert {t.dtype for t in found.values()} == {"float32"}
