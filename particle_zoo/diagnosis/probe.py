"""Import Keras, its backend and the zoo, list the devices and train one step; run by `child.ask`, since any of it may crash."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

from particle_zoo.diagnosis.child import say


def main() -> None:
    """Say what works, stage by stage."""
    # Only looking: a training beside this one keeps its memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        say(stage="importing Keras with this backend")
        started = time.perf_counter()
        import keras

        say(keras_file=keras.__file__, import_seconds=round(time.perf_counter() - started, 1))
        say(stage="importing particle-zoo")
        # Brings what a training needs besides.
        from particle_zoo.data import load  # noqa: F401
        from particle_zoo.training import session  # noqa: F401

        say(stage="looking for devices")
        say(**DEVICES[keras.backend.backend()]())
        say(stage="training one step")
        started = time.perf_counter()
        say(**_train(), step_seconds=round(time.perf_counter() - started, 1))
    # Whatever is wrong with an installation is what was asked for.
    except Exception as error:
        say(error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", culprit=_culprit(error))
        sys.exit(1)


def _culprit(error: Exception) -> str:
    """The installed package in whose files an error came about; "" if it was in none."""
    packages = metadata.packages_distributions()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        for entry in filter(None, sys.path):
            if Path(frame.filename).is_relative_to(entry):
                # A module may lie in the folder itself.
                name = Path(frame.filename).relative_to(entry).parts[0].removesuffix(".py")
                if found := packages.get(name):
                    return found[0]
    return ""


def _tensorflow() -> dict[str, Any]:
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
        details = tf.config.experimental.get_device_details(device)
        capability = ".".join(map(str, details.get("compute_capability", ())))
        found.append({"name": details.get("device_name", device.name), "capability": capability})
    build = tf.sysconfig.get_build_info()
    kept = ("is_cuda_build", "is_rocm_build", "cuda_version", "cudnn_version", "cuda_compute_capabilities")
    return {"gpus": found, "build": {key: build[key] for key in kept if key in build}}


def _jax() -> dict[str, Any]:
    import jax

    found = []
    for device in jax.devices():
        if device.platform != "cpu":
            limit = (device.memory_stats() or {}).get("bytes_limit", 0)
            capability = str(getattr(device, "compute_capability", ""))
            found.append({"name": device.device_kind, "capability": capability, "memory_gb": round(limit / 1e9, 1)})
    return {"gpus": found, "build": {}}


def _torch() -> dict[str, Any]:
    import torch

    found = []
    for number in range(torch.cuda.device_count()):
        of = torch.cuda.get_device_properties(number)
        # An AMD card has numbers of its own there.
        capability = "" if torch.version.hip else f"{of.major}.{of.minor}"
        found.append({"name": of.name, "capability": capability, "memory_gb": round(of.total_memory / 1e9, 1)})
    if torch.backends.mps.is_available():
        found.append({"name": f"Apple {platform.processor()} (mps)", "capability": ""})
    return {"gpus": found, "build": {"is_cuda_build": bool(torch.version.cuda), "cuda_version": torch.version.cuda}}


DEVICES = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


def _train() -> dict[str, Any]:
    """One step of a small convolution, which is what needs cuDNN."""
    import keras
    import numpy as np

    model = keras.Sequential([
        keras.Input((16, 16, 1)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(1)
    ])  # fmt: skip
    model.compile("adam", "mse")
    loss = float(model.train_on_batch(np.ones((8, 16, 16, 1), "float32"), np.ones((8, 1), "float32")))
    if not np.isfinite(loss):
        raise ArithmeticError(f"the loss of a small convolution is {loss}")
    return {"loss": loss, "xla": bool(model.jit_compile), "keras": keras.__version__}


if __name__ == "__main__":
    main()
