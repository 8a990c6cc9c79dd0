from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from particle_zoo import InputError
from particle_zoo.detectors.camera import CameraFrames, open_frames
from tests.detectors.camera.camera_files import asymmetric, write_his


@given(st.integers(-15, 15), st.integers(-15, 15), st.integers(-3, 3).filter(bool), st.integers(1, 13))
def test_slices_and_chunks_select_as_arrays_do(start: int, stop: int, step: int, chunk: int) -> None:
    images = asymmetric(12)
    frames = CameraFrames.from_array(images)[start:stop:step]
    expected = images[start:stop:step]
    assert isinstance(frames, CameraFrames)
    assert frames.shape == expected.shape
    parts = list(frames.chunks(chunk))
    assert [len(part) for part in parts] == [min(chunk, len(expected) - i) for i in range(0, len(expected), chunk)]
    assert_array_equal(np.concatenate([np.empty((0, 5, 7), np.uint16), *parts]), expected)
    assert frames.table["frame"].tolist() == list(range(12))[start:stop:step]


def test_masks_and_integer_arrays() -> None:
    images = asymmetric(4)
    frames = CameraFrames.from_array(images)
    assert_array_equal(np.stack(list(frames[np.array([False, True, False, True])])), images[[1, 3]])
    assert_array_equal(np.stack(list(frames[[3, 3, 0]])), images[[3, 3, 0]])
    assert len(frames[[]]) == 0
    with pytest.raises(IndexError):
        frames[4]
    with pytest.raises(IndexError):
        frames[[4]]
    with pytest.raises(IndexError):
        frames[np.array([True, False])]


def test_joining_keeps_order_and_columns() -> None:
    images = asymmetric()
    one = CameraFrames.from_array(images, source="a", table=pd.DataFrame({"exposure_s": [0.1, 0.2, 0.3]}))
    two = CameraFrames.from_array(images[::-1], source="b")
    joined = CameraFrames.concat([two[1:], one[::-1]])
    assert_array_equal(np.stack(list(joined)), np.concatenate([images[::-1][1:], images[::-1]]))
    assert joined.source == ("b", "a")
    assert joined.table["frame"].tolist() == [1, 2, 2, 1, 0]
    assert joined.table["exposure_s"].tolist()[2:] == [0.3, 0.2, 0.1]
    with pytest.raises(InputError, match="nothing to join"):
        CameraFrames.concat([])
    with pytest.raises(InputError, match=r"b has frames of 7 x 5 px, a of 5 x 7 px"):
        CameraFrames.concat([one, CameraFrames.from_array(asymmetric(2, (7, 5)), source="b")])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((0, 2, 2)), "holds no frame"),
        (np.zeros((2, 0, 2)), "0 x 2 px"),
        (np.full((1, 2, 2), -1), r"array, frame 0: pixel \(row 0, col 0\) is -1"),
        (np.array([[[1, 2], [3, np.nan]]]), r"pixel \(row 1, col 1\) is nan"),
    ],
)
def test_arrays_that_are_no_frames(images: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CameraFrames.from_array(images)


def test_tables_of_another_length() -> None:
    with pytest.raises(InputError, match="3 frames, 2 rows"):
        CameraFrames.from_array(asymmetric(), table=pd.DataFrame({"t": [1, 2]}))


def test_frames_cannot_be_exchanged() -> None:
    frames = CameraFrames.from_array(asymmetric())
    with pytest.raises(AttributeError):
        frames.sources = ()  # type: ignore[misc]
    frames[0][:] = 0
    assert_array_equal(frames[0], asymmetric()[0])


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_impossible_chunks(n: Any) -> None:
    with pytest.raises(InputError, match="whole number of 1 or more"):
        next(CameraFrames.from_array(asymmetric()).chunks(n))


def test_memory_is_that_of_a_chunk(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 1000, (40, 128, 256)).astype(np.uint16)
    frames = open_frames(write_his(tmp_path / "a.his", images))
    total = images.nbytes
    del images
    tracemalloc.start()
    assert sum(len(part) for part in frames.chunks(4)) == 40
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < total / 3


def test_a_run_left_half_read_closes_its_file(tmp_path: Path) -> None:
    """An open file would warn when it is collected, which is an error here."""
    frames = open_frames(write_his(tmp_path / "a.his", asymmetric()))
    next(iter(frames))
    chunks = frames.chunks(1)
    next(chunks)
    del chunks
    (tmp_path / "a.his").unlink()
    with pytest.raises(InputError, match=r"a\.his"):
        frames[0]


def test_what_a_run_says_of_itself(tmp_path: Path) -> None:
    frames = open_frames(write_his(tmp_path / "a.his", asymmetric()))
    assert repr(frames) == "CameraFrames(3 frames of 5 x 7 px from a.his)"
    assert len(frames[5:]) == 0
    assert len(frames[5:].table) == 0
