from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError, read, simulate
from particle_zoo.detectors.calibration import Surrogate
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers import t3pa
from particle_zoo.detectors.writers import write

HEADER = "Index\tMatrix Index\tToA\tToT\tFToA\tOverflow\n"
# Rows of the sample of advacam-dpe/pydpe; pixels and times as in the cluster list that belongs to it.
GOLDEN = [
    ((6, 18559, 8134, 46, 2, 0), (72, 127, 46, 203346.875)),
    ((0, 19838, 8135, 1, 16, 0), (77, 126, 1, 203350.0)),
    ((2, 19586, 8136, 1, 29, 0), (76, 130, 1, 203354.6875)),
]

fuzzed = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table(path: Path, rows: list[tuple[int, ...]], separator: str = "\t", end: str = "\n") -> Path:
    lines = [HEADER.strip().replace("\t", separator), *(separator.join(map(str, row)) for row in rows)]
    path.write_bytes((end.join(lines) + end).encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\t", "    ", " ", ";"])
def test_golden_rows(tmp_path: Path, separator: str, end: str) -> None:
    hits = read(table(tmp_path / "a.t3pa", [row for row, _ in GOLDEN], separator, end))
    found = list(zip(hits.row.tolist(), hits.col.tolist(), hits.energy.tolist(), hits.time_ns.tolist(), strict=True))
    assert found == [expected for _, expected in GOLDEN]
    assert (hits.unit, hits.gaps, hits.toa.dtype) == ("ToT", 0, np.int64)


def test_content_decides_before_the_name(tmp_path: Path) -> None:
    assert len(read(table(tmp_path / "hits.txt", [GOLDEN[0][0]]))) == 1


def test_gaps_are_counted_and_are_no_hits(tmp_path: Path) -> None:
    rows = [(0, 5, 10, 3, 0, 0), (1, 0x74, 11, 0, 0, 1), (2, 0x75, 400, 0, 0, 1), (0, 6, 500, 4, 0, 0)]
    hits = read(table(tmp_path / "a.t3pa", rows))
    assert (hits.col.tolist(), hits.gaps) == ([5, 6], 1)


def test_chip_bits_are_no_gap_although_the_last_column_repeats_them(tmp_path: Path) -> None:
    rows = [(0, 5, 10, 3, 0, 0), (1, (1 << 16) + 0x174, 10, 3, 0, 1), (2, (3 << 16) + 7, 10, 3, 0, 3)]
    hits = read(table(tmp_path / "a.t3pa", rows))
    assert hits.chip is not None
    assert (hits.chip.tolist(), hits.row.tolist(), hits.col.tolist()) == ([0, 1, 3], [0, 1, 0], [5, 0x74, 7])
    assert hits.gaps == 0


def test_reading_in_pieces_gives_the_same_hits(tmp_path: Path) -> None:
    rows = [(i % 4, 256 * (i % 50) + i % 256, 100 + i // 3, 1 + i % 1000, i % 32, 0) for i in range(5000)]
    path = table(tmp_path / "a.t3pa", rows)
    pieces = list(t3pa.iter_hits(path, chunk=700))
    assert len(pieces) == 8
    assert Hits.concat(pieces).toa.tolist() == read(path).toa.tolist() == [16 * r[2] - r[4] for r in rows]


hit = st.tuples(
    st.integers(0, 255), st.integers(0, 255), st.integers(1, 1023), st.integers(0, 2**50), st.integers(0, 7)
)


@given(st.lists(hit, max_size=30))
@fuzzed
def test_round_trip(tmp_path: Path, rows: list[tuple[int, ...]]) -> None:
    columns = [np.array(c, np.int64) for c in zip(*rows, strict=True)] or [np.empty(0, np.int64)] * 5
    row, col, tot, toa, chip = columns
    hits = Hits(row, col, tot, toa, chip).sorted()
    back = read(write(tmp_path / "a.t3pa", hits))
    for name in ("row", "col", "energy", "toa", "chip"):
        np.testing.assert_array_equal(getattr(back, name), getattr(hits, name), name)


def test_energies_become_tot_through_the_typical_calibration(tmp_path: Path) -> None:
    clusters = Clusters.from_list([[(1, 2, 17.5), (1, 3, 59.5409)], [(9, 9, 4000.0)]])
    hits = read(write(tmp_path / "a.t3pa", clusters, spacing_ns=1e6))
    assert hits.energy.tolist() == [49, 118, 1023]
    assert hits.time_ns.tolist() == [0, 0, 1e6]
    assert Surrogate().energy(hits.energy[:2]) == pytest.approx([17.5, 59.5409], abs=0.35)


def test_parts_follow_each_other(tmp_path: Path) -> None:
    one = Clusters.from_list([[(1, 2, 20.0)], [(3, 4, 20.0)]])
    hits = read(write(tmp_path / "a.t3pa", (one for _ in range(3)), spacing_ns=100.0))
    assert hits.time_ns.tolist() == [0, 100, 200, 300, 400, 500]
    index = [int(line.split("\t")[0]) for line in (tmp_path / "a.t3pa").read_text().splitlines()[1:]]
    assert index == list(range(6))


def test_a_simulated_timepix3_run_survives(tmp_path: Path) -> None:
    """Simulated energies went through the counter, so that ToT, and with it keV, come back to the last bit."""
    clusters = simulate("timepix3_500um", particle="electron", n=300, seed=1)
    sent = Hits.from_clusters(clusters)
    back = read(write(tmp_path / "a.t3pa", clusters))
    for name in ("row", "col", "toa"):
        np.testing.assert_array_equal(getattr(back, name), getattr(sent, name), name)
    np.testing.assert_allclose(Surrogate().energy(back.energy), sent.energy, rtol=1e-9)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1\t2\t3\t4\t5\n", "line 3: expected 6 columns, received 5"),
        ("1\t2\t3\t4\t5\t0\t7\n", "line 3: expected 6 columns, received 7"),
        ("1\t2\tx\t4\t5\t0\n", "line 3: b'x' is no whole number"),
        ("1\t2\t3.5\t4\t5\t0\n", "line 3: b'3.5' is no whole number"),
        ("1\t2\t3\t4\t32\t0\n", "data row 2: FToA is 32"),
        ("1\t2\t-3\t4\t5\t0\n", "data row 2: ToA is -3"),
        ("1\t-2\t3\t4\t5\t0\n", "data row 2: Matrix Index is -2"),
        ("1\t2\t99999999999999999999\t4\t5\t0\n", "no whole number"),
        ("1\t2\t3\t4\t5\t2\n", "Overflow is 2"),
    ],
)
def test_bad_rows(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "bad.t3pa"
    path.write_text(HEADER + "0\t1\t2\t3\t4\t0\n" + row)
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert "bad.t3pa" in str(error.value)


@pytest.mark.parametrize(
    ("hits", "message"),
    [
        (Hits(np.array([256]), np.array([0]), np.array([1]), np.array([0])), "row 256"),
        (Hits(np.array([0]), np.array([0]), np.array([1]), np.array([-1])), "counts time from 0"),
        (Hits(np.array([0]), np.array([0]), np.array([1.5]), np.array([0])), "whole counts"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path: Path, hits: Hits, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write(tmp_path / "a.t3pa", hits)
    assert not list(tmp_path.iterdir())


@given(st.integers(0, 400), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 7)), max_size=4))
@fuzzed
def test_fuzzed(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    content = bytearray(table(tmp_path / "f.t3pa", [row for row, _ in GOLDEN] * 4).read_bytes())
    for position, bit in flips:
        content[position % len(content)] ^= 1 << bit
    (tmp_path / "f.t3pa").write_bytes(bytes(content[: len(content) - cut % len(content)]))
    message = ""
    try:
        assert isinstance(read(tmp_path / "f.t3pa"), (Hits, Clusters))
    except InputError as error:
        message = str(error)
        assert "f.t3pa" in message
    assert "\n" not in message


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_a_clock_that_starts_anew_is_a_new_run(tmp_path: Path, chunk: int) -> None:
    """Disorder of less than a second is none, and Index, which restarts too, says nothing."""
    second = 40_000_000
    toa = [5, 2 * second, 2 * second - 1000, second + 1, 3, 4, 2 * second, 2 * second + 9, 900_000, 10]
    path = table(tmp_path / "a.t3pa", [(i % 3, 1, t, 4, 0, 0) for i, t in enumerate(toa)])
    hits = Hits.concat(t3pa.iter_hits(path, chunk=chunk))
    assert hits.run.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert (hits.toa // 16).tolist() == toa


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_a_single_time_far_ahead_is_damage_and_no_new_run(tmp_path: Path, chunk: int) -> None:
    path = table(
        tmp_path / "a.t3pa", [(i, 1, t, 4, 0, 0) for i, t in enumerate((8134, 8135, 998_134_000_000, 8136, 8137))]
    )
    with pytest.raises(InputError, match=r"a\.t3pa, data row [34] or near it: a time of 2.5e\+04 s"):
        Hits.concat(t3pa.iter_hits(path, chunk=chunk))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.replace("ToA\tToT", "ToT\tToA") + "0\t18559\t46\t8134\t2\t0\n", "expected the header"),
        (HEADER + "0\t18559\t8134\t46\t2\t0\t99\n" * 2, "line 2: expected 6 columns, received 7"),
    ],
)
def test_columns_that_are_others(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.t3pa").write_text(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.t3pa")
