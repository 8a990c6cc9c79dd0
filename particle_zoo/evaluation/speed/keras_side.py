"""Training and inference of a model of the zoo as the zoo does them, with a clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from particle_zoo.cli import load_keras
from particle_zoo.evaluation.speed.material import Batch, Material, prepare
from particle_zoo.evaluation.speed.pace import WARM, Pace

MANY = 10_000
"""Epochs: a measurement ends before."""

TOGETHER = 8
"""Steps an execution where the model's own training calls them one by one."""

SHORT = 0.5
"""Share of the steps and of the seconds in which the wait for data is looked at."""


def measure_training(
    name: str,
    *,
    other_jit: bool = False,
    other_together: bool = False,
    wait: bool = False,
    precision: str,
    steps: int,
    budget: float,
    batch_size: int | None,
    seed: int,
) -> dict[str, Any]:
    """Time training steps of `fit`; to be called in a process of its own.

    Args:
        name: of the model.
        other_jit: XLA off where the model's own training has it on, and on where it has it off.
        other_together: steps an execution: 1 where the model's own training has several, else `TOGETHER`.
        wait: look at how long steps wait for data, too, in further steps.
        precision: dtype policy.
        steps: timed steps.
        budget: most seconds of them.
        batch_size: of a step; the recipe's without it.
        seed: of weights and data.

    Returns:
        What `Pace.result` gives, with `wait_share` only where it was looked at, the last `loss`, `jit_compile`,
        `steps_per_execution`, `peak_gb`, `framework` and `device`.
    """
    load_keras(precision)
    material = prepare(name, seed=seed, batch_size=batch_size, precision=precision)
    material = compiled(material, other_jit=other_jit, other_together=other_together)
    pace = Pace(steps, budget, warm=material.warm)
    loss = _fit(material, material.feed(0, MANY), pace)
    found = {**pace.result(material.batch_size), "wait_share": None}
    if wait:
        second = Pace(max(20, int(SHORT * steps)), max(1.0, SHORT * budget), SHORT, material.warm)
        found["wait_share"] = _waiting(material, second)
    found |= {"jit_compile": bool(material.model.jit_compile), "steps_per_execution": steps_a_call(material)}
    return {**found, "loss": loss, **about()}


def compiled(material: Material, *, other_jit: bool = False, other_together: bool = False) -> Material:
    """The material with its model compiled as in its own training or, for what is asked for, the other way."""
    from particle_zoo.training.fit import compile_model
    from particle_zoo.training.jets import compile_together

    model, alone = material.model, material.together == 1 or other_together
    if material.card.task == "deep_clustering":
        model.begin("pretraining")
    elif alone:
        compile_model(model, material.steps)
    else:
        grouped = compile_together(model, material.steps, material.together)
        material = replace(material, together=grouped)
    if material.single is not None and other_together:
        material = replace(material, feed=material.single, together=1)
    elif other_together:
        model.steps_per_execution = TOGETHER
    if other_jit:
        model.jit_compile = not model.jit_compile
    return material


def steps_a_call(material: Material) -> int:
    """Training steps in one call of the compiled function."""
    return int(material.together * material.model.steps_per_execution)


def _fit(material: Material, feed: Any, pace: Pace) -> float:
    """Fit until the pace says that there were enough steps; returns the mean loss of the epoch, which waits for the device."""
    import keras

    model, together = material.model, steps_a_call(material)

    class Clock(keras.callbacks.Callback):
        """Tells the pace of every call."""

        def on_train_begin(self, logs: Any = None) -> None:
            pace.begin()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if pace.warming_ends():
                float((logs or {})["loss"])
            if pace.call(together) and not self.model.stop_training:
                float((logs or {})["loss"])
                pace.finish()
                self.model.stop_training = True

    # One epoch of the clock is many of the material: what Keras does between epochs is no part of a step.
    epoch = MANY * material.steps * TOGETHER // material.together
    history = model.fit(feed, steps_per_epoch=epoch, epochs=1, callbacks=[Clock()], shuffle=False, verbose=0)
    return float(history.history["loss"][-1])


def _waiting(material: Material, pace: Pace) -> float:
    """Share of the time of further steps, from 0 to 1, that they wait for their data.

    TensorFlow takes batches within its compiled function, so the function is replaced by one that takes them alike and reads the
    clock before and after. Elsewhere `fit` calls a generator, which then reads the clock.
    """
    import keras

    if keras.backend.backend() != "tensorflow":

        def timed(batches: Iterator[Batch]) -> Iterator[Batch]:
            while True:
                asked = time.perf_counter()
                batch = next(batches)
                if pace.timing:
                    pace.waited += time.perf_counter() - asked
                yield batch

        _fit(material, timed(iter(material.feed(0, MANY))), pace)
        return float(pace.result(material.batch_size)["wait_share"])

    import tensorflow as tf

    waited = tf.Variable(0.0, dtype=tf.float64, trainable=False)
    material.model.train_function = _clocked(material.model, waited)
    origin: list[float] = []

    class Reset(Pace):
        """Forgets what was waited for in the warm-up."""

        def call(self, steps: int = 1) -> bool:
            if self.warming_ends():
                origin.append(float(waited.numpy()))
            return super().call(steps)

    counted = Reset(pace.steps, pace.budget, pace.least, pace.warm)
    _fit(material, material.feed(0, MANY), counted)
    counted.waited = float(waited.numpy()) - origin[0]
    return float(counted.result(material.batch_size)["wait_share"])


def _clocked(model: Any, waited: Any) -> Callable[[Any], Any]:
    """A training function of TensorFlow like Keras's that also adds up, in a variable, the seconds it waits for data."""
    import tensorflow as tf

    step = tf.function(model.train_step, jit_compile=model.jit_compile, reduce_retracing=True)
    together = int(model.steps_per_execution)

    def one(iterator: Any, after: Any) -> Any:
        with tf.control_dependencies(after):
            asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            data = iterator.get_next()
        with tf.control_dependencies(tf.nest.flatten(data)):
            got = tf.timestamp()
        # The step, too, waits until the clock is read: where threads are few it would be read after the step.
        with tf.control_dependencies([waited.assign_add(got - asked)]):
            return step(tf.nest.map_structure(tf.identity, data))

    @tf.function(reduce_retracing=True, autograph=False)
    def function(iterator: Any) -> Any:
        logs = one(iterator, [])
        if together == 1:
            return logs
        return tf.while_loop(
            lambda i, logs: i < together,
            lambda i, logs: (i + 1, one(iterator, tf.nest.flatten(logs))),
            (tf.constant(1), logs),
            parallel_iterations=1,
        )[1]

    return function


def measure_inference(
    name: str, *, how: str, precision: str, steps: int, budget: float, batch_size: int | None, seed: int
) -> dict[str, Any]:
    """Time batches from arrays to arrays, every output of every batch.

    Args:
        name: of the model.
        how: predict (Keras's loop over all batches), graph or xla (the model as a compiled function, one batch a call), or arrays
            (the encode and decode of a jet autoencoder).
        precision: dtype policy.
        steps: timed batches.
        budget: most seconds of them.
        batch_size: of a batch; the recipe's without it.
        seed: of weights and data.

    Returns:
        What `Pace.result` gives, `peak_gb`, `framework` and `device`.
    """
    load_keras(precision)
    material = prepare(name, seed=seed, batch_size=batch_size, precision=precision)
    batches = material.inputs(min(steps, material.steps))
    pace = Pace(steps, budget, warm=WARM if how == "predict" else material.warm)
    model, done = material.model, False
    call = _function(model, how)
    pace.begin()
    step = 0
    while not done:
        if how == "predict":
            _predict(model, batches)
            done = pace.call(len(batches))
        else:
            call(batches[step % len(batches)])
            step += 1
            done = pace.call()
    return {**pace.result(material.batch_size), **about()}


def _predict(model: Any, batches: list[list[np.ndarray]]) -> None:
    import keras

    names = [tensor.name for tensor in model.inputs]
    # Of images of several sizes Keras takes those of the first two batches for those of all.
    *others, largest = sorted(batches, key=lambda arrays: arrays[0].size)
    batches = [largest, *others]

    class Prepared(keras.utils.PyDataset):
        """Batches in memory."""

        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, step: int) -> tuple[Any]:
            arrays = batches[step]
            return (dict(zip(names, arrays, strict=True)) if len(arrays) > 1 else arrays[0],)

    model.predict(Prepared(), verbose=0)


def _function(model: Any, how: str) -> Callable[[list[np.ndarray]], Any]:
    """A function of the inputs of a batch that gives every output as an array."""
    import keras

    names = [tensor.name for tensor in model.inputs]

    def packed(arrays: list[Any]) -> Any:
        return dict(zip(names, arrays, strict=True)) if len(arrays) > 1 else arrays[0]

    if how == "arrays":
        return lambda arrays: model.decode(model.encode(arrays[0]))
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        graph = tf.function(lambda x: model(x, training=False), jit_compile=how == "xla", reduce_retracing=True)
        return lambda arrays: [out.numpy() for out in tf.nest.flatten(graph(packed(arrays)))]
    if backend == "jax":
        import jax

        jitted = jax.jit(lambda trained, fixed, x: model.stateless_call(trained, fixed, x, training=False)[0])
        weights = ([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables])
        return lambda arrays: [np.asarray(out) for out in jax.tree.leaves(jitted(*weights, packed(arrays)))]
    return lambda arrays: [
        keras.ops.convert_to_numpy(out) for out in keras.tree.flatten(model(packed(arrays), training=False))
    ]


def about() -> dict[str, Any]:
    """Versions, device and peak memory of this process."""
    import keras

    from particle_zoo.evaluation.network_speed import device, peak_gb

    return {
        "framework": f"Keras {keras.version()}, {keras.backend.backend()}",
        "device": device(),
        "peak_gb": peak_gb(),
    }
