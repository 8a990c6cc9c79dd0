"""Files of jets that are missing, empty, of another format or damaged: one sentence each."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.data.jet_files import find, iter_jets
from particle_zoo.jets import FOUR_MOMENTUM, Jets
from tests.data.jet_tables import FLAT, FORMATS, GEV, refused
from tests.detectors.damage import broken, damages, fuzzed

# Files -------------------------------------------------------------------------------------------------------------


def test_no_file(tmp_path: Path) -> None:
    assert "is no file; name a file of jets" in refused(tmp_path / "a.parquet")
    assert "is a folder; name one of the files in it" in refused(tmp_path)
    for folder in (tmp_path, tmp_path / "b"):
        with pytest.raises(InputError, match=r"holds no file of jets|is no folder"):
            find(folder)


@pytest.mark.parametrize("name", ["a.parquet", "a.h5", "a.csv", "a.csv.gz", "a.root", "a"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "is empty; give a file with jets" in refused(tmp_path / name)


@pytest.mark.parametrize(("name", "write"), FLAT.values(), ids=FLAT)
def test_no_rows(tmp_path: Path, name: str, write: Callable) -> None:
    write(tmp_path / name, GEV[:0])
    assert "holds no jets" in refused(tmp_path / name)


def test_events_without_jets(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("T", {"pt": "var * float64"}).extend({"pt": ak.values_astype(ak.Array([[], []]), np.float64)})
    assert "holds no jets" in refused(tmp_path / "a.root", ("pt",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"pt,eta\n1,2\n", "is of no format known here (it starts with b'pt,eta\\n1,2\\n')"),
        ("a.pkl", b"\x80\x04\x95\x01", "is a pickle, which can run code when it is opened; write its table to parquet"),
        ("a.parquet", b"pt,eta\n1,2\n", "is no parquet file (it starts with b'pt,eta"),
        ("a.h5", b"pt,eta\n1,2\n", "is no HDF5 file"),
        ("a.root", b"pt,eta\n1,2\n", "is no ROOT file"),
        ("a.csv", b"1,2\n3,4\n", "starts with numbers; its first line must name the columns"),
        ("a.csv", b"\n\n", "does not start with names of columns"),
        ("a.csv", b"\x00\x01\x02\x03", "does not start with names of columns"),
        ("a.csv", b"\xff\xfe\x00p", "is no text"),
        ("a.csv", b"pt,eta\n30,1\n30,1,2\n", "is no table of 2 columns (Error tokenizing data. C error: Expected 2"),
        ("a.csv", b"pt,eta\n30,1,2\n30,1,2\n", "is no table of 2 columns (Length of header"),
        ("a.csv", b"pt,eta\n30\n", "row 0: eta is nan"),
        ("a.csv", b'pt,eta\n30,"1\n30,2\n', "is no table of 2 columns"),
        ("a.csv", b"pt,eta\n30,\xe9\n", "is no table of 2 columns"),
        ("a.csv.gz", gzip.compress(b"pt,eta\n" + b"30,1.25\n" * 5000, mtime=0)[:-20], "damaged gzip"),
        ("a.csv", gzip.compress(b"PAR1 and more", mtime=0), "is a gzipped parquet file; unpack it first"),
    ],
)
def test_other_content(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in refused(tmp_path / name, ("pt", "eta"))


@pytest.mark.parametrize(("holds", "name"), [("parquet", "a.h5"), ("group", "a.csv"), ("tree", "a.parquet")])
def test_a_name_of_another_format(tmp_path: Path, holds: str, name: str) -> None:
    FORMATS[holds][1](tmp_path / name, GEV)
    said = {"parquet": "holds parquet, though its name says HDF5", "group": "holds HDF5, though its name says CSV"}
    assert said.get(holds, "holds ROOT, though its name says parquet; rename it") in refused(tmp_path / name)


# Damage ------------------------------------------------------------------------------------------------------------


@cache
def content(kind: str) -> bytes:
    name, write = FORMATS[kind]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name, GEV)
        return (Path(folder) / name).read_bytes()


def jets_or_one_sentence(path: Path, want: tuple[str, ...]) -> str:
    message = ""
    try:
        jets = Jets.concat([jets for jets, _ in iter_jets(path, want)])
        assert np.isfinite(jets.values).all()
        assert (jets.column("pt") > 0).all()
    except InputError as error:
        message = str(error)
    assert not message or message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", FORMATS)
@fuzzed
@given(**damages)
def test_damaged_files(tmp_path: Path, kind: str, cut: int, flips: list[tuple[int, int]]) -> None:
    path = tmp_path / FORMATS[kind][0]
    path.write_bytes(broken(content(kind), cut, flips))
    jets_or_one_sentence(path, FOUR_MOMENTUM)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "csv"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_stops_early(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / FORMATS[kind][0]
    path.write_bytes(content(kind)[: int(len(content(kind)) * share)])
    assert "damaged" in refused(path)


@fuzzed
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    for name, start in (
        ("a.parquet", b"PAR1"),
        ("a.h5", b"\x89HDF\r\n\x1a\n"),
        ("a.root", b"root"),
        ("a.csv", b"pt,eta\n"),
    ):
        (tmp_path / name).write_bytes(start + data)
        jets_or_one_sentence(tmp_path / name, ("pt", "eta"))
