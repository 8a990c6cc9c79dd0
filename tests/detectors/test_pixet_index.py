"""Files beside Pixet frames: descriptions (.dsc) and indices (.idx)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from particle_zoo import InputError
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.writers import write
from tests.detectors.test_pixet import assert_same, example, frames, matrix


def test_descriptions_point_to_their_data(tmp_path: Path) -> None:
    write(tmp_path / "a.pmf", example())
    for name in ("a.pmf.dsc", "a.pmf.idx"):
        with pytest.raises(InputError, match=rf"{name} describes a\.pmf; give that file"):
            frames(tmp_path / name)
    assert len(frames(tmp_path)) == 4


@pytest.mark.parametrize("name", ["a.pmf_ToA.pmf", "a.txt_Event.txt", "a.pmf_FTOA.pmf"])
def test_files_split_off_without_energies_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(matrix({(1, 1): 5}))
    with pytest.raises(InputError, match="no energies"):
        frames(tmp_path / name)
    (tmp_path / "a.pmf_ToT.pmf").write_text(matrix({(1, 1): 5}))
    assert frames(tmp_path / "a.pmf_ToT.pmf").energy.tolist() == [5]


# Some of the frames ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["matrix", "sparse", "xyC"])
@pytest.mark.parametrize("index", [True, False])
def test_any_range_of_frames(tmp_path: Path, layout: str, index: bool) -> None:
    path = write(tmp_path / "a.txt", example(7), layout=layout)
    if not index:
        (tmp_path / "a.txt.idx").unlink()
    whole = frames(path)
    for first in range(7):
        for count in (1, 2, None):
            if count and first + count > 7:
                continue
            part = frames(path, first=first, count=count, block=3)
            assert_same(part, whole[first : None if count is None else first + count])
            assert part.table is not None
            assert part.table["frame"].tolist() == list(range(first, first + (count or 7 - first)))
    for options in ({"first": 7}, {"first": 6, "count": 2}):
        with pytest.raises(InputError, match="holds 7 frames"):
            frames(path, **options)


@pytest.mark.parametrize("layout", ["matrix", "sparse"])
def test_a_wrong_index_is_never_followed(tmp_path: Path, layout: str) -> None:
    """A bit flip anywhere in an index, shifted records and another length: refused, or the frame is the right one."""
    path = write(tmp_path / "a.txt", example(5), layout=layout)
    index = tmp_path / "a.txt.idx"
    whole, content = frames(path), index.read_bytes()
    assert len(content) == 4 * 24
    line = 512 if layout == "matrix" else 8
    shifted = np.frombuffer(content, "<i8").reshape(-1, 3) + np.array([0, line, 0])
    flips = [
        content[: i // 8] + bytes([content[i // 8] ^ 1 << i % 8]) + content[i // 8 + 1 :] for i in range(0, 768, 5)
    ]
    refused = []
    for bad in [*flips, shifted.astype("<i8").tobytes(), content[:-1], content + content[:24], b""]:
        index.write_bytes(bad)
        for first in (1, 2, 4):
            try:
                assert_same(frames(path, first=first, count=1), whole[first])
            except InputError as error:
                refused.append(str(error))
    assert len(refused) > len(flips)
    assert all("a.txt.idx" in message and "remove it" in message for message in refused)
    # From the start it is not needed.
    assert_same(frames(path), whole)


def test_an_index_moved_by_a_row_or_a_frame_is_refused(tmp_path: Path) -> None:
    """Nothing beside the place shows it: every row is zeros of the same length."""
    path = write(tmp_path / "a.pmf", Frames.from_dense(np.zeros((6, 256, 256), np.int16)))
    index = tmp_path / "a.pmf.idx"
    records = np.fromfile(index, "<i8").reshape(-1, 3)
    label = len("\n[F1]\nType=i16 matrix width=256 height=256\n")
    for move in ([0, 512, 0], [0, -512, 0], [label, 0, 0], [-label, 0, 0]):
        (records + np.array(move)).tofile(index)
        for first in range(1, 6):
            with pytest.raises(InputError, match=r"a\.pmf\.idx: its record of frame \d points elsewhere"):
                frames(path, first=first, count=1)
