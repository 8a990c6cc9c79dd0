"""What users do to files: pack them, rename them, put them beside others, ask for the impossible."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from particle_zoo import Clusters, Frames, Hits, InputError, read, simulate
from particle_zoo.cli import chain_options
from particle_zoo.detectors.chain import iter_clusters
from particle_zoo.detectors.clustering import cluster, cluster_stream
from particle_zoo.detectors.readers import iter_parts
from particle_zoo.detectors.writers import write

STREAMS = ("t3pa", "t3p", "tpx3", "txt")


@pytest.fixture(scope="module")
def electrons() -> Clusters:
    return simulate("timepix3_500um", particle="electron", n=20, seed=1)


@pytest.mark.parametrize("name", [*STREAMS, "clog", "clist"])
def test_gzipped_files(tmp_path: Path, electrons: Clusters, name: str) -> None:
    path = write(tmp_path / f"a.{name}", electrons)
    packed = tmp_path / f"b.{name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    one, two = read(path), read(packed)
    column = "toa" if isinstance(one, Hits) else "hits"
    np.testing.assert_array_equal(getattr(two, column), getattr(one, column))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(InputError, match=rf"b\.{name}\.gz"):
        read(packed)


def test_a_folder_reads_its_gzipped_files_too(tmp_path: Path, electrons: Clusters) -> None:
    content = write(tmp_path / "a.t3pa", electrons).read_bytes()
    (tmp_path / "b.t3pa.gz").write_bytes(gzip.compress(content))
    assert read(tmp_path).run.max() == 1


def test_a_byte_order_mark(tmp_path: Path, electrons: Clusters) -> None:
    for name in ("t3pa", "clist"):
        path = write(tmp_path / f"a.{name}", electrons)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        found = read(path)
        assert len(found) > 0
        if isinstance(found, Clusters):
            assert "clist_DetectorID" in found.table


def test_preallocated_space_is_no_hit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.t3p", Hits([1], [1], [5], np.array([16])))
    path.write_bytes(path.read_bytes() + bytes(1600))
    with pytest.raises(InputError, match="byte 16: 16 bytes of zeros"):
        read(path)


def test_more_runs_than_two_bytes_count(tmp_path: Path) -> None:
    pixel, end = ((4 << 44) | (5 << 4)).to_bytes(6, "little"), ((0xC << 44) | 1).to_bytes(6, "little")
    (tmp_path / "a.raw").write_bytes((pixel + end) * 40_000)
    hits = read(tmp_path / "a.raw")
    assert hits.run.max() == 39_999
    assert len(cluster(hits)) == 40_000


@pytest.mark.parametrize("value", [0, -1, 1.5, "abc", True])
@pytest.mark.parametrize("name", STREAMS)
def test_impossible_chunks(tmp_path: Path, electrons: Clusters, name: str, value: Any) -> None:
    path = write(tmp_path / f"a.{name}", electrons)
    with pytest.raises(InputError, match="must be a whole number of 1 or more"):
        list(iter_parts(path, **{"block" if name == "txt" else "chunk": value}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"disorder_ns": 1e300}, "disorder_ns"),
        ({"disorder_ns": "a"}, "disorder_ns"),
        ({"window_ns": np.nan}, "window_ns"),
    ],
)
def test_impossible_times(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(cluster_stream([Hits([1], [1], [1], np.zeros(1, np.int64))], **settings))


def test_impossible_thresholds_and_pixels() -> None:
    for data in (Frames([1], [1], [1], [0, 1], (4, 4)), np.ones((4, 4))):
        with pytest.raises(InputError, match="threshold must be a number"):
            cluster(data, threshold=np.nan)
    assert len(cluster(np.full((4, 4), 5000, np.float16))) == 1
    with pytest.raises(InputError, match="real numbers; received complex"):
        cluster(np.ones((4, 4), complex))


@pytest.mark.parametrize(
    ("pair", "message"), [("chnk=5", "no format has this option"), ("path=x", "no format has this option")]
)
def test_settings_of_no_format(pair: str, message: str) -> None:
    options = {"threshold": None, "connectivity": "8", "calibration": None, "reading": (pair,)}
    with pytest.raises(InputError, match=message):
        chain_options(options)


def test_files_with_other_columns_are_not_shifted_into_one_table(tmp_path: Path, electrons: Clusters) -> None:
    from particle_zoo.plot import plot
    from particle_zoo.predict import predict

    files = [write(tmp_path / f"a.{name}", electrons) for name in ("t3pa", "clist")]
    for output in ("f.csv", "f.parquet"):
        arguments = ["--features", *map(str, files), "--calibration", "typical", "--output", str(tmp_path / output)]
        with pytest.raises(InputError, match=r"the files differ in what they say of a cluster .*predict them apart"):
            predict.main(arguments, standalone_mode=False)
        assert not (tmp_path / output).exists()
    # A picture needs no more than pixels.
    frames = write(tmp_path / "b.txt", Frames([1], [1], [50], [0, 1], (256, 256)))
    arguments = [str(files[0]), str(frames), "--calibration", "typical", "--output", str(tmp_path / "p")]
    plot.main(arguments, standalone_mode=False)
    assert (tmp_path / "p" / "overview.png").exists()


def test_columns_of_a_user_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    head = "T\tClusterPixels\tMine\nns\t\t\n"
    rows = "".join(f"{i}.0\t[1, 2, 5.0, 0.0]\t{'7' if i < 50 else '1.5' if i < 60 else 'abc'}\n" for i in range(70))
    (tmp_path / "a.clist").write_text(head + rows)
    kinds = {part.table["clist_Mine"].map(type).unique()[0] for part in iter_clusters(tmp_path / "a.clist", block=200)}
    assert kinds == {str}


def test_parts_of_a_cluster_file_are_not_taken_for_a_stream(tmp_path: Path) -> None:
    (tmp_path / "run_cl.txt").write_text("1000 3 1 0\n2000 3 5 30\n")
    with pytest.raises(InputError, match=r"give the \.ini"):
        read(tmp_path / "run_cl.txt")
