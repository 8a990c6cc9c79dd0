"""Speed of training and inference, beside PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import particle_zoo
from particle_zoo import InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.errors import UnknownModelError
from particle_zoo.evaluation.speed import keras_side, material, measure, report
from particle_zoo.evaluation.speed.measure import Variant
from particle_zoo.evaluation.speed.pace import WARM, Pace
from tests.evaluation.failing import killed, refused

TINY = (
    "tiny_cnn", "tiny_vae", "tiny_dec", "tiny_jet_ae", "tiny_pedestal_ae", "tiny_timepix_cnn", "tiny_effnet_ae",
    "tiny_effnet_classifier",
)  # fmt: skip

STILL = {
    "tiny_cnn": {"dropout_rate": 0.0},
    "tiny_timepix_cnn": {"dropout_rate": 0.0},
    "tiny_pedestal_ae": {"code_noise": 0.0},
    "tiny_jet_ae": {},
    "tiny_dec": {},
}
"""Settings with which a training step draws nothing at random."""

ARGUMENTS: dict[str, Any] = {"precision": "float32", "steps": 1, "budget": 0.01, "batch_size": 4, "seed": 0}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little to draw from."""
    monkeypatch.setattr(material, "STEPS", 4)
    monkeypatch.setattr(material, "JET_STEPS", 64)


def _moved(model: Any) -> None:
    """Change every weight a little: a zero or a one would hide what is missing."""
    rng = np.random.default_rng(1)
    model.set_weights([
        w + rng.uniform(0, 0.1 / np.sqrt(max(w.shape[:-1], default=1)), w.shape).astype(w.dtype)
        if w.dtype == np.float32
        else w
        for w in model.get_weights()
    ])  # fmt: skip


def _batch(model: Any) -> Any:
    """Four inputs of a model."""
    rng = np.random.default_rng(2)
    inputs = {}
    for tensor in model.inputs:
        shape = (4, *(side or 18 for side in tensor.shape[1:]))
        inputs[tensor.name] = rng.random(shape, np.float32)
        if tensor.name == "rasters":
            inputs[tensor.name] *= (rng.random(shape[:3]) < 0.2)[..., None]
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))


@pytest.mark.parametrize("name", [*TINY, "vae_generative", "ae_25d_z8"])
def test_the_translation_gives_what_the_model_gives(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    from particle_zoo.evaluation.speed.torch_graph import translate

    settings = {"vae_generative": {"size": 16, "filters": (4, 8), "kernel_sizes": (5, 3)}}.get(name, {})
    model = particle_zoo.create(name, **settings)
    _moved(model)
    inputs = _batch(model)
    expected = model(inputs, training=False)
    with torch.inference_mode():
        found = translate(model).eval()(*map(torch.from_numpy, material.arrays(model, inputs)))
    if not isinstance(expected, dict):
        expected, found = {"": expected}, {"": found}
    assert set(found) == set(expected)
    for head, values in expected.items():
        ours = keras.ops.convert_to_numpy(values)
        assert np.ptp(ours) > 0
        np.testing.assert_allclose(found[head].numpy(), ours, rtol=1e-4, atol=1e-4 * np.abs(ours).max())


@pytest.mark.parametrize("side", [9, 10, 11])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (2, 1), (4, 3), (2, 3)])
def test_margins_are_those_of_tensorflow_at_any_size(side: int, kernel: int, stride: int) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    from particle_zoo.evaluation.speed.torch_graph import translate

    image = keras.Input((side, side + 1, 2))
    x = keras.layers.Conv2D(3, kernel, stride, padding="same")(image)
    x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = keras.layers.Conv2DTranspose(2, kernel, stride, padding="same")(x)
    model = keras.Model(image, keras.layers.Conv2DTranspose(2, kernel, stride)(x))
    inputs = np.random.default_rng(0).normal(size=(2, side, side + 1, 2)).astype(np.float32)
    with torch.inference_mode():
        found = translate(model)(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, model(inputs), atol=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_both_sides_have_the_same_loss(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    from particle_zoo.evaluation.speed.torch_training import Trainer

    prepared = material.prepare(name, seed=0, batch_size=4)
    model = keras_side.compiled(prepared).model
    batch = next(prepared.batches(0, 1))
    inputs, targets, weights = (*batch, None, None)[:3]
    expected = model.compute_loss(
        x=inputs, y=targets, y_pred=model(inputs, training=False), sample_weight=weights, training=False
    )
    trainer = Trainer(prepared, compiled=False, precision="float32", device="cpu")
    tensors, rest = trainer.tensors(batch)
    with torch.inference_mode():
        found = trainer.loss(trainer.network.eval()(*tensors), tensors, *(rest or [None]))
    assert float(found) > 0
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("name", list(STILL))
def test_both_sides_learn_the_same_in_three_steps(name: str) -> None:
    pytest.importorskip("torch", reason="compares with PyTorch")
    from particle_zoo.evaluation.speed.torch_training import Trainer

    prepared = material.prepare(name, seed=0, batch_size=4, settings=STILL[name])
    trainer = Trainer(prepared, compiled=False, precision="float32", device="cpu")
    model = keras_side.compiled(prepared).model
    batches = [next(prepared.batches(k, k + 1)) for k in range(3)]
    theirs = [float(trainer.step(batch)) for batch in batches]
    ours = []
    for batch in batches:
        # Otherwise it is the mean of the steps so far.
        model.reset_metrics()
        ours.append(float(model.train_on_batch(*batch, return_dict=True)["loss"]))
    np.testing.assert_allclose(theirs, ours, rtol=1e-3)
    assert len(set(ours)) == 3


def test_what_has_no_counterpart_is_told() -> None:
    pytest.importorskip("torch", reason="compares with PyTorch")
    from particle_zoo.evaluation.speed.torch_graph import translate

    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.UnitNormalization(name="unit")(image))
    with pytest.raises(InputError, match="no layer UnitNormalization; the layer unit is one"):
        translate(model)


def test_the_clock_begins_after_the_warm_up_and_ends_with_steps_or_budget() -> None:
    pace = Pace(steps=6, budget=1e9, least=0.0)
    pace.begin()
    assert [pace.call(2) for _ in range(WARM + 3)] == [False] * (WARM + 2) + [True]
    pace.waited = -1.0
    found = pace.result(batch_size=10)
    assert found["steps"] == 6
    assert found["wait_share"] == 0
    assert found["examples_per_s"] == pytest.approx(1e4 / found["step_ms"])
    pace.waited = 1e9
    assert pace.result(10)["wait_share"] == 1
    spent = Pace(steps=10**9, budget=0.0)
    assert [spent.call() for _ in range(WARM + 1)] == [False] * WARM + [True]


@pytest.mark.parametrize("name", ["tiny_cnn", "tiny_jet_ae", "tiny_dec"])
def test_a_training_is_timed_as_it_is_trained(name: str) -> None:
    found = keras_side.measure_training(name, wait=True, **ARGUMENTS)
    together = 64 if name == "tiny_jet_ae" else 1
    assert (found["jit_compile"], found["steps_per_execution"]) == (False, together)
    assert found["steps"] >= together
    assert found["steps"] % together == 0
    assert np.isfinite(found["loss"])
    assert 0 <= found["wait_share"] <= 1
    assert found["step_ms"] > 0


def test_variants_are_what_the_training_is_not() -> None:
    prepared = material.prepare("tiny_cnn", seed=0, batch_size=4)
    changed = keras_side.compiled(prepared, other_jit=True, other_together=True)
    assert changed.model.jit_compile
    assert keras_side.steps_a_call(changed) == keras_side.TOGETHER
    jets = material.prepare("tiny_jet_ae", seed=0, batch_size=4)
    assert keras_side.steps_a_call(keras_side.compiled(jets, other_together=True)) == 1


@pytest.mark.parametrize("how", ["graph", "predict", "arrays"])
def test_inference_is_timed(how: str) -> None:
    found = keras_side.measure_inference("tiny_jet_ae", how=how, **ARGUMENTS)
    assert found["steps"] >= 1
    assert found["step_ms"] > 0


def test_images_of_several_sizes_are_compiled_before_they_are_timed() -> None:
    found = material.prepare("tiny_timepix_cnn", seed=0, batch_size=4)
    sizes = [batch[0].shape for batch in found.inputs(found.steps)]
    assert len(set(sizes)) > 1
    assert set(sizes[: found.warm - WARM + 1]) == set(sizes)
    assert found.warm < WARM + found.steps
    pace = Pace(steps=1, budget=0.0, warm=found.warm)
    assert [pace.call() for _ in range(found.warm + 1)] == [False] * found.warm + [True]
    assert material.prepare("tiny_cnn", seed=0, batch_size=4).warm == WARM


def test_images_of_several_sizes_are_predicted() -> None:
    model = particle_zoo.create("tiny_timepix_cnn")
    sizes = (16, 16, 24, 16)
    keras_side._predict(model, [[np.zeros((2, size, size, 3), np.float32)] for size in sizes])


def test_clusters_of_timepix_are_drawn_batch_by_batch_and_those_of_ccd_kept() -> None:
    drawn: list[int] = []
    for name in ("tiny_timepix_cnn", "tiny_cnn"):
        prepared = material.prepare(name, seed=0, batch_size=4)
        preprocessor = type(prepared.model.preprocessor)
        original: Callable[..., Any] = preprocessor.__call__
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preprocessor, "__call__", lambda *a, f=original: drawn.append(len(a[1])) or f(*a))
            assert len(list(prepared.batches(0, 1))) == prepared.steps == material.STEPS
    assert drawn == [4] * material.STEPS


def test_a_failure_is_a_row_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def one(task: str, name: str, variant: Variant, arguments: dict[str, Any]) -> dict[str, Any]:
        calls.append((name, variant.label))
        if variant.options.get("other_together"):
            monkeypatch.setattr(measure, "child", killed)
            return measure.in_process(task, name, variant, arguments)
        if variant.options.get("other_jit"):
            monkeypatch.setattr(measure, "child", refused)
            return measure.in_process(task, name, variant, arguments)
        ms = 10.0 * len(calls)
        return {"step_ms": ms, "cpu_ms": 1.0, "first_step_s": 1.0, "examples_per_s": 5.0, "wait_share": 0.2, "peak_gb": 1.0,
                "framework": "F", "device": "d", "jit_compile": False, "steps_per_execution": 1}  # fmt: skip

    path = tmp_path / "s.json"
    monkeypatch.setattr(measure.importlib.util, "find_spec", lambda name: None)
    options: dict[str, Any] = {"precisions": ("float32",), "steps": 1, "budget": 1.0, "batch_size": None, "seed": 0}
    result = measure.measure("training", ["cnn"], rounds=3, json_path=path, one=one, **options)
    rows = result["models"][0]["rows"]
    assert "killed" in rows[2]["failed"]
    assert rows[1]["failed"] == "no such thing; take another"
    # The failures came in the first of three rounds; the other row is the median of its three.
    assert calls == [("cnn", row["variant"]) for row in rows] + [("cnn", "as trained")] * 2
    assert rows[0]["rounds_ms"] == [10.0, 40.0, 50.0]
    assert rows[0]["step_ms"] == 40.0
    assert json.loads(path.read_text())["models"][0]["rows"][1]["failed"] == rows[1]["failed"]
    report.print_model("training", result["models"][0])
    report.print_missing(result)
    said = capsys.readouterr().out
    assert "failed: no such thing; take another" in said
    assert "steps wait for data 20.0% of the time, NOT below 5%" in said
    assert "PyTorch is not installed" in said


@pytest.mark.parametrize(
    ("theirs", "passed", "said"), [(54.0, True, "at least as fast, 1.23"), (22.0, False, "slower, 0.50")]
)
def test_the_verdict_is_the_ratio_to_eager_pytorch(theirs: float, passed: bool, said: str) -> None:
    def row(side: str, variant: str, ms: float) -> dict[str, Any]:
        return {"side": side, "variant": variant, "precision": "float32", "step_ms": ms, "wait_share": 0.01}

    rows = [row("keras", "as trained", 44.0), row("torch", "eager", theirs), row("keras", "XLA the other way", 40.0)]
    model = {"model": "cnn", "rows": rows}
    (judged,) = report.with_verdicts({"task": "training", "models": [model]})["models"]
    assert judged["passed"] is passed
    assert judged["verdict"]["ratio"] == pytest.approx(theirs / 44)
    first, waits = report.sentences("training", model)
    assert said in first
    assert ("'XLA the other way' with 40 ms" in first) is not passed
    assert "1.0% of the time, below 5%" in waits


@pytest.mark.parametrize("task", ["training", "inference"])
@pytest.mark.usefixtures("forked")
def test_the_commands_write_a_row_a_variant(task: str, tmp_path: Path) -> None:
    arguments = [
        task,
        "--models",
        "tiny_cnn",
        "--precision",
        "float32",
        "--batch-size",
        "4",
        "--steps",
        "1",
        "--budget",
        "0.01",
    ]
    arguments += ["--rounds", "1", "--json", str(tmp_path / "s.json")]
    with pytest.MonkeyPatch.context() as patch:
        # A process takes as long to start as anything else here.
        if task == "inference":
            patch.setattr(measure, "in_process", measure.child)
        patch.setattr(measure, f"{task}_variants", lambda *a: [_FIRST[task]])
        result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "s.json").read_text())
    (row,) = found["models"][0]["rows"]
    assert "failed" not in row, row
    assert row["framework"].startswith("Keras")
    assert f"{row['step_ms']:.3g}" in result.output
    assert 0.2 < row["peak_gb"] < 20


_FIRST = {
    "training": measure.training_variants(["float32"], False)[0],
    "inference": measure.inference_variants(["float32"], False, False)[0],
}


def test_bad_names_are_told_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    for names, error in (("cnn,cnn", InputError), (",", InputError), ("cnn,cmm", UnknownModelError)):
        arguments = ["training", "--models", names, "--json", str(path)]
        with pytest.raises(error, match=r"received|unknown model 'cmm'"):
            CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert not path.exists()


def test_every_family_is_there() -> None:
    families = {particle_zoo.info(name).family for name in particle_zoo.list_models("*")}
    assert {particle_zoo.info(name).family for name in material.FAMILIES} == families
    assert set(TINY) == set(particle_zoo.list_models("tiny*"))
