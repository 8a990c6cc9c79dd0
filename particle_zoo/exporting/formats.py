"""Writing a graph for other runtimes, and running it there."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import hushed, sentence
from particle_zoo.diagnosis.devices import usable_cores
from particle_zoo.errors import InputError
from particle_zoo.exporting.graph import Arrays, Graph

OPSET = 17
"""Of ONNX: what runtimes of the last years understand."""

ENDPOINT = "serve"
"""Name of the signature in a SavedModel and in a LiteRT file."""

Runner = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        ending: of the file's name, behind that of the model.
        modules: that its packages bring.
        packages: whose versions matter.
        write: writes a graph to a path.
        open: gives a function that runs the file in its own runtime.
    """

    ending: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    write: Callable[[Graph, Path], None]
    open: Callable[[Path], Runner]

    def check(self) -> None:
        """See that its packages are there.

        Raises:
            InputError: one is missing.
        """
        for name in self.modules:
            try:
                with _quiet():
                    importlib.import_module(name)
            except ImportError as error:
                raise InputError(
                    f"{name} cannot be imported ({sentence(str(error))[:80]}); pip install 'particle-zoo[export]'"
                ) from error

    def versions(self) -> dict[str, str]:
        """Versions of its packages."""
        return {name: metadata.version(name) for name in self.packages}


@contextmanager
def _quiet() -> Iterator[None]:
    """Converters warn of their own ways and print what they do; what goes wrong is raised."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), hushed(told=False):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _trace(graph: Graph) -> Any:
    """The graph as a function of TensorFlow, any number of examples at a time."""
    import tensorflow as tf

    specs = [tf.TensorSpec((None, *tensor.shape), tf.float32, name=tensor.name) for tensor in graph.inputs]
    names = [tensor.name for tensor in graph.inputs]

    def call(*tensors: Any) -> Any:
        found = graph.call(dict(zip(names, tensors, strict=True)))
        return {tensor.name: found[tensor.name] for tensor in graph.outputs}

    return tf.function(call, input_signature=specs)


def _write_saved_model(graph: Graph, path: Path) -> None:
    import keras

    archive = keras.export.ExportArchive()
    archive.track(graph.network)
    archive.add_endpoint(ENDPOINT, _trace(graph))
    with _quiet():
        archive.write_out(str(path), verbose=False)


def _write_onnx(graph: Graph, path: Path) -> None:
    function = _trace(graph)
    with _quiet():
        import onnx
        import tf2onnx
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        # Not tf2onnx's from_function: constants of Keras's Normalization, as in EfficientNets, would become inputs.
        frozen = convert_variables_to_constants_v2(
            function.get_concrete_function(), lower_control_flow=False, aggressive_inlining=True
        )
        # Outputs of a dict come in the order of their names.
        given, made = [t.name for t in graph.inputs], sorted(t.name for t in graph.outputs)
        names = {tensor.name: name for tensor, name in zip(frozen.inputs[: len(given)], given, strict=True)}
        results = {tensor.name: name for tensor, name in zip(frozen.outputs, made, strict=True)}
        proto, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(add_shapes=True), graph.model.zoo_name, list(names), list(results), OPSET,
            tensors_to_rename=names | results,
        )  # fmt: skip
    for described, values in ((graph.inputs, proto.graph.input), (graph.outputs, proto.graph.output)):
        shapes = {tensor.name: ("batch", *tensor.shape) for tensor in described}
        for value in values:
            for axis, (dim, size) in enumerate(zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True)):
                if isinstance(size, int):
                    dim.dim_value = size
                else:
                    dim.dim_param = size or ("batch", "rows", "cols")[axis]
    about = {"inputs": [t.to_dict() for t in graph.inputs], "outputs": [t.to_dict() for t in graph.outputs]}
    onnx.helper.set_model_props(
        proto, {"model": graph.model.zoo_name, "boundary": graph.boundary, "tensors": json.dumps(about)}
    )
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def _litert(*, int8: bool) -> Callable[[Graph, Path], None]:
    def write(graph: Graph, path: Path) -> None:
        import tensorflow as tf

        saved = path.with_name("saved_model")
        _write_saved_model(graph, saved)
        with _quiet():
            converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[ENDPOINT])
            # No operations of TensorFlow itself, which the plain runtime does not have.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            if int8:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            path.write_bytes(converter.convert())
        if int8 and not _quantised(path):
            raise InputError(
                f"no kernel of {graph.model.zoo_name} is large enough for LiteRT to quantise (1,024 numbers); leave out --int8"
            )

    return write


def _quantised(path: Path) -> int:
    """Number of int8 tensors of a LiteRT file."""
    from ai_edge_litert.interpreter import Interpreter

    return sum(tensor["dtype"] == np.int8 for tensor in Interpreter(model_path=str(path)).get_tensor_details())


def _open_onnx(path: Path) -> Runner:
    with _quiet():
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def _open_litert(path: Path) -> Runner:
    with _quiet():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=usable_cores())
        runner = interpreter.get_signature_runner(ENDPOINT)

    def run(inputs: Arrays) -> Arrays:
        with _first_quiet():
            return dict(runner(**inputs))

    # The runtime announces its delegate with the first call.
    first = [True]

    @contextmanager
    def _first_quiet() -> Iterator[None]:
        if not first:
            yield
            return
        first.clear()
        with hushed():
            yield

    return run


def _open_saved_model(path: Path) -> Runner:
    import tensorflow as tf

    with _quiet():
        loaded = tf.saved_model.load(str(path))
        serve = loaded.signatures["serving_default"]

    def run(inputs: Arrays) -> Arrays:
        found = serve(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: np.asarray(value) for name, value in found.items()}

    # What is loaded must live as long as the function.
    run.owner = loaded  # type: ignore[attr-defined]
    return run


FORMATS = {
    "onnx": Format(
        ".onnx", ("onnx", "tf2onnx", "onnxruntime"), ("tf2onnx", "onnx", "onnxruntime"), _write_onnx, _open_onnx
    ),
    "litert": Format(
        ".tflite", ("ai_edge_litert.interpreter",), ("ai-edge-litert",), _litert(int8=False), _open_litert
    ),
    "litert_int8": Format(
        "_int8.tflite", ("ai_edge_litert.interpreter",), ("ai-edge-litert",), _litert(int8=True), _open_litert
    ),
    "saved_model": Format("_saved_model", (), ("tensorflow",), _write_saved_model, _open_saved_model),
}
"""By the name of --format, with _int8 for --int8."""
