"""What a training leaves behind in Keras and TensorFlow, and how to give it back."""

from __future__ import annotations

import keras


def free_memory() -> None:
    """Give back what the trainings of this process have left; none of their models may be trained any more.

    `keras.utils.clear_session` alone gives little back under TensorFlow: two global registers keep what batches were made
    with and the graphs of the training steps, and with them all inputs, weights and the state of the optimizer
    (tf-keras issue 286).
    """
    if keras.backend.backend() == "tensorflow":
        _clear_registers()
    keras.utils.clear_session(free_memory=True)


def _clear_registers() -> None:
    """Forget Python functions that graphs call, and gradients that were defined while the steps were traced."""
    import tensorflow as tf
    from tensorflow.python.framework import ops

    # Neither is public. Where another TensorFlow has other names there is nothing to clear, and memory grows.
    getattr(tf.compat.v1.get_default_graph(), "_py_funcs_used_in_graph", []).clear()
    gradients = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    for name in [name for name in gradients if name.startswith("CustomGradient-")]:
        del gradients[name]
