from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers import FORMATS, iter_parts, pixet
from particle_zoo.detectors.readers.format import find
from particle_zoo.detectors.writers import write

fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Blocks as Pixet 1.4.7 writes them, with its decimal comma.
BLOCKS = """"Acq time" ("Acquisition time [s]"):
double[1]
0,250000 

"ChipboardID" ("Chipboard ID"):
char[9]
D03-W0005

"HV" ("High voltage [V]"):
double[1]
100,000000 

"Mpx type" ("Medipix type (1-MXR, 2-TPX, 3-MPX3, 4-TPX3)"):
i32[1]
4 

"Start time" ("Acquisition start time"):
double[1]
1486369851,802208 

"Threshold" ("Threshold [keV]"):
double[1]
85,695970 

"""


def described(path: Path, *types: str, blocks: str = "", end: str = "\n") -> None:
    frames = "\n".join(f"[F{i}]\nType={kind} width=256 height=256\n{blocks}" for i, kind in enumerate(types))
    text = f"A{len(types):09d}\n{frames}"
    path.with_name(path.name + ".dsc").write_bytes(text.replace("\n", end).encode())


def matrix(*images: dict[tuple[int, int], float], side: int = 256) -> str:
    lines = []
    for image in images:
        for row in range(side):
            lines.append(" ".join(str(image.get((row, col), 0)) for col in range(side)) + " \n")
    return "".join(lines)


def frames(path: Path, **options: object) -> Frames:
    parts = list(iter_parts(path, **options))
    return Frames.concat(part for part in parts if isinstance(part, Frames))


def pixels(found: Frames) -> list[list[tuple[float, ...]]]:
    return [
        list(zip(f.row.tolist(), f.col.tolist(), f.energy.tolist(), strict=True))
        for f in map(found.__getitem__, range(len(found)))
    ]


def assert_same(found: Frames, expected: Frames) -> None:
    assert (found.shape, found.unit, found.offsets.tolist()) == (
        expected.shape,
        expected.unit,
        expected.offsets.tolist(),
    )
    order = np.lexsort((expected.col, expected.row, expected.pixel_frame))
    for name in ("row", "col", "energy", "toa"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            ours = ours[np.lexsort((found.col, found.row, found.pixel_frame))]
            np.testing.assert_array_equal(ours, theirs[order], name)


def example(n: int = 4, seed: int = 0, unit: str = "ToT") -> Frames:
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 1000, (n, 256, 256)) * (rng.random((n, 256, 256)) < 0.002)
    if n > 2:
        images[1] = 0
    images[0, 0, 0] = images[-1, 255, 255] = 7
    table = pd.DataFrame({"frame": range(n), "start_s": 1.5e9 + 0.1 * np.arange(n), "duration_s": 0.1, "hv_v": 70.0})
    return Frames.from_dense(images / (3 if unit == "keV" else 1), unit=unit, table=table)


# Golden values -----------------------------------------------------------------------------------------------------


def test_a_matrix_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(matrix({(0, 1): 5, (3, 255): 9, (255, 0): 1}))
    found = frames(path)
    assert pixels(found) == [[(0, 1, 5), (3, 255, 9), (255, 0, 1)]]
    assert (found.unit, found.shape, found.energy.dtype) == ("ToT", (256, 256), np.float32)
    assert found.table is not None
    assert found.table.to_dict("records") == [{"frame": 0, "source": "a.txt"}]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_stacked_matrices_with_their_description(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.pmf"
    path.write_bytes(matrix({(0, 1): 5}, {}, {(9, 9): 3}).replace("\n", end).encode())
    assert path.stat().st_size == 3 * 256 * (512 + len(end))
    described(path, *["i16 matrix"] * 3, blocks=BLOCKS, end=end)
    found = frames(path, block=2)
    assert pixels(found) == [[(0, 1, 5)], [], [(9, 9, 3)]]
    assert found.table is not None
    assert found.table["frame"].tolist() == [0, 1, 2]
    first = found.table.iloc[0].drop("clock_mhz").to_dict()
    assert first == {
        "frame": 0, "start_s": 1486369851.802208, "duration_s": 0.25, "threshold_kev": 85.69597, "hv_v": 100.0,
        "chip_type": "TPX3", "chip_id": "D03-W0005", "source": "a.pmf",
    }  # fmt: skip


def test_the_description_gives_the_shape(tmp_path: Path) -> None:
    path = tmp_path / "a.pmf"
    path.write_text("".join("1 " + "0 " * 511 + "\n" for _ in range(256)))
    (tmp_path / "a.pmf.dsc").write_text("A000000001\n[F0]\nType=i16 matrix width=512 height=256\n")
    found = frames(path)
    assert (found.shape, len(found.row), found.col.max()) == ((256, 512), 256, 0)


def test_the_legend_of_the_file_says_what_a_chip_type_means(tmp_path: Path) -> None:
    """Pixelman counts 1 MPX2.1, 2 MXR, 3 TPX; Pixet 1 MXR, 2 TPX, 3 MPX3."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"1\t2\t3\r\n")
    described(path, "i16 [X,Y,C]", blocks='"Mpx type" ("Medipix type (1-2.1, 2-MXR, 3-TPX)"):\ni32[1]\n3 \n\n')
    found = frames(path)
    assert found.table is not None
    assert found.table["chip_type"].tolist() == ["TPX"]


def test_sparse_frames_end_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("258\t12\n0\t3\n#\n#\n65535\t1\n#\n")
    assert pixels(frames(path)) == [[(1, 2, 12), (0, 0, 3)], [], [(255, 255, 1)]]


def test_lists_of_x_y_and_value(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"24\t9\t60\r\n25\t9\t27\r\n")
    assert pixels(frames(path)) == [[(9, 24, 60), (9, 25, 27)]]
    path.write_bytes(b"24\t9\t60\r\n#\r\n25\t9\t27\r\n#\r\n")
    described(path, "i16 [X,Y,C]", "i16 [X,Y,C]")
    assert pixels(frames(path)) == [[(9, 24, 60)], [(9, 25, 27)]]


def test_a_frame_without_hits_is_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"")
    described(path, "i16 [X,Y,C]")
    assert pixels(frames(path)) == [[]]


def test_packed_timepix3_values(tmp_path: Path) -> None:
    path = tmp_path / "a.pmf"
    path.write_text(matrix({(5, 6): 0x1B01B074, (7, 8): 1}))
    described(path, "u64 matrix", blocks=BLOCKS)
    with pytest.raises(InputError, match=r"mode='toa\+tot' or mode='event\+itot'"):
        frames(path)
    found = frames(path, mode="toa+tot")
    assert found.energy.tolist() == [6, 0]
    assert found.toa is not None
    assert found.toa.tolist() == [16 * 12404 - 27, 16]
    path.write_text(matrix({(5, 6): 0x3C8109}))
    itot = frames(path, mode="event+itot")
    assert (itot.energy.tolist(), itot.toa) == ([265], None)
    assert 0x3C8109 >> 14 == 242


@pytest.mark.parametrize(("text", "energy"), [("ToA+ToT", 6), ("Event+iToT", 0x1B01B074 & 0x3FFF)])
def test_the_mode_is_taken_from_the_description(tmp_path: Path, text: str, energy: int) -> None:
    path = tmp_path / "a.pmf"
    path.write_text(matrix({(5, 6): 0x1B01B074}))
    described(path, "u64 matrix", blocks=f'"Operation mode" ("Mode"):\nchar[9]\n{text}\n\n')
    assert frames(path).energy.tolist() == [energy]


def test_values_too_large_for_tot_are_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.pmf"
    path.write_text(matrix({(5, 6): 0x1B01B074}))
    with pytest.raises(InputError, match="row 5, column 6: 453095540 is more ToT than a pixel counts"):
        frames(path)
    assert frames(path, mode="plain").energy.tolist() == [0x1B01B074]
    assert frames(path, mode="toa+tot").energy.tolist() == [6]


def test_energies_in_kev(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(matrix({(1, 2): 12.34}))
    with pytest.raises(InputError, match="unit='keV'"):
        frames(path)
    assert pixels(frames(path, unit="keV")) == [[(1, 2, 12.34)]]
    path = path.rename(tmp_path / "17_fullres.txt")
    assert (frames(path).unit, frames(path).energy.tolist()) == ("keV", [12.34])


@given(st.lists(st.one_of(st.floats(-1e20, 1e20), st.integers(0, 2**60), st.decimals(0, 1e9, places=4)), min_size=1))
@fuzzed
def test_a_matrix_rounds_as_python_does(tmp_path: Path, values: list[object]) -> None:
    image = {(i // 64, i % 64): value for i, value in enumerate(values)}
    path = tmp_path / "a.txt"
    path.write_text(matrix(image, side=64))
    found = frames(path, unit="keV")
    expected = np.zeros((64, 64))
    for pixel, value in image.items():
        expected[pixel] = float(str(value))
    np.testing.assert_array_equal(found.dense()[0], expected)


def test_a_gzipped_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pmf"
    path.write_bytes(gzip.compress(matrix({(1, 2): 3}).encode()))
    assert pixels(frames(path)) == [[(1, 2, 3)]]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"a\.pmf"):
        frames(path)


@pytest.mark.real_data
def test_real_lists(real_data: Path) -> None:
    counts = {}
    for path in sorted((real_data / "timepix1" / "asciixyc").glob("*.txt")):
        found = frames(path)
        counts[path.name] = len(found.row)
        assert found.table is not None
        row = found.table.iloc[0]
        assert (row["chip_type"], row["hv_v"], row["duration_s"], row["chip_id"]) == ("TPX", 18, 1, "B06-W0212")
        assert row["start_s"] == pytest.approx(1371575426, abs=5)
        assert 500 < found.energy.max() < 700
    assert counts == {f"data00{i}.txt": n for i, n in enumerate([735, 699, 562, 817, 804])}


# Which text is it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        (matrix({}), "matrix"),
        (matrix({(0, 0): 12.5}, side=64), "matrix"),
        (matrix({}).replace(" \n", "\n"), "matrix"),
        ("0 " * 63 + "\n", None),
        ("5\t3\n", "sparse"),
        ("#\n#\n5\t3\n#\n", "sparse"),
        ("5\t6\t3\r\n", "xyC"),
        ("5\t6\t3\t4\n", None),
        ("5 3\n", None),
        ("100\t2\t3\t4\n200\t2\t3\t4\n", None),
        ("123.5 3 0 0\n", None),
        ("10 20 1.5 30.1\n11 20 1.5 30.1\n#\n", None),
        ("# Allpix Squared ASCII data\n=== 1 ===\n", None),
        ("=== 1 ===\n--- detector ---\n", None),
        ("DetectorID\tEventID\tX\n\t\tpx\n0\t1\t2\n", None),
        ("Index\tMatrix Index\tToA\tToT\tFToA\tOverflow\n0\t5\t10\t3\t0\t0\n", None),
        ("Image number: 46752\n", None),
        ("0,1,2\n", None),
    ],
)
def test_recogniser(tmp_path: Path, text: str, layout: str | None) -> None:
    assert pixet.recognised(text.encode()[:4096]) == layout
    (tmp_path / "f.dat").write_text(text)
    if layout:
        assert find(tmp_path / "f.dat", FORMATS).name == "Pixet frames"


# Writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.pmf"])
@pytest.mark.parametrize("layout", ["matrix", "sparse", "xyC"])
@pytest.mark.parametrize(("n", "unit"), [(4, "ToT"), (1, "ToT"), (2, "keV")])
def test_round_trip_with_description(tmp_path: Path, name: str, layout: str, n: int, unit: str) -> None:
    sent = example(n, unit=unit)
    path = write(tmp_path / name, sent, layout=layout)
    back = frames(path)
    assert_same(back, sent)
    assert back.table is not None
    assert sent.table is not None
    for column in ("start_s", "duration_s", "hv_v"):
        assert back.table[column].tolist() == sent.table[column].tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == [name, f"{name}.dsc"] + [f"{name}.idx"] * (n > 1)


def test_layout_of_the_files(tmp_path: Path) -> None:
    """Facts of files of Pixet 1.4.7: 131,072 bytes an empty frame, records at the blank line before [Fn]."""
    path = write(tmp_path / "a.pmf", Frames.from_dense(np.zeros((250, 256, 256), np.int16)))
    data, text = path.read_bytes(), (tmp_path / "a.pmf.dsc").read_bytes()
    assert len(data) == 250 * 131_072
    assert text.startswith(b"A000000250\n[F0]\nType=i16 matrix width=256 height=256\n\n[F1]\n")
    records = np.fromfile(tmp_path / "a.pmf.idx", "<i8").reshape(-1, 3)
    assert len(records) == 249
    assert records[:, 1].tolist() == [i * 131_072 for i in range(1, 250)]
    for i, offset in enumerate(records[:, 0].tolist(), start=1):
        assert text[offset:].startswith(b"\n[F%d]\n" % i)
    assert not records[:, 2].any()


hit = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 1023), st.integers(1, 16 * 0x3FFF))


@given(st.lists(st.lists(hit, max_size=8, unique_by=lambda h: h[:2]), min_size=1, max_size=4))
@fuzzed
def test_packed_round_trip(tmp_path: Path, lists: list[list[tuple[int, ...]]]) -> None:
    rows = np.array([h for part in lists for h in part], np.int64).reshape(-1, 4)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in lists])])
    sent = Frames(rows[:, 0], rows[:, 1], rows[:, 2], offsets, (256, 256), toa=rows[:, 3])
    path = write(tmp_path / "a.txt", sent, layout="sparse")
    assert b"u64" in (tmp_path / "a.txt.dsc").read_bytes()
    assert_same(frames(path), sent)


@given(st.lists(st.floats(2**-20, 2**23, width=32), min_size=1, max_size=20))
@fuzzed
def test_any_energy_comes_back(tmp_path: Path, values: list[float]) -> None:
    n = len(values)
    sent = Frames(np.arange(n), np.arange(n), np.array(values, np.float32), [0, n], (256, 256), unit="keV")
    for layout in ("sparse", "xyC"):
        assert_same(frames(write(tmp_path / "a.txt", sent, layout=layout), unit="keV"), sent)
