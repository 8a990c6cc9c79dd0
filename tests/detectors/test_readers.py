from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, Frames, Hits, InputError, read, simulate
from particle_zoo.data import files
from particle_zoo.detectors.chain import iter_clusters
from particle_zoo.detectors.readers import folder as folders
from particle_zoo.detectors.writers import write

GRID = "0,0,0\n0,1,1\n0,0,1\n0,0,0\n"
PROPERTIES = "time,x_mean,y_mean,n_pix,energy\n0.5,93.2,207.6,5,266.0\n1.0,7.0,9.0,1,5.5\n"


@pytest.fixture
def frame_file(tmp_path: Path) -> Path:
    frame = np.full((40, 25), 3900, np.uint16)
    frame[10:13, 4:6] = 5000
    path = tmp_path / "frame.fits"
    astropy_fits.PrimaryHDU(frame).writeto(path)
    return path


def test_golden_mask(tmp_path: Path) -> None:
    path = tmp_path / "001178.csv"
    path.write_text(GRID)
    cluster = read(path)
    assert cluster.unit == "mask"
    assert cluster.ids.tolist() == ["001178"]
    assert cluster.hits.tolist() == [[1, 1, 1], [1, 2, 1], [2, 2, 1]]


def test_golden_energies_on_the_seeds_background(tmp_path: Path) -> None:
    path = tmp_path / "5.csv"
    path.write_text("4000,4100.5\n4000,7000\n")
    cluster = read(path)
    assert cluster.unit == "ADU"
    assert cluster.hits.tolist() == [[0, 1, 4100.5], [1, 1, 7000]]


def test_a_cluster_that_fills_its_grid_keeps_its_dimmest_pixel(tmp_path: Path) -> None:
    path = tmp_path / "6.csv"
    path.write_text("5000\n5200\n5400\n5600\n5800\n6000\n")
    # One column and no comma: the ending of the name decides.
    assert read(path).hits[:, 2].tolist() == [5000, 5200, 5400, 5600, 5800, 6000]
    path.write_text("3990,4001\n4000,4300\n")
    assert read(path).hits.tolist() == [[0, 1, 4001], [1, 1, 4300]]
    path.write_text("3990,4000\n")
    with pytest.raises(InputError, match=r"no pixel above its background \(4000\)"):
        read(path)


def test_golden_frame(frame_file: Path) -> None:
    found = read(frame_file)
    assert found.hits[:, :2].astype(int).tolist() == [[10, 4], [10, 5], [11, 4], [11, 5], [12, 4], [12, 5]]
    assert found.table["energy_sum"].tolist() == [30000]
    assert len(read(frame_file, min_size=7)) == 0


def test_labelled_layout_skips_strays_and_leaves_unknown_energies_open(layout: Path) -> None:
    clusters = read(layout)
    assert len(clusters) == 60
    assert set(clusters.labels) <= {"other", "xray", "electron", "muon", "several"}
    # Four are missing from cluster_meta.csv and one has E = 0, which is no energy either.
    assert clusters.table["energy_sum"].isna().sum() == 5


def test_tar_and_folder_are_the_same(layout: Path) -> None:
    folder = read(layout)
    with tarfile.open(layout / "clusters.tar", "w") as archive:
        archive.add(layout / "clusters", arcname="clusters")
    shutil.rmtree(layout / "clusters")
    archived = read(layout)
    np.testing.assert_array_equal(archived.hits, folder.hits)
    assert archived.table.equals(folder.table)


@pytest.mark.real_data
def test_real_labels(real_data: Path) -> None:
    clusters = read(real_data / "ccd")
    names, counts = np.unique(clusters.labels, return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "electron": 35, "muon": 117, "other": 28, "several": 53, "xray": 123,
    }  # fmt: skip
    # 13 ids are absent from cluster_meta.csv, 3 more have E = 0.
    assert clusters.table["energy_sum"].isna().sum() == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1\n0,a\n", "line 2"),
        ("0,1\n0,1,1\n", "line 2: 3 values"),
        ("", "empty"),
        ("0,0\n0,0\n", "no pixel"),
        ("0,nan\n1,1\n", "line 1: not a finite"),
        (",".join("1" * 5000), "larger than the sensor"),
    ],
)
def test_bad_cluster_csv(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "12.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert "12.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_layouts(layout: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no detector file"):
        read(tmp_path / "empty")
    extra = layout / "labels" / "extra.npy"
    np.save(extra, np.array([[999_999], [1]]))
    with pytest.raises(InputError, match="belong to no cluster"):
        read(layout)
    extra.unlink()
    (layout / "clusters" / "888888.csv").write_text(GRID)
    with pytest.raises(InputError, match="have no label"):
        read(layout)
    np.save(extra, np.array([[888_888], [9]]))
    with pytest.raises(InputError, match="class 9"):
        read(layout)


def test_a_folder_gives_all_of_its_files(frame_file: Path, tmp_path: Path) -> None:
    """Frames and energy grids, with strays between them: nothing that holds clusters is left out."""
    folder = tmp_path / "both"
    folder.mkdir()
    shutil.copy(frame_file, folder / "frame.fits")
    (folder / "000001.csv").write_text("4000,5000\n4000,7000\n")
    for stray in ("notes.csv", ".000002.csv", "readme.txt", "settings.yml"):
        (folder / stray).write_text("threshold: 3\n")
    found = read(folder)
    assert found.ids.tolist()[0] == "000001"
    assert found.table["source"].tolist() == ["000001.csv", "frame.fits"]
    assert len(read(folder, min_size=7)) == 1
    with pytest.raises(InputError, match="cluster CSV and FITS files have no option partial"):
        read(folder, partial=True)


def test_a_folder_gives_the_csvs_of_every_format(tmp_path: Path) -> None:
    """Recognised by content, whatever they are called; a table that no format knows is none of them."""
    write(tmp_path / "a.clog", simulate("timepix_300um", particle="proton", n=7, seed=1))
    (tmp_path / "run.csv").write_text(PROPERTIES)
    (tmp_path / "20240131.csv").write_text(PROPERTIES)
    (tmp_path / "run2.csv.gz").write_bytes(gzip.compress(PROPERTIES.encode()))
    (tmp_path / "settings.csv").write_text("threshold,bias\n3,155\n")
    alone = len(read(tmp_path / "a.clog"))
    sources = read(tmp_path).table["source"].tolist()
    assert sources == ["20240131.csv"] * 2 + ["a.clog"] * alone + ["run.csv"] * 2 + ["run2.csv.gz"] * 2


def test_a_folder_of_deposits(tmp_path: Path) -> None:
    for name in ("a_deposits.csv", "1_deposits.csv", "g4.csv"):
        (tmp_path / name).write_text("Event: 1\n211, 0, 0.06, 0, 0, 0.1, sensor, 1, 0\n")
    found = read(tmp_path, seed=3)
    assert found.table["source"].tolist() == ["1_deposits.csv", "a_deposits.csv", "g4.csv"]
    assert set(found.labels) == {"pion"}
    (tmp_path / "a_deposits.csv").write_text("Event: 1\n211, 0\n")
    with pytest.raises(InputError, match=r"a_deposits\.csv, line 2"):
        read(tmp_path)


@pytest.mark.parametrize(("table", "pixels"), [("run.csv", "run.yml"), ("20240131.csv", "20240131_clusters.yml")])
def test_a_run_counts_once(tmp_path: Path, table: str, pixels: str) -> None:
    """Its properties are those of the clusters whose pixels lie beside them."""
    (tmp_path / table).write_text(PROPERTIES)
    (tmp_path / pixels).write_text("keys: [time]\ncluster_data:\n - [[0.5], [[5, 133], [6, 24]]]\n... #end\n")
    assert read(tmp_path).sizes.tolist() == [2]
    # So do data sets made of files.
    assert files.find(tmp_path) == [tmp_path / pixels]
    (tmp_path / pixels).write_text("threshold: 3\n")
    assert read(tmp_path).sizes.tolist() == [1, 1]


@pytest.mark.parametrize("inside", ["", "below"])
def test_tables_beside_grids_are_no_clusters(layout: Path, tmp_path: Path, inside: str) -> None:
    """The grids of the layout without its labels, a table of labels without a header among them."""
    expected = read(layout)
    folder = tmp_path / "grids" / inside
    shutil.copytree(layout / "clusters", folder)
    shutil.copy(layout / "cluster_meta.csv", folder)
    (folder / "labels.csv").write_text("61,1\n68,2\n")
    found = read(tmp_path / "grids")
    assert found.ids.tolist() == expected.ids.tolist()
    np.testing.assert_array_equal(found.hits, expected.hits)
    (folder / "000062.csv").write_text("id,label\n61,1\n")
    with pytest.raises(InputError, match=r"000062\.csv, line 1"):
        read(tmp_path / "grids")


@pytest.mark.parametrize("name", ["000001.csv.gz", "000001.CSV", "000001_A.csv"])
def test_grids_by_other_spellings_of_their_names(tmp_path: Path, name: str) -> None:
    content = GRID.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (tmp_path / "000002.csv").write_text(GRID)
    number = name.partition(".")[0]
    assert read(tmp_path).ids.tolist() == [number, "000002"]
    (tmp_path / f"{number}{'.csv' if name != f'{number}.csv' else '.CSV'}").write_text(GRID)
    with pytest.raises(InputError, match=f"holds the id {number} more than once; keep one file an id"):
        read(tmp_path)


def test_many_grids_are_looked_at_by_no_other_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        (tmp_path / f"{i:06d}.csv").write_text(GRID)
    monkeypatch.setattr(folders, "find_among_others", lambda *_: pytest.fail("a grid was offered to all formats"))
    assert len(read(tmp_path)) == 20


def test_a_folder_of_parquet(frame_file: Path, tmp_path: Path) -> None:
    clusters = read(frame_file)
    assert isinstance(clusters, Clusters)
    for name in ("b", "a"):
        write(tmp_path / "p" / f"{name}.parquet", clusters.with_table(source=[name]))
    assert read(tmp_path / "p").table["source"].tolist() == ["a", "b"]


def test_a_folder_of_kinds_that_cannot_be_joined_names_both(frame_file: Path, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(GRID)
    with pytest.raises(
        InputError, match="mixes cluster CSV clusters in mask and FITS clusters in ADU, which cannot be joined"
    ):
        read(tmp_path)
    (tmp_path / "1.csv").unlink()
    hits = "Index\tMatrix Index\tToA\tToT\tFToA\tOverflow\n0\t1\t2\t3\t4\t0\n"
    (tmp_path / "m.t3pa").write_text(hits)
    with pytest.raises(InputError, match=r"mixes FITS clusters in ADU and \.t3pa hits in ToT"):
        read(tmp_path)
    frame_file.unlink()
    assert len(read(tmp_path)) == 1
    (tmp_path / "n.t3pa").write_text(hits)
    assert read(tmp_path).run.tolist() == [0, 1]
    # The same pixel at the same time of two clocks.
    assert sum(len(part) for part in iter_clusters(tmp_path)) == 2


def test_truncated_and_nan_fits(frame_file: Path, tmp_path: Path) -> None:
    content = frame_file.read_bytes()
    cut = tmp_path / "cut.fits"
    cut.write_bytes(content[:3500])
    with pytest.raises(InputError, match=r"cut\.fits"):
        read(cut)
    frame = np.full((6, 4), 1.0, np.float32)
    frame[2, 3] = np.nan
    astropy_fits.PrimaryHDU(frame).writeto(tmp_path / "nan.fits")
    with pytest.raises(InputError, match="row 2, col 3"):
        read(tmp_path / "nan.fits")


def test_labels_with_an_open_bracket_in_their_header(layout: Path) -> None:
    path = layout / "labels" / "categories_a.npy"
    path.write_bytes(path.read_bytes().replace(b"}", b"{", 1))
    with pytest.raises(InputError, match="no NumPy array"):
        read(layout)


def test_options_of_another_format_are_refused_unless_a_command_mixes_formats(tmp_path: Path) -> None:
    path = tmp_path / "3.csv"
    path.write_text(GRID)
    with pytest.raises(InputError, match="cluster CSV files have no option threshold; it takes none"):
        read(path, threshold=1)
    assert len(list(iter_clusters(path, ignore_unknown=True, threshold=1))) == 1


def test_unknown_content_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.doc"
    path.write_bytes(b"\x01\x02 something else")
    with pytest.raises(InputError, match=r"notes\.doc is of no format known here .*\.t3pa.*\.clog"):
        read(path)


def broken(content: bytes, cut: int, flips: list[tuple[int, int]]) -> bytes:
    damaged = bytearray(content[: cut % (len(content) + 1)])
    for position, bit in flips:
        if damaged:
            damaged[position % len(damaged)] ^= 1 << bit
    return bytes(damaged)


damage = {
    "cut": st.integers(0, 10**6),
    "flips": st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), max_size=6),
}
fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def reads_or_refuses(path: Path) -> None:
    """A damaged file gives clusters or one sentence, and nothing else."""
    message = ""
    try:
        assert isinstance(read(path), Clusters)
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@given(**damage)
@fuzzed
def test_fuzzed_csv(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    path = tmp_path / "7.csv"
    path.write_bytes(broken(GRID.encode(), cut, flips))
    reads_or_refuses(path)


@given(**damage)
@fuzzed
def test_fuzzed_fits(frame_file: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    path = frame_file.with_name("fuzz.fits")
    path.write_bytes(broken(frame_file.read_bytes(), cut, flips))
    reads_or_refuses(path)


@given(**damage)
@fuzzed
def test_fuzzed_tar(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("1.csv", "2.csv"):
            member = tarfile.TarInfo(name)
            member.size = len(GRID)
            archive.addfile(member, io.BytesIO(GRID.encode()))
    path = tmp_path / "clusters.tar"
    path.write_bytes(broken(buffer.getvalue(), cut, flips))
    reads_or_refuses(path)


@given(**damage)
@fuzzed
def test_fuzzed_labels(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    folder = tmp_path / "fuzz"
    (folder / "clusters").mkdir(parents=True, exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "clusters" / "1.csv").write_text(GRID)
    buffer = io.BytesIO()
    np.save(buffer, np.array([[1], [2]]))
    (folder / "labels" / "a.npy").write_bytes(broken(buffer.getvalue(), cut, flips))
    reads_or_refuses(folder)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.t3pa", b"Index\tMatrix Index\tToA\tToT\tFToA\tOverflow\n", Hits),
        ("a.t3p", b"", Hits),
        ("a.tpx3", b"", Hits),
        ("a.raw", b"", Hits),
        ("a.dat", b"# Allpix Squared ASCII data - x\n\n# 0 objects from 0 messages\n", Frames),
        ("a.clist", b"T\tClusterPixels\nns\t\n", Clusters),
    ],
)
def test_a_file_without_hits_is_an_empty_record_of_its_kind(
    tmp_path: Path, name: str, content: bytes, kind: type
) -> None:
    (tmp_path / name).write_bytes(content)
    found = read(tmp_path / name)
    assert isinstance(found, kind)
    assert len(found) == 0
