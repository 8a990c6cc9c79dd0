from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError, read
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers import parquet as parquet_reader
from particle_zoo.detectors.writers import write

TIMED = ("row", "col", "energy", "toa")
fuzzed = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(a: Clusters, b: Clusters) -> None:
    assert (a.columns, a.unit, a.hits.dtype) == (b.columns, b.unit, b.hits.dtype)
    np.testing.assert_array_equal(a.hits, b.hits)
    np.testing.assert_array_equal(a.offsets, b.offsets)


energy = st.floats(2**-10, 2**20, width=32)
pixel = st.tuples(st.integers(0, 511), st.integers(0, 511), energy)
timed_pixel = st.tuples(st.integers(0, 511), st.integers(0, 511), energy, st.floats(0, 1e12))
sets = st.lists(st.lists(pixel, min_size=1, max_size=6), min_size=1, max_size=6).map(Clusters.from_list)
timed_sets = st.lists(st.lists(timed_pixel, min_size=1, max_size=6), min_size=1, max_size=6).map(
    lambda hits: Clusters.from_list(hits, columns=TIMED)
)


@given(st.one_of(sets, timed_sets), st.integers(1, 4))
@fuzzed
def test_clog_round_trip(tmp_path: Path, clusters: Clusters, per_frame: int) -> None:
    back = read(write(tmp_path / "a.clog", clusters, per_frame=per_frame, duration_s=0.5))
    same(back, clusters)
    assert back.table["frame"].tolist() == [1 + i // per_frame for i in range(len(clusters))]
    assert back.table["frame_start_s"].tolist() == [i // per_frame * 0.5 for i in range(len(clusters))]
    # What was read keeps its frames when it is written again.
    write(tmp_path / "b.clog", back)
    assert (tmp_path / "b.clog").read_bytes() == (tmp_path / "a.clog").read_bytes()


@given(st.one_of(sets, timed_sets))
@fuzzed
def test_parquet_round_trip(tmp_path: Path, clusters: Clusters) -> None:
    clusters = clusters.with_table(truth=np.arange(len(clusters)) * 0.1, particle="muon", split=True)
    back = read(write(tmp_path / "a.parquet", clusters))
    same(back, clusters)
    pd.testing.assert_frame_equal(back.table, clusters.table, check_dtype=False)
    assert back.table["truth"].dtype == np.float64


def test_golden_clog(tmp_path: Path) -> None:
    path = tmp_path / "a.clog"
    path.write_bytes(
        b"Frame 1 (1357306042.5, 0.1 s)\r\n[10, 200, 35] [11, 200, 4.5] \r\n[0, 1, 1e2] \r\n\r\nFrame 2 (1357306043, 0.1 s)\r\n[7, 8, 9]\r\n"
    )
    found = read(path, unit="ToT")
    assert found.hits.tolist() == [[200, 10, 35], [200, 11, 4.5], [1, 0, 100], [8, 7, 9]]
    assert (found.sizes.tolist(), found.table["frame"].tolist(), found.unit) == ([2, 1, 1], [1, 1, 2], "ToT")
    assert found.table["frame_start_s"].tolist() == [1357306042.5, 1357306042.5, 1357306043]


def test_written_clog_is_what_pixet_writes(tmp_path: Path) -> None:
    clusters = Clusters.from_list([[(200, 10, 35.0, 12.5), (200, 11, 4.5, 0.0)], [(1, 2, 3.0, 4.0)]], columns=TIMED)
    write(tmp_path / "a.clog", clusters, per_frame=1, start_s=7, duration_s=0.1)
    assert (tmp_path / "a.clog").read_text() == (
        "Frame 1 (7.000000, 0.100000 s)\n[10, 200, 35.0, 12.5] [11, 200, 4.5, 0.0]\n\n"
        "Frame 2 (7.100000, 0.100000 s)\n[2, 1, 3.0, 4.0]\n\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Frame 1 (0, 1 s)\n[1, 2, 3] [4, 5]\n", "line 2: expected"),
        ("Frame 1 (0, 1 s)\n[1, 2, 3]\n[1, 2, 3, 4]\n", "line 3: pixels of 4 fields, the lines above have 3"),
        ("Frame 1 (0, 1 s)\n[1, 2, nan]\n", "line 2: expected"),
        ("Frame 1 (0, x s)\n", "line 1: expected 'Frame N"),
        ("Frame 1 (0, 1 s)\n[1, 2, 3\n", "line 2"),
    ],
)
def test_bad_clog(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.clog"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read(path)
    path.write_text("[1, 2, 3]\n")
    with pytest.raises(InputError, match="before the first 'Frame'"):
        read(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="no 'Frame' line"):
        read(path)


def test_parquet_in_parts_and_batches(tmp_path: Path) -> None:
    one = Clusters.from_list([[(i, i, 1.5)] * (1 + i % 3) for i in range(40)])
    path = write(tmp_path / "a.parquet", (one for _ in range(3)))
    whole = read(path)
    same(whole, Clusters.concat([one] * 3))
    batches = list(parquet_reader.iter_clusters(path, batch=17))
    same(Clusters.concat(batches), whole)
    assert max(map(len, batches)) <= 17


def test_an_empty_set_stays_an_empty_set(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "a.parquet", Clusters.empty()))) == 0


def test_bad_parquet_and_bad_requests(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="without clusters"):
        read(tmp_path / "other.parquet")
    clusters = Clusters.from_list([[(0, 0, 1.0)]])
    for name, data, options, message in (
        ("a.xyz", clusters, {}, r"one of \.parquet, \.t3pa, .*\.clog"),
        ("a.parquet", Hits.empty(), {}, "holds clusters"),
        ("a.parquet", clusters, {"spacing_ns": 1}, "no option spacing_ns"),
        ("a.parquet", clusters.with_table(odd=[object()]), {}, "drop a column"),
        ("a.parquet", [clusters, Clusters.empty(unit="ADU")], {}, "one kind"),
        ("a.clog", clusters, {"per_frame": 0}, "at least 1"),
        ("a.clog", Clusters.from_list([[(0, 0, 1)]], unit="mask"), {}, "masks"),
    ):
        with pytest.raises(InputError, match=message):
            write(tmp_path / name, data, **options)
        assert not (tmp_path / name).exists()
    assert [p.name for p in tmp_path.iterdir()] == ["other.parquet"]


@pytest.mark.parametrize("damaged", [[1, 2], [{"a": 1}, {"a": 2}]])
def test_hits_that_are_no_lists_are_damage(tmp_path: Path, damaged: list[Any]) -> None:
    """As one wrong bit in the schema makes them."""
    path = write(tmp_path / "a.parquet", Clusters.from_list([[(1, 2, 3.5)], [(4, 5, 6.0)]]))
    table = pq.read_table(path)
    column = table.schema.get_field_index("hit_row")
    pq.write_table(table.set_column(column, "hit_row", pa.array(damaged)), path)
    with pytest.raises(
        InputError, match=r"a\.parquet is a damaged parquet file \(hits are lists, and not .*; copy it again"
    ):
        read(path)


@given(
    st.sampled_from(["a.clog", "a.parquet"]),
    st.integers(0, 10**5),
    st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 7)), max_size=4),
)
@fuzzed
def test_fuzzed(tmp_path: Path, name: str, cut: int, flips: list[tuple[int, int]]) -> None:
    clusters = Clusters.from_list([[(1, 2, 3.5), (1, 3, 4.0)], [(200, 100, 5.25)]] * 5)
    content = bytearray(write(tmp_path / name, clusters).read_bytes())
    for position, bit in flips:
        content[position % len(content)] ^= 1 << bit
    if cut % 2:
        content = content[: cut % len(content)]
    (tmp_path / name).write_bytes(bytes(content))
    message = ""
    try:
        read(tmp_path / name)
    except InputError as error:
        message = str(error)
        assert name in message
    assert "\n" not in message
