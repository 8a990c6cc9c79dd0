"""Ctrl-C that cannot get lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import keras


class Interruption(keras.callbacks.Callback):
    """Stop the training after the batch in which Ctrl-C was pressed, even where Python dropped the exception.

    An exception that a signal raises inside a destructor or a weak-reference callback is printed and forgotten, and the
    training would go on. Outside the main thread, which alone receives signals, this does nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pressed = False
        self._before: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._press)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.pressed:
            raise KeyboardInterrupt

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the signal back to whoever had it."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        if callable(self._before):
            # A search wants to know, too, whatever becomes of the exception.
            self._before(number, frame)
        raise KeyboardInterrupt
