"""Everything a killed run needs to go on as if nothing had happened."""

from __future__ import annotations

import json
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo import weights
from particle_zoo.cli import replacing
from particle_zoo.errors import InputError

CHECKPOINT = "checkpoint.npz"
"""Name of the state file in a run folder."""


def read_state(path: Path, *, variables: bool = True) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Counters and, unless they are not wanted, variables of a checkpoint.

    Raises:
        InputError: the file is damaged.
    """
    try:
        # NumPy leaves a file open that it cannot understand; this one closes with the block.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            state = json.loads(str(file["state"]))
            return state, [file[f"v{i}"] for i in range(state["variables"] if variables else 0)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}); start again with --force") from error


def earlier_seconds(folder: Path) -> float:
    """Time that earlier processes spent on the epochs of a run, those at smaller sizes of images among them.

    Args:
        folder: of the run; without a checkpoint it is 0.

    Raises:
        InputError: a checkpoint is damaged.
    """
    states = [
        read_state(path, variables=False)[0]
        for path in (*folder.glob(f"size-*/{CHECKPOINT}"), folder / CHECKPOINT)
        if path.exists()
    ]
    # Of a version that did not count there is none.
    return sum(float(state.get("seconds", 0.0)) for state in states)


class Checkpoint(keras.callbacks.Callback):
    """Write the whole training state after every epoch into one file, and keep the best weights beside it.

    `keras.callbacks.BackupAndRestore` leaves out the early-stopping counters and the best value so far, and writes
    several files that a kill can tear apart. Here one file replaces its predecessor in one step: weights, optimizer
    with its step counter (hence the schedule), seed generators, epoch, best value, early stopping, and the seconds that
    all its epochs took.

    Args:
        path: state file (.npz).
        weights_path: where the weights of the best epoch go (.weights.h5).
        monitor: logged quantity to minimise.
        stopper: the early stopping whose counters belong to the state; listed before this callback.
        spent: seconds that this process has spent on the run so far, without those of other checkpoints.
    """

    def __init__(
        self,
        path: Path,
        weights_path: Path,
        monitor: str,
        stopper: keras.callbacks.EarlyStopping | None = None,
        spent: float = 0.0,
    ) -> None:
        super().__init__()
        self.path, self.weights_path, self.monitor, self.stopper = Path(path), Path(weights_path), monitor, stopper
        self.best = float("inf")
        self.epochs_done = 0
        self.finished = False
        self.seconds = 0.0
        self._started = time.perf_counter() - spent
        self._stopper_state: dict[str, Any] | None = None

    def restore(self, model: keras.Model) -> int:
        """Put a compiled model back into the saved state; returns the number of epochs already done (0: no state).

        Raises:
            InputError: the state file is damaged or belongs to another model.
        """
        if not self.path.exists():
            return 0
        state, values = read_state(self.path)
        variables = self.variables(model)
        if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
            raise InputError(f"{self.path} belongs to another model than {model.name}; choose another --output")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.best, self.epochs_done, self.finished = state["best"], state["epochs"], state["finished"]
        self._stopper_state = state["stopper"]
        self.seconds = state.get("seconds", 0.0)
        return self.epochs_done

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # EarlyStopping has just reset itself: it stands before this callback in the list.
        if self.stopper is not None and self._stopper_state is not None:
            vars(self.stopper).update(self._stopper_state)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        value = float(logs[self.monitor])
        if not np.isfinite([value, logs["loss"]]).all():
            return
        if value < self.best or not self.weights_path.exists():
            self.best = value
            weights.save(self.model, self.weights_path)
        self.epochs_done = epoch + 1
        self.save()

    def save(self) -> None:
        """Replace the state file by the present state."""
        stopper = None
        if self.stopper is not None:
            stopper = {
                k: float(v) if k == "best" else int(v)
                for k in ("wait", "stopped_epoch", "best", "best_epoch")
                if (v := getattr(self.stopper, k, None)) is not None
            }
        variables = self.variables(self.model)
        state = {
            "epochs": self.epochs_done,
            "best": self.best,
            "finished": bool(getattr(self.model, "stop_training", False)) or self.finished,
            "stopper": stopper,
            "seconds": round(self.seconds + time.perf_counter() - self._started, 1),
            "variables": len(variables),
        }
        arrays = {f"v{i}": keras.ops.convert_to_numpy(v.value) for i, v in enumerate(variables)}
        with replacing(self.path) as temporary:
            np.savez(temporary, state=np.array(json.dumps(state)), **arrays)

    @staticmethod
    def variables(model: keras.Model) -> list[Any]:
        """What a training of a compiled model changes: weights, seed generators and the optimizer's variables."""
        metrics = {id(v) for v in model.metrics_variables}
        own = [v for v in model.variables if id(v) not in metrics]
        return own + list(model.optimizer.variables)
