from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Frames, InputError


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.int16, np.float32, np.float64, np.dtype(">i2")]))
def test_dense_images_come_back(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    images = np.where(rng.random((3, 5, 4)) < 0.3, rng.integers(1, 100, (3, 5, 4)), 0).astype(dtype)
    frames = Frames.from_dense(images)
    np.testing.assert_array_equal(frames.dense(), images)
    np.testing.assert_array_equal(frames.image(), images.sum(0, dtype=float))
    assert len(frames) == 3


def test_selection_and_joining() -> None:
    images = np.arange(2 * 3 * 2).reshape(2, 3, 2)
    frames = Frames.from_dense(images)
    np.testing.assert_array_equal(Frames.concat([frames[1], frames[:1]]).dense(), images[::-1])
    np.testing.assert_array_equal(frames[np.array([False, True])].dense(), images[1:])
    assert frames[1].table is not None
    assert frames[1].table["frame"].tolist() == [1]
    timed = Frames([0], [0], [1], [0, 1], (3, 2), toa=np.array([5]))
    assert timed[0].toa is not None
    with pytest.raises(InputError, match="cannot join"):
        Frames.concat([frames, timed])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([4], [0], [1], [0, 1], (4, 4)), "have no row 4"),
        (([0], [-1], [1], [0, 1], (4, 4)), "have no col -1"),
        (([0], [0, 1], [1], [0, 1], (4, 4)), r"col \(2,\)"),
        (([0], [0], [1], [0, 2], (4, 4)), "0 to the 1 pixels"),
        (([0, 0], [0, 1], [1, 1], [0, 2, 1, 2], (4, 4)), "must not fall"),
        (([0], [0], [1], [0, 1], (4, 4), None, "counts"), "ToT, keV, ADU"),
        (([0], [0], [1], [0, 1], (4, 4), None, "ToT", np.zeros(1)), "int64"),
    ],
)
def test_parts_that_contradict_each_other(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Frames(*arguments)  # type: ignore[arg-type]


def test_images_that_are_none() -> None:
    with pytest.raises(InputError, match="rows and columns"):
        Frames.from_dense(np.zeros(3))
    with pytest.raises(InputError, match="NaN"):
        Frames.from_dense(np.full((1, 2, 2), np.nan))
