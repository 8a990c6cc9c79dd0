"""Every registered model goes through these tests; registering is all it takes."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo.cli import read_json, write_json
from particle_zoo.detectors.camera import CameraFrames
from particle_zoo.jets import FOUR_MOMENTUM, MASS_MODE, VARIABLES, Jets
from particle_zoo.models.base import ZooModel
from particle_zoo.simulation import optical_tpc
from particle_zoo.simulation.jets import generate as generate_jets
from particle_zoo.training.fit import compile_model
from particle_zoo.weights import WEIGHTS, load_run, write_card
from tests.forms import ALL
from tests.shallow import shallow_efficientnet

NAMES = particle_zoo.list_models()

LARGE = "effnet_ae_mask25"
"""Trained here with its own EfficientNetB4, on the smallest images; in the full form it also is saved and built again with it."""

PRECISIONS = ["mixed_float16", "mixed_bfloat16"] if ALL else ["mixed_float16"]
"""In which every model is built; one of each family is trained in both by `training/test_precision.py` and `test_effnet_training.py`."""

EXAMPLES = {"CCD": "three_classes", "anomaly": "camera_frames", "deep_clustering": "patches", "compression": "jets"}
"""Fixtures that the models of a task or detector take; all others take `timepix3`."""


def outputs(model: Any, inputs: Any) -> list[np.ndarray]:
    found = model(inputs, training=False)
    values = found.values() if isinstance(found, dict) else [found]
    return [keras.ops.convert_to_numpy(v) for v in values]


def smallest(name: str) -> dict[str, Any]:
    """Settings under which a model is as fast as its architecture allows: fully convolutional ones take any size.

    The others of its family have the layers of `LARGE`, and take a smaller and shallower encoder.
    """
    if particle_zoo.info(name).family != "effnet_ae":
        return {}
    small = {"size": 32, "accumulate": 1}
    return small if whole(name) else {**small, "backbone": "B0"}


def whole(name: str) -> bool:
    """Whether a model has its own encoder in all tests."""
    return ALL and name == LARGE


def shrunk(name: str) -> contextlib.AbstractContextManager[None]:
    """Where `smallest(name)` is built."""
    return contextlib.nullcontext() if whole(name) else shallow_efficientnet(halving_only=True)


def create(name: str, **settings: Any) -> Any:
    """The smallest form of a model."""
    with shrunk(name):
        return particle_zoo.create(name, **{**smallest(name), **settings})


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def camera_frames() -> CameraFrames:
    """24 dark frames with light in the last eight."""
    camera = optical_tpc.CameraNoise(shape=(40, 56), seed=1)
    light = np.zeros((40, 56))
    light[20:24, 30:34] = 80
    return CameraFrames.from_array(np.stack([camera.frame(k, signal=light if k > 15 else None) for k in range(24)]))


@pytest.fixture(scope="module")
def patches(name: str) -> np.ndarray:
    """24 patches of noise around spots of light, counts above the pedestal, of the size that the model takes."""
    rng, size = np.random.default_rng(1), particle_zoo.info(name).config["size"]
    row, col = np.indices((size, size)) - (size - 1) / 2
    width = rng.uniform(2, 8, (24, 1, 1))
    spots = 60 * np.exp(-(row**2 + col**2) / (2 * width**2))
    return np.asarray(spots + rng.normal(0, 3, spots.shape), np.float32)


@pytest.fixture(scope="module")
def jets(name: str) -> Jets:
    """24 simulated jets; of the variables that nobody simulates, numbers that their logarithms take."""
    columns = VARIABLES[particle_zoo.info(name).config["variables"]]
    simulated, rng = generate_jets(24, seed=1), np.random.default_rng(1)
    values = [
        simulated.column(c)
        if c in (*FOUR_MOMENTUM, *MASS_MODE)
        else rng.uniform(0.1, 0.9, 24) * (1, -1)[c == "NegativeE"]
        for c in columns
    ]
    return Jets(np.stack(values, axis=1), columns)


@pytest.fixture(scope="module")
def clusters(name: str, request: pytest.FixtureRequest) -> Any:
    """Clusters of the detector of the model, or what its task takes in their place."""
    card = particle_zoo.info(name)
    return request.getfixturevalue(EXAMPLES.get(card.task) or EXAMPLES.get(card.detector, "timepix3"))


@pytest.fixture(scope="module")
def model(name: str, clusters: Any) -> Any:
    """Not to be changed: building the larger ones takes seconds."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(1)
    built = create(name)
    built.preprocessor = built.preprocessor.fit(clusters)
    return built


@functools.cache
def backbone(make: Any = keras.applications.EfficientNetB4, **settings: Any) -> Any:
    """EfficientNetB4, built once for all models that have it: none of them is trained or called here."""
    return make(**settings)


def test_card_matches_reality(name: str, clusters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.applications, "EfficientNetB4", backbone)
    card, model = particle_zoo.info(name), particle_zoo.create(name)
    model.preprocessor = model.preprocessor.fit(clusters)
    assert model.count_params() == card.parameters
    assert card.config == model.zoo_config.model_dump(mode="json")
    inputs = model.preprocess(clusters[:6])
    named = inputs if isinstance(inputs, dict) else {card.inputs[0]["name"]: inputs}
    for stated in card.inputs:
        found = named.pop(stated["name"]).shape[1:]
        assert all(s in (None, f) for s, f in zip(stated["shape"], found, strict=True)), (stated, found)
    assert not named
    assert card.name in str(card)


def test_inputs_keep_to_the_range_of_the_card(model: Any, clusters: Any) -> None:
    inputs = model.preprocess(clusters)
    image = inputs["image"] if isinstance(inputs, dict) else inputs
    # "0 to 1", or one range a channel.
    stated = particle_zoo.info(model.zoo_name).inputs[0]["value_range"].split(", ")
    for channel, text in enumerate(stated):
        low, high = map(float, text.split(" to "))
        values = image[..., channel]
        assert low <= values.min() < values.max() <= high, text
        # Images have empty pixels; variables of jets need not reach zero.
        assert image.ndim == 2 or values.min() <= 0 < values.max(), text


def test_forward_is_finite_and_the_same_twice(model: Any, clusters: Any) -> None:
    inputs = model.preprocess(clusters[:3])
    first, second = outputs(model, inputs), outputs(model, inputs)
    for a, b in zip(first, second, strict=True):
        assert len(a) == 3
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def targets_of(model: Any, n: int) -> list[Any]:
    """Targets of each stage of a training."""
    task = particle_zoo.info(model.zoo_name).task
    if task == "classifier":
        return [np.arange(n, dtype=np.int32) % model.zoo_config.classes]
    if task == "deep_clustering":
        # First the autoencoder, then shares of the clusters.
        k = model.zoo_config.clusters
        return [None, np.full((n, k), 0.5 / k, np.float32) + 0.5 * np.eye(k, dtype=np.float32)[np.arange(n) % k]]
    return [None]


# Not every stage of a training has a gradient of all weights; which of them stayed is asked below.
@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")
def test_a_step_of_training_moves_every_weight(name: str, clusters: Any) -> None:
    # Weight decay moves weights that no gradient reaches.
    own = {"backbone": particle_zoo.info(name).config["backbone"]} if name == LARGE else {}
    model = create(name, weight_decay=0.0, **own)
    model.preprocessor = model.preprocessor.fit(clusters)
    inputs = model.preprocess(clusters[:16])
    targets = targets_of(model, 16)
    compile_model(model, 10)
    # Tracing a network takes longer than three steps without.
    model.run_eagerly = True
    # The first rate of a warm-up is next to nothing.
    model.optimizer.iterations.assign(1)
    for weight in model.trainable_variables:
        # Nothing in a block that begins as the identity has a gradient before the scale of its end has moved.
        if weight.path.endswith("gamma") and not weight.numpy().any():
            weight.assign(weight + 1)
    before = [w.numpy().copy() for w in model.trainable_variables]
    still = [w.path for w in model.trainable_variables]
    # A dead ReLU of one batch is no missing gradient.
    for _ in range(3):
        if still:
            for target in targets:
                model.fit(inputs, target, verbose=0)
            pairs = zip(model.trainable_variables, before, strict=True)
            still = [w.path for w, old in pairs if np.array_equal(w.numpy(), old)]
    assert not still


def test_saved_weights_give_the_same_outputs(model: Any, clusters: Any, tmp_path: Path) -> None:
    config = {
        "model": model.zoo_name,
        "config": model.zoo_config.model_dump(mode="json"),
        "preprocessing": model.preprocessor.to_dict(),
        "classes": None,
        "dataset": particle_zoo.info(model.zoo_name).default_dataset,
    }
    write_json(tmp_path / "config.json", config)
    model.save_weights(tmp_path / WEIGHTS)
    if hasattr(model.preprocessor, "pedestal"):
        model.preprocessor.pedestal.save(tmp_path / "pedestal.npz")
    write_card(tmp_path, model, {})
    with shrunk(model.zoo_name):
        again, _ = load_run(tmp_path)
    assert again.count_params() == read_json(tmp_path / "card.json", what="model card")["parameters"]
    inputs = model.preprocess(clusters[:4])
    for a, b in zip(outputs(model, inputs), outputs(again, again.preprocess(clusters[:4])), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_rebuilt_from_its_config(model: ZooModel) -> None:
    with shrunk(model.zoo_name):
        again = type(model).from_config(model.get_config())
    assert again.zoo_name == model.zoo_name
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_outputs_stay_float32_under_mixed_precision(name: str, precision: str) -> None:
    keras.config.set_dtype_policy(precision)
    settings = smallest(name)
    if whole(name):
        # What its heads end in does not depend on the depth of the encoder.
        settings["backbone"] = "B0"
    with shallow_efficientnet(halving_only=True):
        model = particle_zoo.create(name, **settings)
    found = model.output if isinstance(model.output, dict) else {"output": model.output}
    assert {t.dtype for t in found.values()} == {"float32"}
