"""`--tensorboard`: losses and metrics of every epoch as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from particle_zoo.errors import InputError

FOLDER = "tensorboard"
"""Name of their folder in a run folder."""


class Scalars(keras.callbacks.Callback):
    """Write the values of every epoch into `tensorboard/` of a run folder, under any backend.

    Names and folders are those of `keras.callbacks.TensorBoard`: `train/` and `validation/` with `epoch_loss` and so on,
    so that both lie in one diagram, and the learning rate. That callback itself takes TensorFlow beside TensorBoard; this
    one the writer of TensorBoard alone. A resumed run goes on in a further file, at the epoch it had reached.

    Args:
        folder: run folder.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise InputError(
                f"--tensorboard takes the package tensorboard, which cannot be imported ({error}); "
                "install it with: pip install 'particle-zoo[tensorboard]'"
            ) from error
        self.folder = folder / FOLDER
        self._make = Writer
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {**(logs or {}), "learning_rate": keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)}
        for name, value in values.items():
            part = "validation" if name.startswith("val_") else "train"
            self._writer(part).add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        for writer in self._writers.values():
            # Otherwise it waits for two minutes, and a killed run would have none of it.
            writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def describe(self) -> str:
        """How to look at them."""
        return f"curves: tensorboard --logdir {self.folder}"

    def _writer(self, part: str) -> Any:
        # Not before there is something to write: a run without validation has no such curve.
        if part not in self._writers:
            self._writers[part] = self._make(str(self.folder / part))
        return self._writers[part]
