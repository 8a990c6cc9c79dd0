from __future__ import annotations

import signal
import weakref
from typing import Any

import keras
import pytest

from particle_zoo import Clusters, registry
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
