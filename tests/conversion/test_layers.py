"""Layers of state dicts that are not whole."""

from __future__ import annotations

import numpy as np
import pytest

from particle_zoo import InputError
from particle_zoo.conversion.layers import layers_of


def test_a_bias_without_its_weight_is_refused() -> None:
    with pytest.raises(InputError, match="en1 has a bias and no weight; save the whole state dict again"):
        layers_of({"en1.bias": np.ones(3)})
