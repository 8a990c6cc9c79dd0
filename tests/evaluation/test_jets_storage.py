"""Ways to store jets: rounding, and when a decoder is paid back."""

from __future__ import annotations

import numpy as np

from particle_zoo.evaluation.jets.storage import Way, cut, payback


def test_cutting_mantissas_rounds() -> None:
    values = np.float32([1.0, -1.3, 0.0, 1e38, 7.123e-12])
    for bits in range(24):
        found = cut(values, bits)
        np.testing.assert_allclose(found, values, rtol=2.0 ** -(bits + 1))
        assert not (found.view(np.uint32) & np.uint32((1 << (23 - bits)) - 1)).any()
    np.testing.assert_array_equal(cut(values, 23), values)


def test_a_decoder_is_paid_back_only_by_what_is_smaller() -> None:
    ours = Way("net", "model", 10.0, 1.6, mse=1e-4)
    lossless, lossy = Way("zstd", "rival", 14.0, 1.1), Way("float16", "rival", 6.0, 2.7, mse=1e-8)
    worse, unable = Way("bad", "rival", 1.0, 16.0, mse=1e-2), Way("none", "rival", np.nan, np.nan, mse=0.0)
    found = payback([ours, lossless, lossy, worse, unable], ours, 1001)
    assert found["lossless"] == {"name": "zstd", "bytes_per_jet": 14.0, "jets": 251}
    assert found["equal_error"] == {"name": "float16", "bytes_per_jet": 6.0, "jets": None}
