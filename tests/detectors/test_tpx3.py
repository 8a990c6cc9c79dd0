from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Hits, InputError, read
from particle_zoo.detectors.clustering import cluster
from particle_zoo.detectors.readers import tpx3
from particle_zoo.detectors.writers import write
from tests.detectors.damage import broken, damages, fuzzed, read_or_one_sentence

# x, y, ToA, ToT, FToA, SPIDR; word; time in steps. Decoded with tpx3awkward.
GOLDEN = [
    ((0, 0, 0, 1, 0, 0), 0xB000000000100000, 0),
    ((0, 0, 1, 5, 15, 0), 0xB0000000405F0000, 1),
    ((1, 3, 100, 7, 3, 2), 0xB000701900730002, 525885),
    ((17, 200, 8135, 16, 7, 100), 0xB11947F1C1070064, 26344553),
    # tpx3awkward adds a phase to the time of this one; without it, 16 (2^30 - 1) - 15 is left.
    ((255, 255, 16383, 1023, 15, 65535), 0xBFFFFFFFFFFFFFFF, 17179869153),
]
PERIOD = 2**34
"""Steps after which a pixel's clock starts anew."""


def chunk(words: list[int], chip: int = 0) -> list[int]:
    return [(8 * len(words) << 48) | (chip << 32) | tpx3.MAGIC, *words]


def heartbeat(coarse: int) -> list[int]:
    return [(0x44 << 56) | ((coarse & 0xFFFFFFFF) << 16), (0x45 << 56) | ((coarse >> 32) << 16)]


def pixel(coarse: int, tot: int = 9, ftoa: int = 0, address: int = 0) -> int:
    spidr, toa = (coarse >> 14) & 0xFFFF, coarse & 0x3FFF
    return (0xB << 60) | (address << 44) | (toa << 30) | (tot << 20) | (ftoa << 16) | spidr


def file_of(path: Path, words: list[int]) -> Path:
    path.write_bytes(np.array(words, "<u8").tobytes())
    return path


def test_golden_words(tmp_path: Path) -> None:
    assert chunk([GOLDEN[0][1]])[0] == 0x0008000033585054
    hits = read(file_of(tmp_path / "a.tpx3", chunk([word for _, word, _ in GOLDEN])))
    for i, ((x, y, _, tot, _, _), _, ts) in enumerate(GOLDEN):
        assert (hits.col[i], hits.row[i], hits.energy[i], hits.toa[i]) == (x, y, tot, ts)
    assert (hits.toa.dtype, hits.unit, dict(hits.counts)) == (np.int64, "ToT", {})
    assert len(read(file_of(tmp_path / "renamed.dat", chunk([GOLDEN[0][1]])))) == 1


def test_layout_and_phase_of_the_columns(tmp_path: Path) -> None:
    words = [w for chip in range(4) for w in chunk([GOLDEN[2][1]], chip)]
    path = file_of(tmp_path / "a.tpx3", words)
    assert read(path).chip.tolist() == [0, 1, 2, 3]
    quad = read(path, layout="quad")
    assert list(zip(quad.col.tolist(), quad.row.tolist(), strict=True)) == [(257, 3), (510, 508), (254, 508), (1, 3)]
    assert set(quad.chip.tolist()) == {0}
    # x = 1 lies in double column 0, x = 17 in 8.
    assert read(path, column_phase=True).toa[0] == GOLDEN[2][2] + 16
    phased = read(file_of(tmp_path / "b.tpx3", chunk([GOLDEN[3][1]])), column_phase=True)
    assert phased.toa[0] == GOLDEN[3][2] + 8
    with pytest.raises(InputError, match="received chip 4"):
        read(file_of(tmp_path / "c.tpx3", chunk([GOLDEN[0][1]], 4)), layout="quad")


def test_heartbeats_carry_the_time_over_the_wraps_of_the_pixels(tmp_path: Path) -> None:
    truth = [5 * tpx3.COARSE - 100, 5 * tpx3.COARSE - 1, 5 * tpx3.COARSE + 3, 5 * tpx3.COARSE - 2, 9 * tpx3.COARSE + 7]
    words = [
        *chunk([pixel(truth[0]), *heartbeat(5 * tpx3.COARSE - 50), pixel(truth[1]), pixel(truth[2])]),
        *chunk([*heartbeat(5 * tpx3.COARSE + 10), pixel(truth[3])]),
        *chunk([*heartbeat(9 * tpx3.COARSE + 5), pixel(truth[4])]),
    ]
    path = file_of(tmp_path / "a.tpx3", words)
    assert (read(path).toa // 16).tolist() == truth
    assert read(path, chunk=2).toa.tolist() == read(path).toa.tolist()
    assert read(path).counts["heartbeat"] == 6


@pytest.mark.parametrize("chunk_size", [1, 4, 7, 2**19])
def test_one_heartbeat_is_enough(tmp_path: Path, chunk_size: int) -> None:
    """53 s of pixels with one heartbeat, at the start, in the middle or at the end."""
    step = tpx3.COARSE // 8
    truth = [7 * tpx3.COARSE + step * i for i in range(32)]
    for place in (0, 1, 16, 32):
        words = [pixel(t) for t in truth]
        near = truth[max(place - 1, 0)] + 40
        path = file_of(tmp_path / "a.tpx3", chunk([*words[:place], *heartbeat(near), *words[place:]]))
        assert (read(path, chunk=chunk_size).toa // 16).tolist() == truth


def test_without_heartbeats_a_step_back_of_half_a_period_is_a_wrap(tmp_path: Path) -> None:
    coarse = [10, tpx3.COARSE - 5, 3, tpx3.COARSE - 2, 8, tpx3.COARSE // 2, 1]
    hits = read(file_of(tmp_path / "a.tpx3", chunk([pixel(c) for c in coarse])))
    epoch = [0, 0, 1, 0, 1, 1, 1]
    assert (hits.toa // 16 - np.array(coarse)).tolist() == [e * tpx3.COARSE for e in epoch]
    # A track over the wrap is one cluster.
    track = [pixel(tpx3.COARSE - 1, address=0), pixel(2, address=1), pixel(1, address=2)]
    assert cluster(read(file_of(tmp_path / "b.tpx3", chunk(track)))).sizes.tolist() == [3]


def test_other_words_are_counted_and_tdc_stamps_read(tmp_path: Path) -> None:
    stamp = (0x6F << 56) | (0x123 << 44) | (1000 << 9) | (12 << 5)
    wrong = (0x6B << 56) | (7 << 44) | (2000 << 9) | (13 << 5)
    words = chunk([stamp, 0x71B0 << 48, pixel(4), wrong, 0x5 << 60, 0x0123, 0x8 << 60], chip=2)
    path = file_of(tmp_path / "a.tpx3", words)
    hits = read(path)
    assert (len(hits), dict(hits.counts)) == (1, {"tdc": 2, "control": 2, "unknown": 2})
    table = tpx3.read_tdc(path)
    assert table["edge"].tolist() == ["TDC1 rise", "TDC2 fall"]
    assert table["counter"].tolist() == [0x123, 7]
    assert table["chip"].tolist() == [2, 2]
    assert table["time_ns"].tolist() == pytest.approx([3125 + 11 * 0.26041667, 6250], abs=1e-4)
    assert table["valid"].tolist() == [True, False]


def test_a_pixel_word_that_looks_like_a_header(tmp_path: Path) -> None:
    """Chunks are followed by their lengths: ToT, FToA and SPIDR time can spell TPX3."""
    disguised = (0xB << 60) | tpx3.MAGIC
    path = file_of(tmp_path / "a.tpx3", chunk([disguised, pixel(5)]))
    assert len(read(path)) == 2


@given(
    st.lists(
        st.tuples(
            st.integers(0, 255), st.integers(0, 255), st.integers(1, 1023), st.integers(0, 2**40), st.integers(0, 3)
        ),
        max_size=40,
    ),
    st.integers(1, 50),
)
@fuzzed
def test_round_trip(tmp_path: Path, rows: list[tuple[int, ...]], size: int) -> None:
    columns = [np.array(c, np.int64) for c in zip(*rows, strict=True)] or [np.empty(0, np.int64)] * 5
    hits = Hits(*columns[:4], columns[4]).sorted()
    path = write(tmp_path / "a.tpx3", hits)
    for back in (read(path), read(path, chunk=size)) if len(hits) else ():
        # The same hits; chips are written one after the other.
        order = [np.lexsort((h.row, h.col, h.energy, h.chip, h.toa)) for h in (hits, back)]
        for name in ("row", "col", "energy", "toa", "chip"):
            np.testing.assert_array_equal(getattr(back, name)[order[1]], getattr(hits, name)[order[0]], name)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    word = np.array(chunk([pixel(c) for c in range(1000)]), "<u8").tobytes()
    peaks = []
    for n in (100, 400):
        path = tmp_path / f"{n}.tpx3"
        path.write_bytes(word * n)
        sum(len(part) for part in tpx3.iter_hits(path, chunk=20_000))
        tracemalloc.start()
        assert sum(len(part) for part in tpx3.iter_hits(path, chunk=20_000)) == 1000 * n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"TPX3\0\0\x10\0" + bytes(8), "ends 8 bytes before the end of a chunk.*partial=True"),
        (b"TPX3\0\0\x08\0" + bytes(5), "byte 8: the file ends inside a word"),
        (b"TPX3\0\0\x09\0" + bytes(9 + 7), "a chunk of 9 bytes"),
        (
            b"TPX3\0\0\x08\0" + bytes(8) + b"TPX4\0\0\x08\0",
            r"byte 16: expected a chunk header \(TPX3\), received 0x0008",
        ),
    ],
)
def test_what_is_broken_is_named_with_its_byte(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.tpx3"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert "broken.tpx3" in str(error.value)


def test_partial_reads_what_is_there(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.tpx3", chunk([pixel(1), pixel(2)]))
    path.write_bytes(path.read_bytes()[:-3])
    assert read(path, partial=True).toa.tolist() == [16]


@given(**damages)
@fuzzed
def test_fuzzed(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    words = [*chunk([*heartbeat(2**31), *(pixel(2**31 + c) for c in range(20))]), *chunk([pixel(5)] * 3, 1)]
    content = np.array(words, "<u8").tobytes()
    (tmp_path / "f.tpx3").write_bytes(broken(content, cut, flips))
    said = read_or_one_sentence(read, tmp_path / "f.tpx3")
    # A file that only lost its end is never taken for whole, unless it ends with a chunk or is empty.
    lost = (cut // 2) % len(content) if cut % 2 else 0
    if not flips and lost not in (0, 32):
        assert "ends" in said or "TPX3" in said or "no format" in said
