from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers import iter_parts, mpixdaq

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


def frames(path: Path, **options: object) -> Frames:
    return Frames.concat(part for part in iter_parts(path, **options) if isinstance(part, Frames))


def clusters(path: Path, **options: object) -> Clusters:
    return Clusters.concat(part for part in iter_parts(path, **options) if isinstance(part, Clusters))


@pytest.mark.parametrize("name", ["f.yml", "f.yml.gz", "frames.txt"])
def test_golden_frames(tmp_path: Path, name: str) -> None:
    found = frames(saved(tmp_path / name, HEADER + FRAMES))
    assert found.row.tolist() == [1, 2, 15, 255, 254, 0]
    assert found.col.tolist() == [71, 72, 160, 255, 255, 0]
    assert found.energy.tolist() == [22, 15.5, 7, 9, 3, 5]
    assert found.offsets.tolist() == [0, 3, 3, 6]
    assert (found.unit, found.shape) == ("keV", (256, 256))
    assert found.table is not None
    assert found.table["frame"].tolist() == [0, 1, 2]
    assert found.table["time_s"].tolist() == [0, 0.5, 1]
    assert found.table["duration_s"].tolist() == [0.5] * 3
    assert found.table["source"].tolist() == [name] * 3


def test_golden_clusters(tmp_path: Path) -> None:
    found = clusters(saved(tmp_path / "c.yml", CLUSTERS.replace("\n", "\r\n")))
    assert [h.tolist() for h in found] == [[[206, 93, 133], [206, 94, 24]], [[78, 182, 7]]]
    assert found.table["time_s"].tolist() == [0.5, 2.5]


def test_bad_pixels_are_left_out_of_frames(tmp_path: Path) -> None:
    found = frames(saved(tmp_path / "f.yml", HEADER + "badPixels: [584, 0]\n" + FRAMES))
    assert found.offsets.tolist() == [0, 2, 2, 4]


def test_batches_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpixdaq, "BATCH", 50)
    entries = "".join(f"  - [[{65280 + i}, 8], [{i}, 8]]\n" for i in range(120))
    path = saved(tmp_path / "f.yml", HEADER + "frame_data:\n" + entries + "... #end\n")
    assert [len(part) for part in iter_parts(path)] == [50, 50, 20]
    found = frames(path)
    assert found.table is not None
    assert found.table["frame"].tolist() == list(range(120))
    assert found.col.tolist() == np.repeat(np.arange(120), 2).tolist()
    assert found.row.tolist() == [255, 0] * 120


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("content", [HEADER + FRAMES, CLUSTERS, CLUSTERS.replace("\n", "\r\n")])
def test_blocks_of_any_size_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, content: str
) -> None:
    path = saved(tmp_path / "f.yml.gz", content)
    whole = list(iter_parts(path))
    monkeypatch.setattr(mpixdaq, "TEXT", size)
    pieces = list(iter_parts(path))
    assert len(pieces) >= len(whole) == 1
    if isinstance(whole[0], Frames):
        joined = Frames.concat(part for part in pieces if isinstance(part, Frames))
        for name in ("row", "col", "energy", "offsets"):
            np.testing.assert_array_equal(getattr(joined, name), getattr(whole[0], name), name)
        assert joined.table is not None
        assert joined.table.equals(whole[0].table)
    else:
        clusters_ = Clusters.concat(part for part in pieces if isinstance(part, Clusters))
        np.testing.assert_array_equal(clusters_.hits, whole[0].hits)
        assert clusters_.table.equals(whole[0].table)


def test_a_large_run_needs_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 MB of text in blocks of 4 kB: a small part of it is in memory at any time."""
    entry = "  - [" + ", ".join(f"[{i}, 8]" for i in range(0, 60000, 150)) + "]\n"
    path = tmp_path / "f.yml.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(HEADER + "frame_data:\n" + entry * 500 + "... #end\n")
    size = len(entry) * 500
    assert size > 2e6
    monkeypatch.setattr(mpixdaq, "TEXT", 2**12)
    list(iter_parts(saved(tmp_path / "small.yml", HEADER + FRAMES)))
    tracemalloc.start()
    assert sum(len(part) for part in iter_parts(path)) == 500
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4


def test_an_error_far_into_the_file_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpixdaq, "TEXT", 50)
    entries = "".join(f"  - [[{i}, 8]]\n\n" for i in range(100)) + "  - [[1, x]]\n"
    with pytest.raises(InputError, match=r"line 208 \(frame 100\)"):
        frames(saved(tmp_path / "f.yml", HEADER + "frame_data:\n" + entries + "... #end\n"))


def test_what_yaml_says_is_what_is_read(tmp_path: Path) -> None:
    entries = yaml.safe_load(CLUSTERS)["cluster_data"]
    found = clusters(saved(tmp_path / "c.yml", CLUSTERS))
    pixels = [[[h[0] * 256 + h[1], h[2]] for h in cluster.tolist()] for cluster in found]
    assert pixels == [entry[1] for entry in entries]


def test_a_csv_gives_one_summed_hit_a_cluster(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("time,x_mean,y_mean,n_pix,energy,w\n0.5,93.2,207.6,5,266.0,3\n1.0,7.0,9.0,1,5.5,1\n")
    assert mpixdaq.read_properties(path)["energy"].tolist() == [266.0, 5.5]
    found = clusters(path)
    assert [h.tolist() for h in found] == [[[208, 93, 266]], [[9, 7, 5.5]]]
    assert found.table["summed_pixels"].tolist() == [5, 1]
    assert found.table["summed_pixels"].dtype == np.int64
    assert found.table[["time_s", "x_mean", "w"]].to_numpy().tolist() == [[0.5, 93.2, 3], [1, 7, 1]]
    assert found.unit == "keV"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.5,93.2,a,5,266.0", "property table"),
        ("0.5,93.2,-4,5,266.0", "row 2: y_mean is -4"),
        ("0.5,93.2,,5,266.0", "row 2: y_mean is nan"),
        ("0.5,93.2,4,0,266.0", "row 2: n_pix is 0"),
        ("0.5,93.2,4,1,266.0,3", "property table"),
        ("0.5,93.2,4,1", "property table"),
        ("0.5,93.2,4,1.5,266.0", "n_pix is no whole number"),
    ],
)
def test_bad_properties(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "run.csv"
    path.write_text(f"time,x_mean,y_mean,n_pix,energy\n0.5,93.2,207.2,5,266.0\n{row}\n")
    with pytest.raises(InputError, match=message) as error:
        clusters(path)
    assert "run.csv" in str(error.value)
    assert "\n" not in str(error.value)
    path.write_text("time,x_mean,y_mean,energy\n0.5,93.2,207.2,266.0\n")
    with pytest.raises(InputError, match="no column n_pix"):
        clusters(path)


def test_frames_are_no_clusters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds frames; cluster them"):
        list(mpixdaq.iter_clusters(saved(tmp_path / "f.yml", HEADER + FRAMES)))


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
        list(iter_parts(saved(tmp_path / "bad.yml", text)))
    assert "bad.yml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_crashed_run_can_be_read_in_part(tmp_path: Path) -> None:
    text = (HEADER + FRAMES)[: (HEADER + FRAMES).index("65279")]
    path = saved(tmp_path / "f.yml", text)
    with pytest.raises(InputError, match="end mark"):
        frames(path)
    found = frames(path, partial=True)
    assert (len(found), found.col.tolist()) == (2, [71, 72, 160])
    with pytest.raises(InputError, match="no option threshold"):
        frames(path, threshold=3)


def test_cut_gzip_names_the_place(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.yml.gz", HEADER + FRAMES)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"f\.yml\.gz is a damaged gzip file, \d+ bytes"):
        frames(path)


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
        assert all(isinstance(part, (Clusters, Frames)) for part in iter_parts(tmp_path / name))
    except InputError as error:
        message = str(error)
        assert name in message
    assert "\n" not in message


@given(st.text(alphabet="[]-,0123456789. \n#&*{}:abframe_dt", max_size=60))
@fuzzed
def test_fuzzed_lists(tmp_path: Path, entries: str) -> None:
    message = ""
    try:
        list(iter_parts(saved(tmp_path / "f.yml", f"{HEADER}frame_data:\n - {entries}\n... #end\n")))
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.real_data
def test_frames_of_the_black_forest_stone_give_the_clusters_of_mpixdaq(real_data: Path) -> None:
    """The same run as frames and as the clusters mPIXdaq found in them: the same sets of pixels."""
    from scipy import ndimage

    run = frames(real_data / "timepix1" / "BlackForestStone.yml.gz")
    theirs = clusters(real_data / "timepix1" / "BlackForestStone_clusters.yml.gz")
    assert len(run) == 2000
    ours = []
    for i in range(len(run)):
        image = run[i].dense()[0]
        labels, _ = ndimage.label(image > 0, np.ones((3, 3)))
        row, col = np.nonzero(labels)
        pixels = np.column_stack([row, col, image[row, col]]).tolist()
        found: dict[int, list[tuple[float, ...]]] = {}
        for number, pixel in zip(labels[row, col].tolist(), pixels, strict=True):
            found.setdefault(number, []).append(tuple(pixel))
        ours += [sorted(members) for members in found.values()]
    assert len(ours) == 19_639
    assert sorted(ours) == sorted(sorted(map(tuple, h.tolist())) for h in theirs)


@pytest.mark.real_data
def test_gamma_run(real_data: Path) -> None:
    found = clusters(real_data / "timepix1" / "gammaRadiation_clusters.yml.gz")
    assert len(found) == 5621
    # Section 4.5 of our facts: 13-39 % single pixels.
    assert 0.13 < (found.sizes == 1).mean() < 0.39
