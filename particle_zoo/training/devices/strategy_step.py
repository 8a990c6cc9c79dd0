"""One global batch on the devices of a `tf.distribute` strategy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from particle_zoo.training.devices.global_draws import global_draws, part_of
from particle_zoo.training.devices.twin import innermost


class StrategyStep:
    """A training or validation step: every device takes its share of the batch, and the sums of all devices come back.

    The loss of a batch is the mean over its examples wherever they are: each device weights its mean with its share of the
    examples. Gradients, losses and what metrics have counted are summed over the devices and returned, so that nothing is
    left behind on a device that another step could overwrite.

    Args:
        strategy: a `tf.distribute.Strategy`.
        model: a compiled model with variables in the scope of the strategy.
        metrics: names of the metrics to report, without the loss.
        batch: a first batch, (x,), (x, y) or (x, y, sample_weight); the others have the same dtypes and ranks.
        training: whether weights change.
    """

    def __init__(self, strategy: Any, model: Any, metrics: Sequence[str], batch: Any, *, training: bool) -> None:
        import tensorflow as tf

        self.strategy, self.model, self.training = strategy, model, training
        by_name = {metric.name: metric for metric in _single_metrics(model)}
        self.metrics = [by_name[name] for name in metrics]
        specs = _signature(model, batch)
        # Every process traces the same function, whatever the sizes of its shares: collective operations are counted.
        self._run = tf.function(self._everywhere, input_signature=[tf.nest.flatten(specs)], autograph=False)
        self._waiting = tf.function(
            lambda leaves: self._everywhere(leaves, update=False),
            input_signature=[tf.nest.flatten(specs)],
            autograph=False,
        )
        self._structure = specs
        self._accumulate = innermost(model.optimizer).gradient_accumulation_steps or 1
        self._iterations = innermost(model.optimizer)._iterations

    def __call__(self, batch: Any) -> tuple[float, float, list[list[np.ndarray]]]:
        """Do the step.

        Args:
            batch: arrays or tensors.

        Returns:
            Sum of the losses of all examples, their number, and what each metric has added to its variables.
        """
        import tensorflow as tf

        leaves = [tf.convert_to_tensor(leaf) for leaf in tf.nest.flatten(batch)]
        waits = self.training and (int(keras.ops.convert_to_numpy(self._iterations.value)) + 1) % self._accumulate
        # Layers ask for these draws while the function is traced, which is in the first call.
        with global_draws():
            loss, count, *added = [t.numpy() for t in (self._waiting if waits else self._run)(leaves)]
        parts = iter(added)
        return float(loss), float(count), [[next(parts) for _ in metric.variables] for metric in self.metrics]

    def _everywhere(self, leaves: Sequence[Any], update: bool = True) -> list[Any]:
        import tensorflow as tf

        batch = tf.nest.pack_sequence_as(self._structure, list(leaves))
        found = self.strategy.run(self._on_one, args=(batch, update))
        # Summed over all devices already: one speaks for all.
        return [self.strategy.experimental_local_results(value)[0] for value in found]

    def _on_one(self, batch: Any, update: bool) -> list[Any]:
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        total = tf.shape(tf.nest.flatten(batch)[0])[0]
        replicas = context.num_replicas_in_sync
        start = total * context.replica_id_in_sync_group // replicas
        stop = total * (context.replica_id_in_sync_group + 1) // replicas
        # With fewer examples than devices each device takes all of them for a part of one: layers fail without any.
        few = total < replicas
        start, stop = tf.where(few, 0, start), tf.where(few, total, stop)
        copies = tf.where(few, float(replicas), 1.0)
        # The batch lies in the memory of the host, and only the part goes to the device.
        with tf.device("/device:CPU:0"):
            part = tf.nest.map_structure(lambda leaf: leaf[start:stop], batch)
        count = tf.cast(stop - start, tf.float32) / copies
        share = count / tf.cast(total, tf.float32)
        x, y, weight = keras.utils.unpack_x_y_sample_weight(part)
        model, optimizer = self.model, self.model.optimizer
        with ExitStack() as stack:
            stack.enter_context(part_of(start, stop, total))
            stack.enter_context(_shared(self.metrics, share * copies))
            tape = stack.enter_context(tf.GradientTape())
            y_pred = model(x, training=self.training)
            zeros = [(v, tf.zeros(v.shape, v.dtype)) for metric in self.metrics for v in metric.variables]
            with keras.StatelessScope(state_mapping=zeros) as scope:
                loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, training=self.training)
                for metric in self.metrics:
                    if metric in _compiled(model):
                        metric.update_state(y, y_pred)
            if type(model).compute_loss is keras.Model.compute_loss:
                # Keras divides its own losses by the number of devices.
                loss = loss * replicas
            scaled = optimizer.scale_loss(loss * tf.cast(share, loss.dtype))
        counted = [scope.get_current_value(v) for metric in self.metrics for v in metric.variables]
        added = [tf.cast(value, tf.float32) / copies for value in counted]
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.cast(loss, tf.float32) * count, count, *added])
        if self.training:
            weights = [variable.value for variable in model.trainable_variables]
            gradients = tape.gradient(scaled, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            # Before anything looks at them: an overflow on one device has to be one on all.
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            with _of_all_devices(innermost(optimizer), self._accumulate, update):
                optimizer.apply(gradients, model.trainable_variables)
        return list(sums)


def _compiled(model: Any) -> list[Any]:
    """Metrics that the compilation named, which compare targets and outputs."""
    return [m for group in model.metrics if type(group).__name__ == "CompileMetrics" for m in group.metrics]


def _single_metrics(model: Any) -> list[Any]:
    """All metrics of a model but the loss; a model may hide some of its own in a stage of its training."""
    return [m for m in (*model._metrics, *_compiled(model)) if m.name != "loss"]


@contextmanager
def _shared(metrics: Sequence[Any], share: Any) -> Iterator[None]:
    """A mean that is given one number a batch counts it by the device's share of the examples."""
    means = [metric for metric in metrics if type(metric) is keras.metrics.Mean]

    def weighted(metric: Any) -> Any:
        def update(values: Any, sample_weight: Any = None) -> None:
            single = keras.ops.ndim(values) == 0 and sample_weight is None
            type(metric).update_state(metric, values, sample_weight=share if single else sample_weight)

        return update

    try:
        for metric in means:
            metric.update_state = weighted(metric)
        yield
    finally:
        for metric in means:
            vars(metric).pop("update_state", None)


@contextmanager
def _of_all_devices(optimizer: Any, accumulate: int, update: bool) -> Iterator[None]:
    """The optimizer takes gradients that are summed over all devices, and does not ask whether to wait for more.

    Keras sums them itself, and asks inside a device, where TensorFlow allows no other device to be waited for.
    """

    def accumulating(gradients: Any, variables: Any) -> None:
        held = [optimizer._accumulated_gradients[optimizer._get_variable_index(v)] for v in variables]
        if not update:
            optimizer._backend_increment_gradient_accumulators(gradients, held)
            return
        before = [variable.value * 1 for variable in held]
        gradients = [(g + value) / accumulate for g, value in zip(gradients, before, strict=True)]
        gradients = optimizer._clip_gradients(gradients)
        optimizer._apply_weight_decay(variables)
        optimizer._backend_update_step(gradients, variables, optimizer.learning_rate)
        optimizer._backend_increment_gradient_accumulators([-value for value in before], held)

    try:
        # Instance attributes in front of the methods of the class.
        optimizer._all_reduce_sum_gradients = list
        if accumulate > 1:
            optimizer._backend_apply_gradients = accumulating
        yield
    finally:
        for name in ("_all_reduce_sum_gradients", "_backend_apply_gradients"):
            vars(optimizer).pop(name, None)


def _signature(model: Any, batch: Any) -> Any:
    """Specifications of the tensors of all batches, of which one is given."""
    import tensorflow as tf

    def open_sides(leaf: Any) -> Any:
        leaf = tf.convert_to_tensor(leaf)
        sides = [None] * (leaf.shape.rank - 1) + [leaf.shape[-1]] if leaf.shape.rank > 2 else [None, *leaf.shape[1:]]
        return tf.TensorSpec(sides, leaf.dtype)

    specs = tf.nest.map_structure(open_sides, tuple(batch))
    inputs = tf.nest.map_structure(
        lambda spec, tensor: tf.TensorSpec(tensor.shape, spec.dtype), specs[0], model.input, check_types=False
    )
    return (inputs, *specs[1:])
