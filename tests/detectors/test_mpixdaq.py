from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, Frames, InputError, read
from particle_zoo.detectors.clustering import cluster
from particle_zoo.detectors.readers import mpixdaq

HEADER = """--- #frame data
meta_data:
  acq_time: 0.5
deviceInfo:
  height: 256
  width: 256
"""
# Two diagonal pixels (327 = 256 + 71 is row 1, column 71) and a lone one; an empty frame; the last row, the first row.
FRAMES = """frame_data:
  - [[327, 22], [584, 15.5], [
    4000, 7]]
  - []
  - [[65535, 9], [65279, 3], [0, 5]]
... #end
"""
CLUSTERS = """--- #cluster data
keys: [time, x_mean, n_pix]
meta_data:
  acq_time: 0.5
cluster_data:
 - [[0.5, 93.2, 2], [
    [52829, 133], [52830, 24]]]

 - [[2.5, 181.86, 1],
  [[20150, 7]]]
eor_data:
  Nframes: 12
... #end
"""

fuzzed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def saved(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["f.yml", "f.yml.gz", "frames.txt"])
def test_golden_frames(tmp_path: Path, name: str) -> None:
    frames = read(saved(tmp_path / name, HEADER + FRAMES))
    assert isinstance(frames, Frames)
    assert (frames.shape, frames.unit, frames.offsets.tolist()) == ((256, 256), "keV", [0, 3, 3, 6])
    assert frames.table["frame"].tolist() == [0, 1, 2]
    assert frames.table["time_s"].tolist() == [0, 0.5, 1]
    found = cluster(frames)
    assert [h.tolist() for h in found] == [
        [[1, 71, 22], [2, 72, 15.5]],
        [[15, 160, 7]],
        [[255, 255, 9], [254, 255, 3]],
        [[0, 0, 5]],
    ]
    assert found.table["frame"].tolist() == [0, 0, 2, 2]
    assert found.table["time_s"].tolist() == [0, 0, 1, 1]
    assert found.unit == "keV"


def test_golden_clusters(tmp_path: Path) -> None:
    found = read(saved(tmp_path / "c.yml", CLUSTERS.replace("\n", "\r\n")))
    assert [h.tolist() for h in found] == [[[206, 93, 133], [206, 94, 24]], [[78, 182, 7]]]
    assert found.table["time_s"].tolist() == [0.5, 2.5]


def test_bad_pixels_are_left_out_of_frames(tmp_path: Path) -> None:
    found = cluster(read(saved(tmp_path / "f.yml", HEADER + "badPixels: [584, 0]\n" + FRAMES)))
    assert found.sizes.tolist() == [1, 1, 2]


def test_frames_do_not_touch_each_other(tmp_path: Path) -> None:
    # The last row of one frame and the first of the next.
    entries = "".join(f"  - [[{65280 + i}, 8], [{i}, 8]]\n" for i in range(120))
    found = cluster(read(saved(tmp_path / "f.yml", HEADER + "frame_data:\n" + entries + "... #end\n")))
    assert found.sizes.tolist() == [1] * 240
    assert found.table["frame"].tolist() == np.repeat(np.arange(120), 2).tolist()
    assert found.hits[:2].tolist() == [[255, 0, 8], [0, 0, 8]]


def test_what_yaml_says_is_what_is_read(tmp_path: Path) -> None:
    entries = yaml.safe_load(CLUSTERS)["cluster_data"]
    found = read(saved(tmp_path / "c.yml", CLUSTERS))
    pixels = [[[h[0] * 256 + h[1], h[2]] for h in cluster.tolist()] for cluster in found]
    assert pixels == [entry[1] for entry in entries]


def test_csv_of_properties_gives_one_hit_a_cluster_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("time,x_mean,y_mean,n_pix,energy\n0.5,93.2,207.2,5,266.0\n")
    assert mpixdaq.read_properties(path)["energy"].tolist() == [266.0]
    found = read(path)
    assert found.hits.tolist() == [[207, 93, 266]]
    assert found.table["summed_pixels"].tolist() == [5]
    assert found.table["mpixdaq_x_mean"].tolist() == [93.2]
    assert found.features()["size"].tolist() == [5]
    path.write_text("time,x_mean,y_mean,n_pix,energy\n0.5,93.2,207.2,0,266.0\n")
    with pytest.raises(InputError, match=r"run\.csv: a cluster without"):
        read(path)
    path.write_text("time,x_mean,y_mean,n_pix,energy\n0.5,93.2,a,5,266.0\n")
    with pytest.raises(InputError, match=r"run\.csv"):
        mpixdaq.read_properties(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + FRAMES.replace("[4000, 7]", "").replace("15.5", "x"), r"line 8 \(frame 0\)"),
        (HEADER + FRAMES.replace("[65279, 3]", "[65279, 3, 1]"), r"line 11 \(frame 2\)"),
        (HEADER + FRAMES.replace("65535", "65536"), r"\(frame 2\): expected .* index below 65536"),
        (HEADER + FRAMES.replace("[65279, 3]", "[65279, true]"), r"\(frame 2\)"),
        (HEADER + FRAMES.replace("[65279, 3]", "[65279, 1e400]"), r"\(frame 2\)"),
        (HEADER + FRAMES.replace("... #end", ""), "stops before its end mark.*partial"),
        (HEADER + "frame_data: [[1, 2]]\n... #end\n", "line 7: expected a list"),
        (HEADER.replace("256", "0") + FRAMES, "width"),
        (HEADER.replace("height:", "height") + FRAMES, "header is no YAML"),
        (HEADER + "other: 1\n", "neither frame_data nor cluster_data"),
        (CLUSTERS.replace("[2.5, 181.86, 1]", "[2.5, 181.86]"), r"line 9 \(cluster 1\): expected \[\[3 properties"),
        (CLUSTERS.replace("[[20150, 7]]", "[]"), r"\(cluster 1\)"),
    ],
)
def test_bad_content(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(saved(tmp_path / "bad.yml", text))
    assert "bad.yml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_crashed_run_can_be_read_in_part(tmp_path: Path) -> None:
    text = (HEADER + FRAMES)[: (HEADER + FRAMES).index("65279")]
    path = saved(tmp_path / "f.yml", text)
    with pytest.raises(InputError, match="end mark"):
        read(path)
    assert len(read(path, partial=True)) == 2
    with pytest.raises(InputError, match="no option threshold"):
        read(path, threshold=3)


def test_cut_gzip_names_the_place(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.yml.gz", HEADER + FRAMES)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"f\.yml\.gz is a damaged gzip file, \d+ bytes"):
        read(path)


@given(
    st.sampled_from([HEADER + FRAMES, CLUSTERS]),
    st.booleans(),
    st.integers(0, 10**4),
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 7)), max_size=4),
)
@fuzzed
def test_fuzzed(tmp_path: Path, text: str, packed: bool, cut: int, flips: list[tuple[int, int]]) -> None:
    name = "f.yml.gz" if packed else "f.yml"
    content = bytearray(saved(tmp_path / name, text).read_bytes())
    for position, bit in flips:
        content[position % len(content)] ^= 1 << bit
    if cut % 2:
        content = content[: cut % len(content)]
    (tmp_path / name).write_bytes(bytes(content))
    message = ""
    try:
        assert isinstance(read(tmp_path / name), (Clusters, Frames))
    except InputError as error:
        message = str(error)
        assert name in message
    assert "\n" not in message


@given(st.text(alphabet="[]-,0123456789. \n#&*{}:abframe_dt", max_size=60))
@fuzzed
def test_fuzzed_lists(tmp_path: Path, entries: str) -> None:
    message = ""
    try:
        read(saved(tmp_path / "f.yml", f"{HEADER}frame_data:\n - {entries}\n... #end\n"))
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.real_data
def test_frames_of_the_black_forest_stone_give_the_clusters_of_mpixdaq(real_data: Path) -> None:
    """The same run as frames and as the clusters mPIXdaq found in them: the same sets of pixels."""
    frames = read(real_data / "timepix1" / "BlackForestStone.yml.gz")
    assert (len(frames), frames.shape) == (2000, (256, 256))
    clusters = read(real_data / "timepix1" / "BlackForestStone_clusters.yml.gz")
    ours, theirs = (sorted(sorted(map(tuple, h.tolist())) for h in part) for part in (cluster(frames), clusters))
    assert len(ours) == 19_639
    assert ours == theirs
    # Their energies too, and the sums mPIXdaq published.
    with gzip.open(real_data / "timepix1" / "BlackForestStone_clusters.yml.gz", "rt") as file:
        published = yaml.load(file, yaml.CSafeLoader)
    sums = [entry[0][published["keys"].index("energy")] for entry in published["cluster_data"]]
    np.testing.assert_allclose(np.add.reduceat(clusters.column("energy"), clusters.offsets[:-1]), sums, rtol=1e-6)


@pytest.mark.real_data
def test_gamma_run(real_data: Path) -> None:
    clusters = read(real_data / "timepix1" / "gammaRadiation_clusters.yml.gz")
    assert len(clusters) == 5621
    # Section 4.5 of our facts: 13-39 % single pixels.
    assert 0.13 < (clusters.sizes == 1).mean() < 0.39
