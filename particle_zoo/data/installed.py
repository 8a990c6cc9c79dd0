"""What is installed to prepare and read data sets with."""

from __future__ import annotations

import importlib.util


def tfds_usable() -> bool:
    """Whether TFDS is installed, and TensorFlow, without which it writes and reads nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("tensorflow", "tensorflow_datasets"))
