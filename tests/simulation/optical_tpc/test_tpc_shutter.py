from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.simulation.optical_tpc import Deposits, RollingShutter, digitise, presets

LIME = RollingShutter(300.0, 184.4, 2304)


def test_most_times_expose_part_of_the_frame() -> None:
    """2 * 184.4 of 484.4 ms, 76 %; a single row is exposed for 300 of them, 62 %."""
    rng = np.random.default_rng(1)
    times = [LIME.time_ms(rng) for _ in range(20_000)]
    assert np.mean([LIME.is_partial(t) for t in times]) == pytest.approx(0.761, abs=0.01)
    windows = np.array([LIME.exposed(t) for t in times])
    for row in (0, 700, 2303):
        seen = (windows[:, 0] <= row) & (row < windows[:, 1])
        assert seen.mean() == pytest.approx(300 / 484.4, abs=0.015)


def test_first_rows_begin_and_end_first() -> None:
    assert LIME.exposed(1.0) == (0, 13)
    assert LIME.exposed(250.0) == (0, 2304)
    first, stop = LIME.exposed(301.0)
    assert stop == 2304
    assert 0 < first < 14
    assert RollingShutter.of(presets.camera("lime")) == LIME


@given(st.floats(1, 1000), st.floats(1, 1000), st.integers(1, 5000), st.floats(0, 1))
def test_a_row_is_exposed_from_its_start_for_the_exposure(
    exposure: float, readout: float, rows: int, share: float
) -> None:
    """Row by row against the definition, also where the exposure is shorter than the readout."""
    shutter = RollingShutter(exposure, readout, rows)
    time = share * shutter.duration_ms
    first, stop = shutter.exposed(time)
    start = np.arange(rows) * readout / rows
    open_, clearly = (start <= time) & (time < start + exposure), 1e-9 * shutter.duration_ms
    sure = (np.abs(start - time) > clearly) & (np.abs(start + exposure - time) > clearly)
    mine = (np.arange(rows) >= first) & (np.arange(rows) < stop)
    np.testing.assert_array_equal(mine[sure], open_[sure])


def test_an_event_loses_the_rows_that_were_not_exposed() -> None:
    line = Deposits(np.zeros(60), np.linspace(-6, 6, 60), np.full(60, 50.0), np.full(60, 0.5))
    image = digitise(line, "lime", seed=1, shape=(200, 100))
    below = image.exposed((0, 90))
    above = image.exposed((90, 200))
    expected, drawn = below.frame()
    assert not expected[90:].any()
    assert drawn[:90].any()
    assert below.integral + above.integral == image.integral
    np.testing.assert_array_equal(below.expected + above.expected, image.expected)
    assert image.exposed((-500, 5000)).integral == image.integral
    assert image.exposed((-500, -3)).integral == 0


@pytest.mark.parametrize("values", [(0, 100, 10), (100, -1, 10), (100, 100, 0), (float("nan"), 100, 10)])
def test_impossible_shutters(values: tuple[float, float, int]) -> None:
    with pytest.raises(InputError, match="received"):
        RollingShutter(*values)
