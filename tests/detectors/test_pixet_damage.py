"""Damaged and hostile Pixet files: one sentence each, bounded memory."""

from __future__ import annotations

import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers import iter_parts, pixet
from particle_zoo.detectors.readers.pixet_text import iter_lists
from particle_zoo.detectors.writers import write
from tests.detectors.test_pixet import described, example, frames, matrix

fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (example(2, unit="keV"), {"layout": "csv"}, "layout must be one of"),
        (Frames([0], [0], [1.5], [0, 1], (256, 256)), {}, "whole counts"),
        (Frames([0], [0], [2000], [0, 1], (256, 256), toa=[5]), {}, "ToT to 1023"),
        (Frames([0], [0], [1], [0, 1], (256, 256), toa=[16 * 0x4000]), {}, "ToT to 1023"),
        ([example(1), example(1, unit="keV")], {}, "one kind of frames"),
        ([], {}, "no frames to write"),
        (Clusters.from_list([[(1, 2, 3.0)]]), {}, "holds frames"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path: Path, data: object, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write(tmp_path / "a.pmf", data, **options)
    assert not list(tmp_path.iterdir())


# Damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "types", "message"),
    [
        (matrix({})[: -2 * 513], ["i16 matrix"], "stops in row 253 of 256 of frame 0"),
        (matrix({}), ["i16 matrix"] * 2, "holds 1 frames, its .dsc announces 2"),
        (matrix({}, {}), ["i16 matrix"], "more frames than the 1"),
        (matrix({}), ["i16 [X,Y,C]"], r"matrix text, its .dsc says \[X,Y,C\]"),
        ("1\t2\t3\n", ["i16 matrix"], "xyC text, its .dsc says matrix"),
        (matrix({(7, 7): "x"}), [], "row 8 of the matrices: b'x' is no number"),
        (matrix({(7, 7): "1 1"}), [], "row 8 of the matrices: expected 256 values, received 257"),
        (matrix({(7, 7): "nan"}), [], "row 8 of the matrices: b'nan' is no number"),
        (matrix({(7, 7): "1_0"}), [], "row 8 of the matrices: b'1_0' is no number"),
        (matrix({(255, 255): 120})[:-3], [], "stops in row 255 of 256 of frame 0"),
        ("5\t3\t120\r\n5\t4\t12", [], "stops in the middle of its last frame"),
        (matrix({(7, 7): -3}), [], "frame 0, row 7, column 7: -3 is no count"),
        ("5\t3\n#\n6\t3\n", [], "stops in the middle of its last frame"),
        ("5\t3\n6\t1\t3\n#\n", ["i16 [X,C]"], "starts with"),
        ("5\t3\n" * 2000 + "#\n", [], "row 0, column 5 is twice"),
        ("5\t3\n65536\t1\n#\n", [], "line 2: expected a pixel from 0 to 65535"),
        ("5\t3\t1\n5\t256\t1\n", [], "line 2: expected a pixel from 0 to 255"),
        ("5\t3\t1\n1.5\t2\t1\n", [], "starts with"),
        ("\n".join(f"{i}\t1" for i in range(1000)) + "\nx\t1\n#\n", [], r"line 1001: expected 2 numbers"),
        ("\n".join(f"{i}\t1" for i in range(1000)) + "\n5#\t1\n#\n", [], r"line 1001: expected 2 numbers"),
        ("\n".join(f"{i}\t1" for i in range(1000)) + "\n\n\n#\n", [], "expected 2 numbers"),
    ],
)
def test_damaged_text(tmp_path: Path, text: str, types: list[str], message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text)
    if types:
        described(path, *types)
    with pytest.raises(InputError, match=message) as error:
        frames(path)
    assert "bad.txt" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the number of frames"),
        ("A000000001\n", "stops in the middle"),
        ("A000000001\n[F0]\n", "no Type line"),
        ("A000000001\n[F0]\nType=i16 matrix width=0 height=256\n", "line 3: expected a width and height"),
        ("A000000001\nType=i16 matrix width=256 height=256\n", r"line 2: expected \[Fn\]"),
        ("A000000001\n[F0]\nType=i16 matrix width=256 height=256\nnonsense\n", "line 4: expected a Type or"),
        ('A000000001\n[F0]\nType=i16 matrix width=256 height=256\n"HV" ("V"):\ndouble[1]\n', "in the middle"),
        ('A000000001\n[F0]\nType=i16 matrix width=256 height=256\n"HV" ("V"):\ndouble[1]\nx\n', "HV is 'x'"),
        ('A000000001\n[F0]\nType=i16 matrix width=256 height=256\n"HV" ("V"):\n100\n', r"expected type\[n\]"),
    ],
)
def test_damaged_description(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(matrix({(1, 2): 3}))
    (tmp_path / "a.txt.dsc").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        frames(path)
    assert "a.txt.dsc" in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "ADU"}, "unit must be ToT or keV"),
        ({"mode": "tot"}, "mode must be one of"),
        ({"first": -1}, "first must be at least 0"),
        ({"count": 0}, "count at least 1"),
        ({"mode": "toa+tot"}, "Type i16, which are not packed"),
        ({"threshold": 1}, "no option threshold"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        frames(write(tmp_path / "a.txt", example(2)), **options)


def test_small_pieces_give_the_same_list(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", example(9), layout="sparse")
    with path.open("rb") as file:
        small = list(iter_lists(file, path, 2, (256, 256), chunk=300))
    with path.open("rb") as file:
        whole = list(iter_lists(file, path, 2, (256, 256)))
    assert len(small) > 5
    for i in range(2):
        np.testing.assert_array_equal(
            np.concatenate([p[i] for p in small], -1), np.concatenate([p[i] for p in whole], -1)
        )


@pytest.mark.parametrize("layout", ["matrix", "sparse"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    monkeypatch.setattr(pixet, "iter_lists", partial(iter_lists, chunk=2**14))
    peaks = []
    for n in (60, 240):
        path = write(tmp_path / "a.pmf", (example(4, seed) for seed in range(n // 4)), layout=layout)
        tracemalloc.start()
        assert sum(len(part) for part in iter_parts(path, block=4)) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@given(
    st.sampled_from(["matrix", "sparse", "xyC"]),
    st.sampled_from(["", ".dsc", ".idx"]),
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), max_size=4),
)
@fuzzed
def test_fuzzed(tmp_path: Path, layout: str, where: str, cut: int, flips: list[tuple[int, int]]) -> None:
    path = write(tmp_path / "f.txt", example(3), layout=layout)
    target = tmp_path / f"f.txt{where}"
    content = bytearray(target.read_bytes())
    for position, bit in flips:
        content[position % len(content)] ^= 1 << bit
    if cut % 2:
        content = content[: cut % len(content)]
    target.write_bytes(bytes(content))
    message = ""
    try:
        assert 1 <= len(frames(path, first=1)) <= 2
    except InputError as error:
        message = str(error)
        assert "f.txt" in message
    assert "\n" not in message
