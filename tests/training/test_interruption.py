from __future__ import annotations

import signal
import weakref
from pathlib import Path
from typing import Any

import keras
import pytest

from particle_zoo import Clusters, InputError, registry
from particle_zoo.training.fit import fit
from particle_zoo.training.session import build


class _Dropped(keras.callbacks.Callback):
    """Press Ctrl-C inside a destructor, where Python prints and forgets the exception."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        class Doomed:
            pass

        doomed = Doomed()
        weakref.finalize(doomed, signal.raise_signal, signal.SIGINT)
        del doomed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_python_drops_still_stops_the_training(simulated: Clusters) -> None:
    before = signal.getsignal(signal.SIGINT)
    model = build(
        registry.info("tiny_vae"), registry.config_class("tiny_vae")(epochs=500).model_dump(), simulated, None, seed=0
    )
    with pytest.raises(KeyboardInterrupt):
        fit(model, simulated, None, classes=None, callbacks=[_Dropped()])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_validation_loss_that_is_never_a_number_is_an_error(simulated: Clusters, tmp_path: Path) -> None:
    class Lost(keras.callbacks.Callback):
        """As an overflow at inference alone would have it."""

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            assert logs is not None
            logs["val_loss"] = float("nan")

    model = build(
        registry.info("tiny_vae"), registry.config_class("tiny_vae")(epochs=1).model_dump(), simulated, None, seed=0
    )
    with pytest.raises(InputError, match=r"the validation loss was nan after every epoch, although the loss is [0-9]"):
        fit(model, simulated, simulated[:20], classes=None, folder=tmp_path, callbacks=[Lost()])
