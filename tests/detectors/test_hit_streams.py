"""`.t3p`, Burda text and Katherine raw streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Hits, InputError, read
from particle_zoo.detectors.readers import katherine, t3p
from particle_zoo.detectors.writers import write
from tests.detectors.damage import broken, damages, fuzzed, read_or_one_sentence

# Matrix index, ToA, ToT, FToA of the sample of advacam-dpe/pydpe; row, col, ToT, ns.
GOLDEN = [
    ((18559, 8134, 46, 2), (72, 127, 46, 203346.875)),
    ((19838, 8135, 1, 16), (77, 126, 1, 203350.0)),
    ((19586, 8136, 1, 29), (76, 130, 1, 203354.6875)),
]

rows = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(1, 1023), st.integers(0, 2**50)), max_size=30
)


def listed(hits: Hits) -> list[tuple[float, ...]]:
    return list(zip(hits.row.tolist(), hits.col.tolist(), hits.energy.tolist(), hits.time_ns.tolist(), strict=True))


def stream(values: list[tuple[int, ...]]) -> Hits:
    columns = [np.array(c, np.int64) for c in zip(*values, strict=True)] or [np.empty(0, np.int64)] * 4
    return Hits(*columns).sorted()


def t3p_file(path: Path, values: list[tuple[int, ...]], overflow: int = 0) -> Path:
    table = np.array([(m, toa, overflow, ftoa, tot) for m, toa, tot, ftoa in values], t3p.STRUCT)
    path.write_bytes(table.tobytes())
    return path


def test_t3p_golden_rows_by_name_and_by_content(tmp_path: Path) -> None:
    assert t3p.STRUCT.itemsize == 16
    for name in ("a.t3p", "a.bin"):
        assert listed(read(t3p_file(tmp_path / name, [row for row, _ in GOLDEN]))) == [found for _, found in GOLDEN]


def test_t3p_gaps_and_chips(tmp_path: Path) -> None:
    content = t3p_file(tmp_path / "a.t3p", [GOLDEN[0][0]]).read_bytes()
    gap = t3p_file(tmp_path / "b.t3p", [(0x74, 1, 0, 0), (0x75, 9, 0, 0)], overflow=1).read_bytes()
    chip = t3p_file(tmp_path / "c.t3p", [((3 << 16) + 7, 1, 5, 0)], overflow=3).read_bytes()
    (tmp_path / "d.t3p").write_bytes(content + gap + chip)
    hits = read(tmp_path / "d.t3p")
    assert (len(hits), hits.gaps, hits.chip.tolist()) == (2, 1, [0, 3])


@pytest.mark.parametrize("name", ["a.t3p", "a.txt"])
@given(values=rows)
@fuzzed
def test_round_trips(tmp_path: Path, name: str, values: list[tuple[int, ...]]) -> None:
    hits = stream(values)
    back = read(write(tmp_path / name, hits)) if len(hits) else hits
    # A fall of the time by more than a second would be a new run; sorted streams have none.
    assert listed(back) == listed(hits)


def test_a_burda_text_by_hand(tmp_path: Path) -> None:
    text = "# Chipboard ID: X\n18559 8134 2 46\n\nanything\n19838\t8135\t16\t1\r\n19586 8136 29 1\n"
    (tmp_path / "hits.txt").write_text(text)
    assert listed(read(tmp_path / "hits.txt")) == [found for _, found in GOLDEN]
    # In pieces of a line each.
    assert listed(read(tmp_path / "hits.txt", block=20)) == [found for _, found in GOLDEN]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3", "line 3: expected linear ToA FToA ToT"),
        ("1 2 3 4 5", "line 3: expected linear ToA FToA ToT"),
        ("1 2 3 4.5", "line 3: expected linear ToA FToA ToT"),
        ("65536 2 3 4", "linear is 65536"),
        ("1 2 32 4", "FToA is 32"),
    ],
)
def test_bad_lines_of_burda_text(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(f"# c\n1 2 3 4\n{line}\n" + "5 6 7 8\n" * 3)
    with pytest.raises(InputError, match=message):
        # The name alone does not say what a text is.
        list(katherine_or_burda(path))


def katherine_or_burda(path: Path) -> list[Hits]:
    from particle_zoo.detectors.readers.burda import iter_hits

    return list(iter_hits(path))


def word(kind: int, value: int) -> bytes:
    return ((kind << 44) | value).to_bytes(6, "little")


def katherine_pixel(x: int, y: int, toa: int, tot: int, ftoa: int, kind: int = 4) -> bytes:
    return word(kind, (y << 36) | (x << 28) | (toa << 14) | (tot << 4) | ftoa)


def test_katherine_words(tmp_path: Path) -> None:
    content = [
        katherine_pixel(127, 72, 8134, 46, 2),
        word(5, 3),
        katherine_pixel(200, 1, 10, 5, 1),
        word(0xC, 2),
        katherine_pixel(200, 1, 10, 5, 1),
    ]
    (tmp_path / "a.raw").write_bytes(b"".join(content))
    hits = read(tmp_path / "a.raw")
    # An offset stands for 16384 counts (libkatherine), not for the 4096 of clusterer_lite.
    assert (hits.toa[1] + 1) // 16 == 10 + 3 * 16384
    assert listed(hits)[0] == (72, 127, 46, 203346.875)
    assert hits.run.tolist() == [0, 0, 1]
    assert (hits.gaps, dict(hits.counts)) == (0, {})
    assert read(tmp_path / "a.raw", chunk=2).toa.tolist() == hits.toa.tolist()
    assert read(tmp_path / "a.raw", column_phase=True).toa[0] - hits.toa[0] == 127 // 2 % 16


def test_katherine_losses_are_gaps(tmp_path: Path) -> None:
    content = [katherine_pixel(1, 1, 1, 1, 1), word(0xC, 3), katherine_pixel(2, 2, 2, 2, 2), word(0xD, 5), word(7, 1)]
    (tmp_path / "a.raw").write_bytes(b"".join([*content, bytes(6)]))
    hits = read(tmp_path / "a.raw")
    assert (len(hits), hits.gaps, dict(hits.counts)) == (2, 2, {"lost": 7, "unknown": 2})


def test_katherine_event_mode(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(katherine_pixel(1, 2, 265, 242, 3))
    hits = read(tmp_path / "a.raw", mode="event+itot")
    assert (hits.energy.tolist(), hits.toa.tolist()) == ([265], [0])
    with pytest.raises(InputError, match="mode must be"):
        read(tmp_path / "a.raw", mode="tot")


@pytest.mark.parametrize("name", ["f.t3p", "f.txt", "f.raw"])
@given(**damages)
@fuzzed
def test_fuzzed(tmp_path: Path, name: str, cut: int, flips: list[tuple[int, int]]) -> None:
    values = [row for row, _ in GOLDEN] * 4
    content = {
        "f.t3p": lambda: t3p_file(tmp_path / "x.t3p", values).read_bytes(),
        "f.txt": lambda: b"".join(b"%d %d %d %d\n" % (m, toa, ftoa, tot) for m, toa, tot, ftoa in values),
        "f.raw": lambda: b"".join(katherine_pixel(i, 2 * i, 3 * i, i + 1, i % 16) for i in range(20)) + word(0xC, 20),
    }[name]()
    (tmp_path / name).write_bytes(broken(content, cut, flips))
    read_or_one_sentence(read, tmp_path / name)


def test_a_file_that_ends_inside_a_word(tmp_path: Path) -> None:
    t3p_file(tmp_path / "a.t3p", [GOLDEN[0][0]] * 3)
    (tmp_path / "a.raw").write_bytes(katherine_pixel(1, 1, 1, 1, 1) * 3)
    for name, size in (("a.t3p", 16), ("a.raw", 6)):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(InputError, match=rf"{name}, byte {2 * size}: the file ends inside"):
            read(path)
        assert len(read(path, partial=True)) == 2


def test_offsets_are_kept_over_blocks(tmp_path: Path) -> None:
    content = [word(5, 7), *(katherine_pixel(1, 1, i, 1, 0) for i in range(50))]
    (tmp_path / "a.raw").write_bytes(b"".join(content))
    parts = list(katherine.iter_hits(tmp_path / "a.raw", chunk=9))
    assert [int(t) for part in parts for t in part.toa // 16] == [7 * 16384 + i for i in range(50)]
