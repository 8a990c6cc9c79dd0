"""`.clist`, MM files and their simulated variant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError, read, simulate
from particle_zoo.detectors.clustering import cluster
from particle_zoo.detectors.readers import clist, mm
from particle_zoo.detectors.writers import write
from particle_zoo.detectors.writers.clist import COLUMNS
from particle_zoo.detectors.writers.mm import write_simulated
from tests.detectors.damage import broken, damages, fuzzed, read_or_one_sentence

# Columns in another order than usual, one of the user's own; the pixel of advacam-dpe/pydpe's sample.
CLIST = (
    "X\tT\tClusterPixels\tMine\tE\tSize\n"
    "px\tns\t\t\tkeV\tpx\n"
    "127.5\t203346.875\t[127, 72, 46.0, 0.000]\ta b\t46.00\t1\n"
    "3.0\t1e9\t[2, 7, 5.5, 1.5625] [3, 7, 6.25, 0.0]\t\t11.75\t2\n"
)
INI = "[Measurement]\nPxFile=C:\\runs\\a_px.txt\nClFile=a_cl.txt\nFormat=txt\n"
PX = "1 2 100.0 7.5\n2 2 101.5625 8.0\n#\n250 3 900.0 4.25\n#\n"
CL = "100.0 2 0 0\n900.0 1 3 33\n"
SIM = (
    "ParticleType=Proton,Size=2,Energy=15.5,Theta=30.0,Phi=-90\n1 2 100.0 7.5\n2 2 101.5625 8.0\n"
    "ParticleType=e-,Size=1,Energy=4.25,Theta=0,Phi=0\n250 3 900.0 4.25\n"
)


def mm_files(folder: Path, ini: str = INI, px: str = PX, cl: str = CL) -> Path:
    for name, text in (("a.ini", ini), ("a_px.txt", px), ("a_cl.txt", cl)):
        (folder / name).write_text(text)
    return folder / "a.ini"


def timed(n: int = 40, seed: int = 2) -> Clusters:
    return simulate("timepix3_500um", particle="electron", n=n, seed=seed)


def same(one: Clusters, two: Clusters) -> None:
    np.testing.assert_array_equal(one.hits, two.hits)
    np.testing.assert_array_equal(one.offsets, two.offsets)
    assert one.unit == two.unit


@pytest.mark.parametrize("name", ["a.clist", "a.elist", "table.txt"])
def test_clist_columns_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CLIST.replace("\n", "\r\n").encode())
    found = read(tmp_path / name)
    assert [h.tolist() for h in found] == [
        [[72, 127, 46.0, 203346.875]],
        [[7, 2, 5.5, 1e9 + 1.5625], [7, 3, 6.25, 1e9]],
    ]
    assert (found.unit, found.table["clist_Mine"].tolist()[0]) == ("keV", "a b")
    assert found.table["first_toa_ns"].tolist() == [203346.875, 1e9]
    assert len(list(clist.iter_clusters(tmp_path / name, block=60))) > 1


def test_clist_round_trip(tmp_path: Path) -> None:
    clusters = timed()
    back = read(write(tmp_path / "a.clist", [clusters[:15], clusters[15:]]))
    same(back, clusters)
    assert (tmp_path / "a.clist").read_text().split("\n")[0].split("\t") == list(COLUMNS)
    assert len(COLUMNS) == 30
    np.testing.assert_allclose(back.table["clist_E"], clusters.features()["energy_sum"])
    assert back.table["clist_ClusterID"].tolist() == list(range(40))
    with pytest.raises(InputError, match="an energy and a time a pixel"):
        write(tmp_path / "b.clist", Clusters.from_list([[(0, 0, 1)]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("ClusterPixels", "Pixels"), "no format known|no column ClusterPixels"),
        (("203346.875", "later"), "line 3: expected a time and pixels"),
        (("[127, 72, 46.0, 0.000]", "[127, 72, 46.0]"), "line 3: expected a time and pixels"),
        (("[127, 72, 46.0, 0.000]", "[127.5, 72, 46.0, 0]"), "line 3: expected a time and pixels"),
        (("[3, 7, 6.25, 0.0]", "[3, 7, x, 0.0]"), "line 4: expected a time and pixels"),
        (("\t1\n", "\t1\t9\n"), "line 3: 7 columns of 6"),
        (("11.75\t2", "11.75\t3"), "line 4: Size is 3, ClusterPixels has 2"),
        (("keV", "MeV"), "energies are in 'MeV'"),
        (("Mine", "Size"), "a column appears twice"),
    ],
)
def test_bad_clists(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "bad.clist").write_text(CLIST.replace(*change))
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path / "bad.clist")
    assert "bad.clist" in str(error.value)


def test_mm_by_hand(tmp_path: Path) -> None:
    found = read(mm_files(tmp_path))
    assert [h.tolist() for h in found] == [[[2, 1, 7.5, 100], [2, 2, 8, 101.5625]], [[3, 250, 4.25, 900]]]
    assert found.table["first_toa_ns"].tolist() == [100, 900]
    assert len(list(mm.iter_clusters(tmp_path / "a.ini", block=20))) == 2
    # The folder is read through its .ini, its parts are none of their own.
    assert len(read(tmp_path)) == 2


def test_mm_round_trips(tmp_path: Path) -> None:
    clusters = timed()
    same(read(write(tmp_path / "a.ini", [clusters[:15], clusters[15:]])), clusters)
    simulated = read(write_simulated(tmp_path / "a_sim.txt", [clusters]))
    same(simulated, clusters)
    assert simulated.labels.tolist() == ["electron"] * 40
    np.testing.assert_array_equal(simulated.table["theta"], clusters.table["theta"])


def test_mm_simulated_by_hand(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(SIM)
    found = read(tmp_path / "x.txt")
    assert [h.tolist() for h in found] == [[[2, 1, 7.5, 100], [2, 2, 8, 101.5625]], [[3, 250, 4.25, 900]]]
    assert found.table[["label", "particle_type", "sim_energy_kev", "theta", "phi"]].to_numpy().tolist() == [
        ["proton", "Proton", 15.5, 30, -90], ["e-", "e-", 4.25, 0, 0],
    ]  # fmt: skip
    assert len(list(mm.iter_simulated(tmp_path / "x.txt", block=30))) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"cl": CL.replace("100.0 2", "100.0 3")}, "line 1: n_hits does not fit"),
        ({"cl": CL.replace("900.0", "901.0")}, "line 2: first_toa_ns does not fit"),
        ({"cl": CL.replace(" 3 33", " 3 34")}, "line 2: px_byte_start does not fit"),
        ({"cl": CL.replace(" 3 33", " 4 33")}, "line 2: px_line_start does not fit"),
        ({"cl": CL + "950.0 1 5 52\n"}, "ends after 2 clusters of the 3"),
        ({"cl": CL[: CL.index("900")]}, "more clusters than the 1"),
        ({"cl": "x y z w\n"}, "line 1: expected four numbers"),
        ({"px": PX[:-2]}, "not closed by #"),
        ({"px": PX.replace("8.0", "8.0 9")}, "line 2: expected four numbers"),
        ({"px": PX.replace("250 3", "-250 3")}, "outside every chip"),
        ({"px": PX.replace("1 2 100.0 7.5\n2 2 101.5625 8.0\n", "")}, "a cluster without hits"),
        ({"ini": INI.replace("ClFile=a_cl.txt", "")}, "names no clusters"),
        ({"ini": INI.replace("a_cl", "b_cl")}, "names b_cl.txt, which is not beside it"),
        ({"ini": INI.replace("=txt", "=bin")}, "format 'bin'"),
    ],
)
def test_mm_files_that_contradict_each_other(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(mm_files(tmp_path, **files))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("2 2 101", "# 2 101"), "line 1: a cluster with 1 pixels of 2"),
        (("Size=2", "Size=3"), "line 1: a cluster with 2 pixels of 3"),
        (
            (
                "Size=2,Energy=15.5,Theta=30.0,Phi=-90\n1 2 100.0 7.5\n",
                "Size=3,Energy=15.5,Theta=30.0,Phi=-90\n1 2 100.0 7.5\n\n",
            ),
            "a line without hits",
        ),
        (("Energy=4.25", "Energy=a"), "energy or angles are no numbers"),
        (("250 3 900.0 4.25", "250 3 900.0"), "line 5: expected four numbers|a cluster with"),
    ],
)
def test_bad_mm_simulations(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "a_sim.txt").write_text(SIM.replace(*change))
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a_sim.txt")


def test_parts_of_mm_files_name_the_ini(tmp_path: Path) -> None:
    mm_files(tmp_path)
    for name in ("a_cl.txt", "a_px.txt"):
        with pytest.raises(InputError, match=r"give the \.ini that names it"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["f.clist", "f_px.txt", "f_cl.txt", "f_sim.txt"])
@given(**damages)
@fuzzed
def test_fuzzed(tmp_path: Path, name: str, cut: int, flips: list[tuple[int, int]]) -> None:
    text = {"f.clist": CLIST, "f_px.txt": PX, "f_cl.txt": CL, "f_sim.txt": SIM}[name]
    damaged = broken(text.encode(), cut, flips)
    if name in ("f_px.txt", "f_cl.txt"):
        mm_files(tmp_path)
        (tmp_path / f"a{name[1:]}").write_bytes(damaged)
        try:
            read(tmp_path / "a.ini")
        except InputError as error:
            message = str(error)
            assert "\n" not in message
        return
    (tmp_path / name).write_bytes(damaged)
    read_or_one_sentence(read, tmp_path / name)


@given(st.integers(0, 2**31))
@fuzzed
def test_clusters_of_a_stream_survive_every_list(tmp_path: Path, seed: int) -> None:
    """From hits to clusters to a list and back."""
    from particle_zoo import Hits

    rng = np.random.default_rng(seed)
    hits = Hits(
        rng.integers(0, 9, 12), rng.integers(0, 9, 12), rng.integers(1, 99, 12), rng.integers(0, 500, 12), unit="keV"
    )
    clusters = cluster(hits)
    for name in ("a.clist", "a.ini", "a.clog"):
        back = read(write(tmp_path / name, clusters))
        same(back, clusters)
