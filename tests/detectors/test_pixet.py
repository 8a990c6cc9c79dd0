from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Frames, InputError, read
from particle_zoo.detectors.clustering import cluster
from particle_zoo.detectors.readers import pixet
from particle_zoo.detectors.writers import write
from tests.detectors.damage import broken, damages, fuzzed, read_or_one_sentence

# As Pixet 1.4.7 writes it, with decimal commas.
DSC = """A000000002
[F0]
Type=i16 matrix width=5 height=3
"Acq Serie Index" ("Acquisition serie index"):
u32[1]
0 

"Acq time" ("Acquisition time [s]"):
double[1]
0,250000 

"ChipboardID" ("Chipboard ID"):
char[9]
D03-W0005

"DACs" ("DACs"):
u16[3]
128 8 128 

"HV" ("High voltage [V]"):
double[1]
100,000000 

"Start time" ("Acquisition start time"):
double[1]
1485952751,924687 

"Threshold" ("Threshold [keV]"):
double[1]
5.0 


[F1]
Type=i16 matrix width=5 height=3
"Start time" ("Acquisition start time"):
double[1]
1485952752,5 

"""
TWO = "1 0 0 0 0 \n0 2 0 0 0 \n0 0 0 30 0 \n0 0 0 0 0 \n0 0 5 0 0 \n0 0 0 0 0 \n"


def described(path: Path, text: str = TWO, about: str = DSC) -> Path:
    path.write_text(text)
    path.with_name(path.name + ".dsc").write_text(about)
    return path


@pytest.mark.parametrize("name", ["a.pmf", "a.txt", "noname"])
def test_matrix_with_its_description(tmp_path: Path, name: str) -> None:
    if name == "noname":
        # Five columns are no matrix by content: the name or a plain 256 x 256 says so.
        with pytest.raises(InputError, match="of no format known"):
            read(described(tmp_path / name))
        return
    frames = read(described(tmp_path / name))
    assert frames.dense().tolist() == [
        [[1, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 0, 30, 0]],
        [[0, 0, 0, 0, 0], [0, 0, 5, 0, 0], [0, 0, 0, 0, 0]],
    ]
    assert frames.unit == "ToT"
    first, second = frames.table.to_dict("records")
    assert (first["start_s"], first["duration_s"], first["threshold_kev"]) == (1485952751.924687, 0.25, 5)
    assert (first["bias_v"], first["chipboard"], second["start_s"]) == (100, "D03-W0005", 1485952752.5)
    assert frames.table["source"].tolist() == [name, name]


def test_a_matrix_of_a_chip_needs_no_description(tmp_path: Path) -> None:
    image = np.zeros((256, 256), int)
    image[3, 200], image[255, 0] = 7, 9
    text = "".join(" ".join(map(str, row)) + " \r\n" for row in image.tolist())
    for name, content in (("a.txt", text), ("no-ending", text), ("two.pmf", 2 * text)):
        (tmp_path / name).write_text(content)
        frames = read(tmp_path / name)
        assert frames.row[:2].tolist() == [3, 255]
        assert len(frames) == 1 + (name == "two.pmf")
    # keV, as VZLUSAT-1 has them.
    (tmp_path / "kev.txt").write_text(text.replace(" 7 ", " 7.25 "))
    kev = read(tmp_path / "kev.txt", unit="keV")
    assert (kev.energy[0], kev.unit) == (7.25, "keV")


def test_lists_of_pixels(tmp_path: Path) -> None:
    (tmp_path / "sparse.txt").write_text("259\t4\n65535\t1\n#\n#\n0\t9\n#\n")
    frames = read(tmp_path / "sparse.txt")
    assert frames.offsets.tolist() == [0, 2, 2, 3]
    assert list(zip(frames.row.tolist(), frames.col.tolist(), frames.energy.tolist(), strict=True)) == [
        (1, 3, 4), (255, 255, 1), (0, 0, 9),
    ]  # fmt: skip
    (tmp_path / "xyc.txt").write_bytes(b"3\t1\t4\r\n255\t0\t1\r\n")
    frames = read(tmp_path / "xyc.txt")
    assert (frames.row.tolist(), frames.col.tolist(), len(frames)) == ([1, 0], [3, 255], 1)


def test_packed_frames_of_timepix3(tmp_path: Path) -> None:
    """0x1B01B074 is FToA 27, ToT 6, ToA 12404; 0x3C8109 is 242 events, integrated ToT 265."""
    about = DSC.split("[F1]")[0].replace("A000000002", "A000000001").replace("i16", "u64")
    text = f"{0x1B01B074} 0 0 0 0 \n" + "0 0 0 0 0 \n" * 2
    frames = read(described(tmp_path / "a.pmf", text, about), mode="toa+tot")
    assert (frames.energy.tolist(), frames.toa.tolist()) == ([6], [16 * 12404 - 27])
    assert cluster(frames).column("toa").tolist() == [(16 * 12404 - 27) * 1.5625]
    events = read(described(tmp_path / "b.pmf", text.replace(str(0x1B01B074), str(0x3C8109)), about), mode="event+itot")
    assert (events.energy.tolist(), events.toa) == ([265], None)
    for options, message in (
        ({}, "say what they hold"),
        ({"mode": "event+itot"}, "more than 24 bits"),
        ({"mode": "x"}, "mode"),
    ):
        with pytest.raises(InputError, match=message):
            read(tmp_path / "a.pmf", **options)
    with pytest.raises(InputError, match="leave mode out"):
        read(described(tmp_path / "c.pmf"), mode="toa+tot")


def test_blocks_and_the_index_give_the_same_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = np.where(rng.random((9, 6, 70)) < 0.05, rng.integers(1, 999, (9, 6, 70)), 0)
    frames = Frames.from_dense(images, table=pd.DataFrame({"frame": range(9), "start_s": np.arange(9) + 0.25}))
    path = write(tmp_path / "run.pmf", frames)
    np.testing.assert_array_equal(read(path, block=700).dense(), images)
    assert len(list(pixet.iter_frames(path, block=700))) > 3
    # N frames have N - 1 records of 24 bytes; the first points at the empty line before [F1] and at frame 1.
    index = np.frombuffer((tmp_path / "run.pmf.idx").read_bytes(), "<i8").reshape(-1, 3)
    assert index.shape == (8, 3)
    assert (tmp_path / "run.pmf.dsc").read_bytes()[index[0, 0] :].startswith(b"\n[F1]")
    assert path.read_bytes()[index[3, 1] - 1 : index[3, 1]] == b"\n"
    for _ in range(2):
        part = read(path, first=4, count=3)
        np.testing.assert_array_equal(part.dense(), images[4:7])
        assert part.table["start_s"].tolist() == [4.25, 5.25, 6.25]
        (tmp_path / "run.pmf.idx").unlink(missing_ok=True)


def test_an_index_of_another_file(tmp_path: Path) -> None:
    path = write(tmp_path / "run.pmf", Frames.from_dense(np.eye(70)[None].repeat(3, 0)))
    index = tmp_path / "run.pmf.idx"
    good = np.frombuffer(index.read_bytes(), pixet.INDEX).copy()
    for change in (5, 10**9):
        good["frame"][0] = change
        index.write_bytes(good.tobytes())
        with pytest.raises(InputError, match=r"remove (it|the \.idx)"):
            read(path, first=1)
    index.write_bytes(b"short")
    with pytest.raises(InputError, match="is damaged"):
        read(path, first=1)


frames_of_pixels = st.lists(
    st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 69)), st.integers(1, 2**24), max_size=6),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize(
    ("name", "layout"), [("a.pmf", "matrix"), ("a.txt", "matrix"), ("a.txt", "sparse"), ("a.txt", "xyc")]
)
@given(found=frames_of_pixels, scale=st.sampled_from([1, 1.1]))
@fuzzed
def test_round_trip(
    tmp_path: Path, name: str, layout: str, found: list[dict[tuple[int, int], int]], scale: float
) -> None:
    images = np.zeros((len(found), 5, 70))
    for image, pixels in zip(images, found, strict=True):
        for place, value in pixels.items():
            image[place] = scale * value
    options = {} if name == "a.pmf" else {"layout": layout}
    back = read(write(tmp_path / name, Frames.from_dense(images), **options))
    np.testing.assert_array_equal(back.dense(), images)


def test_packed_round_trip(tmp_path: Path) -> None:
    frames = Frames([0, 1, 2], [3, 60, 9], [1, 1023, 40], [0, 2, 3], (5, 70), toa=np.array([0, 16 * 16383 - 15, 777]))
    back = read(write(tmp_path / "a.pmf", frames, packed=True), mode="toa+tot")
    assert (back.toa.tolist(), back.energy.tolist()) == (frames.toa.tolist(), frames.energy.tolist())
    with pytest.raises(InputError, match="have no times"):
        write(tmp_path / "b.pmf", Frames([0], [0], [1], [0, 1], (5, 70)), packed=True)
    assert not list(tmp_path.glob("*b.pmf*"))


@pytest.mark.parametrize(
    ("text", "about", "message"),
    [
        (TWO.replace("0 2 0 0 0", "0 2 0 0"), DSC, "line 2: expected 5 numbers"),
        (TWO.replace("0 2 0 0", "0 2 x 0"), DSC, "line 2: expected 5 numbers"),
        (TWO.replace("0 2 0 0", "0 -2 0 0"), DSC, "a pixel is negative"),
        (TWO[:-11], DSC, "the last frame has 2 rows of 3"),
        (TWO[:-2], DSC, "line 6: the last line has no end"),
        (2 * TWO, DSC, "more frames than the 2"),
        (TWO[: TWO.index("30") + 6], DSC, "holds 1 frames, its .dsc announces 2"),
        (TWO, DSC.replace("A000000002", "A000000003"), "announces 3 frames and describes 2"),
        (TWO, DSC.replace("[F1]", "[F2]"), "numbered up to 2"),
        (TWO, DSC.replace("Type=i16 matrix width=5", "Type=i16 matrix width=x", 1), "expected a Type line"),
        (TWO, DSC.replace("0,250000", "0,25s"), "Acq time is '0,25s '"),
        (TWO, DSC.replace("i16 matrix", "i16 [X,Y,C]"), r"is a matrix file, its .dsc says \[X,Y,C\]"),
        (TWO, "", "expected A and the number"),
    ],
)
def test_data_and_description_that_contradict_each_other(tmp_path: Path, text: str, about: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(described(tmp_path / "bad.pmf", text, about))
    assert "bad.pmf" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\n3\t4", "last line has no end"),
        ("1\t2\n#\n3\t4\n", "not closed by #"),
        ("1\t2\n65536\t4\n", "no pixel of 256 x 256 is 65536 4"),
        ("1\t2\n1\t2\t3\n", "line 2: expected 2 numbers"),
        ("1\t2\t3\n256\t0\t1\n", "no pixel of 256 x 256 is 256 0 1"),
        ("1\t2\t3\n0\t0\t-1\n", "no pixel"),
    ],
)
def test_bad_lists(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        list(pixet.iter_frames(tmp_path / "bad.txt"))


def test_companions_name_the_file_they_belong_to_and_folders_skip_them(tmp_path: Path) -> None:
    described(tmp_path / "a.pmf")
    with pytest.raises(InputError, match=r"only describes a file of frames; give a\.pmf"):
        read(tmp_path / "a.pmf.dsc")
    assert len(read(tmp_path)) == 2


@pytest.mark.parametrize("layout", ["matrix", "sparse", "xyc"])
@given(**damages)
@fuzzed
def test_fuzzed(tmp_path: Path, layout: str, cut: int, flips: list[tuple[int, int]]) -> None:
    path = tmp_path / "f.txt"
    write(path, Frames.from_dense(np.diag(np.arange(70))[:5].repeat(2, 0).reshape(2, 5, 70)), layout=layout)
    content = path.read_bytes()
    path.write_bytes(broken(content, cut, flips))
    said = read_or_one_sentence(read, path)
    lost = (cut // 2) % len(content) if cut % 2 else 0
    if lost > 2 and not flips:
        assert said, "a file without its end was taken for whole"


@given(**damages)
@fuzzed
def test_fuzzed_descriptions(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    path = described(tmp_path / "f.pmf")
    (tmp_path / "f.pmf.dsc").write_bytes(broken(DSC.encode(), cut, flips))
    read_or_one_sentence(read, path)


@pytest.mark.real_data
def test_real_frames_of_pixelman(real_data: Path) -> None:
    folder = real_data / "timepix1" / "asciixyc"
    pixels = []
    for i in range(5):
        frames = read(folder / f"data00{i}.txt")
        assert (len(frames), frames.shape, frames.table["bias_v"].tolist()) == (1, (256, 256), [18])
        assert len(frames.row) == len((folder / f"data00{i}.txt").read_text().splitlines())
        pixels.append(len(frames.row))
    whole = read(folder)
    assert pixels == [735, 699, 562, 817, 804] == np.diff(whole.offsets).tolist()
    assert np.all(np.diff(whole.table["start_s"]) > 1)
    assert len(cluster(whole)) == 199
