"""Ways to store jets: rounding, and when a decoder is paid back."""

from __future__ import annotations

import numpy as np
import pytest

from particle_zoo.evaluation.jets.rivals import FITTED_MASS, rivals
from particle_zoo.evaluation.jets.scores import mean_square
from particle_zoo.evaluation.jets.storage import Way, _dropped, cut, payback
from particle_zoo.jets import FOUR_MOMENTUM
from particle_zoo.pipelines.jets import JetPreprocessor
from particle_zoo.simulation.jets import generate


def test_cutting_mantissas_rounds() -> None:
    values = np.float32([1.0, -1.3, 0.0, 1e38, 7.123e-12])
    for bits in range(24):
        found = cut(values, bits)
        np.testing.assert_allclose(found, values, rtol=2.0 ** -(bits + 1))
        assert not (found.view(np.uint32) & np.uint32((1 << (23 - bits)) - 1)).any()
    np.testing.assert_array_equal(cut(values, 23), values)


def test_dropping_e_loses_what_evaluate_says() -> None:
    jets = generate(5_000, 3).select(FOUR_MOMENTUM)
    raw, preprocessor = jets.values.astype(np.float32), JetPreprocessor().fit(jets)
    name, pack, unpack = _dropped(raw, preprocessor)
    found = preprocessor.normalise(unpack(pack()).astype(np.float64))
    expected = rivals(jets, jets, preprocessor, 3)[FITTED_MASS]
    true = preprocessor.normalise(jets.values)
    assert mean_square(true, found) == pytest.approx(mean_square(true, expected), rel=0.01)
    assert name == "drop E (one m / pt instead), parquet"
    # Energies below the momentum have no mass, and stop nothing.
    raw[:, FOUR_MOMENTUM.index("E")] *= 0.9
    assert np.isfinite(_dropped(raw, preprocessor)[2](pack())).all()


def test_a_decoder_is_paid_back_only_by_what_is_smaller() -> None:
    ours = Way("net", "model", 10.0, 1.6, mse=1e-4)
    lossless, lossy = Way("zstd", "rival", 14.0, 1.1), Way("float16", "rival", 6.0, 2.7, mse=1e-8)
    worse, unable = Way("bad", "rival", 1.0, 16.0, mse=1e-2), Way("none", "rival", np.nan, np.nan, mse=0.0)
    found = payback([ours, lossless, lossy, worse, unable], ours, 1001)
    assert found["lossless"] == {"name": "zstd", "bytes_per_jet": 14.0, "jets": 251}
    assert found["equal_error"] == {"name": "float16", "bytes_per_jet": 6.0, "jets": None}
