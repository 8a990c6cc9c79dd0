from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError, read
from particle_zoo.detectors.readers import FORMATS, iter_parts
from particle_zoo.detectors.readers.format import find

fuzzed = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def entry(x: int, y: int, pixels: list[tuple[int, int, float]], name: str, number: int) -> dict:
    return {
        "pos_x": x,
        "pos_y": y,
        "pixels": [{"y": b, "x": a, "value": value} for a, b, value in pixels],
        "cluster_class": {"name": name, "cluster_class": number},
    }


GOLDEN = [
    entry(0, 238, [(0, 0, 10.82), (1, 1, 17.11)], "dot", 1),
    entry(18, 0, [(0, 1, 7.41), (1, 1, 9.14), (2, 0, 23.34)], "track_lowres", 9),
    entry(200, 255, [(55, 0, 5.25)], "something_new", 12),
]
METADATA = """Image number: 46752
Image type: Full resolution
Measurement mode: TOT (Energy)
Threshold: 385
Bias: 70
Acquisition time: 10.000
Temperature: 16
Attitude: 0 0 0 0 -1 -1 -1 
Time: 1610135842
comment: Co-measurement with XRB: 10 sec exposure
latitude, longitude, altitude, tle_time: 60.42, 3.86, 493.56, 2021-01-08 18:05:01
"""


def saved(folder: Path, entries: object, metadata: str | None = None) -> Path:
    path = folder / "7_fullres.clusters.txt"
    path.write_text(json.dumps(entries, indent=2))
    if metadata is not None:
        (folder / "7_fullres.metadata.txt").write_text(metadata)
    return path


def test_golden(tmp_path: Path) -> None:
    found = read(saved(tmp_path, GOLDEN))
    assert isinstance(found, Clusters)
    assert found.unit == "keV"
    expected = [
        [[238, 0, 10.82], [239, 1, 17.11]],
        [[1, 18, 7.41], [1, 19, 9.14], [0, 20, 23.34]],
        [[255, 255, 5.25]],
    ]
    for hits, pixels in zip(found, expected, strict=True):
        np.testing.assert_array_equal(hits, np.array(pixels, np.float32))
    assert found.table["label"].tolist() == ["dot", "track_lowres", "something_new"]
    assert found.table["vzlusat_class"].tolist() == [1, 9, 12]
    assert found.table["vzlusat_class"].dtype == np.int64
    assert found.table["start_s"].isna().all()


def test_metadata_beside_it(tmp_path: Path) -> None:
    row = read(saved(tmp_path, GOLDEN, METADATA)).table.iloc[0]
    assert (row["frame"], row["start_s"], row["duration_s"], row["hv_v"]) == (46752, 1610135842, 10, 70)
    assert (row["threshold_dac"], row["temperature_c"]) == (385, 16)
    assert (row["latitude_deg"], row["longitude_deg"], row["altitude_km"]) == (60.42, 3.86, 493.56)


def test_a_folder_of_the_data_set(tmp_path: Path) -> None:
    saved(tmp_path, GOLDEN, METADATA)
    (tmp_path / "7_fullres.statistics.txt").write_text('{"dot": 1}')
    assert len(read(tmp_path)) == 3


def test_no_clusters(tmp_path: Path) -> None:
    path = saved(tmp_path, [])
    assert find(path, FORMATS).name == "VZLUSAT-1 clusters"
    assert list(iter_parts(path)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pos_x": 255}, "cluster 0: expected pos_x"),
        ({"pos_x": 0.5}, "cluster 0"),
        ({"pos_y": "1"}, "cluster 0"),
        ({"pixels": []}, "cluster 0"),
        ({"pixels": [{"x": 1, "y": 1}]}, "cluster 0"),
        ({"pixels": [{"x": 1, "y": 1, "value": float("nan")}]}, "cluster 0"),
        ({"cluster_class": 3}, "cluster 0"),
        ({"cluster_class": {"name": "dot", "cluster_class": True}}, "cluster 0"),
    ],
)
def test_bad_clusters(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(saved(tmp_path, [GOLDEN[0] | change]))
    assert "7_fullres.clusters.txt" in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_metadata(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metadata\.txt: expected 'Key: number'"):
        read(saved(tmp_path, GOLDEN, METADATA.replace("70", "high")))


@given(st.integers(0, 2000), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 7)), max_size=4))
@fuzzed
def test_fuzzed(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    path = saved(tmp_path, GOLDEN, METADATA)
    content = bytearray(path.read_bytes())
    for position, bit in flips:
        content[position % len(content)] ^= 1 << bit
    path.write_bytes(bytes(content[: cut % len(content)] if cut % 2 else content))
    message = ""
    try:
        assert isinstance(read(path), Clusters)
    except InputError as error:
        message = str(error)
        assert path.name in message
    assert "\n" not in message
