"""Jets that are nearly right: rounded masses, energies below the momentum, and bad jets that are left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from particle_zoo import InputError
from particle_zoo.data import jet_files
from particle_zoo.data.jet_files import JetFileSettings, iter_jets
from particle_zoo.data.jet_values import JetCounts
from particle_zoo.data.jets import load_jets
from particle_zoo.decompress import ORIGIN, UNIT
from particle_zoo.jets import FOUR_MOMENTUM, MASS_MODE, Jets
from tests.data.jet_tables import EVENTS, FLAT, FORMATS, GEV, LISTS, refused, write_csv, write_parquet

NO_MASS = list(FOUR_MOMENTUM)


def read(
    path: Path, want: tuple[str, ...], keep: tuple[str, ...] = (), **pairs: object
) -> tuple[Jets, pd.DataFrame, JetCounts]:
    counts = JetCounts()
    parts = list(iter_jets(path, want, JetFileSettings.from_pairs(pairs), keep=keep, counts=counts))
    return Jets.concat([jets for jets, _ in parts]), pd.concat([kept for _, kept in parts]), counts


def below(frame: pd.DataFrame, *rows: int) -> pd.DataFrame:
    """Jets of which some have 0.99 of their momentum as energy."""
    momentum = frame["pt"] * np.cosh(frame["eta"])
    return frame.assign(E=frame["E"].where(~frame.index.isin(rows), 0.99 * momentum))


# Masses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [-0.0, -1e-6, -1.0])
def test_a_mass_just_below_0_is_rounding(tmp_path: Path, m: float) -> None:
    # Momentum 804 GeV: what single precision leaves of E^2 - p^2 is about a GeV^2.
    frame = GEV[["pt", "eta", "phi", "m"]].copy()
    frame.loc[4, "m"] = m
    write_parquet(tmp_path / "a.parquet", frame)
    jets, _, counts = read(tmp_path / "a.parquet", MASS_MODE)
    assert jets.column("m")[4] == 0
    assert (jets.column("m") >= 0).all()
    assert counts.lines() == []
    np.testing.assert_array_equal(np.delete(jets.column("m"), 4), np.delete(GEV["m"].to_numpy(), 4))


def test_masses_of_single_precision_are_read(tmp_path: Path) -> None:
    # Massless jets; the mass of four-vectors has the sign of E^2 - p^2.
    rng = np.random.default_rng(0)
    pt, eta, phi = rng.uniform(20, 800, 5000), rng.uniform(-4.5, 4.5, 5000), rng.uniform(-np.pi, np.pi, 5000)
    of_vector = (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta))
    x, y, z, e = (component.astype(np.float32) for component in of_vector)
    squared = e * e - (x * x + y * y + z * z)
    m = np.sign(squared) * np.sqrt(np.abs(squared))
    assert (m < -0.1).sum() > 100
    write_parquet(tmp_path / "a.parquet", pd.DataFrame({"pt": pt, "eta": eta, "phi": phi, "m": m}))
    jets, _, _ = read(tmp_path / "a.parquet", MASS_MODE)
    assert (jets.column("m") >= 0).all()


# Energies below the momentum ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "write"), FORMATS.values(), ids=FORMATS)
def test_energies_below_the_momentum_are_counted_where_no_mass_is_needed(
    tmp_path: Path, name: str, write: Callable
) -> None:
    frame = below(GEV, 1, 4)
    write(tmp_path / name, frame)
    jets, _, counts = read(tmp_path / name, FOUR_MOMENTUM)
    np.testing.assert_allclose(jets.column("E"), frame["E"], rtol=1e-14)
    assert counts.lines() == ["2 of 6 jets have E below the momentum"]


def test_energies_below_the_momentum_have_no_mass(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_csv(path, below(GEV, 4)[NO_MASS])
    assert "row 4: E is 795.963 GeV, below the momentum of 804.003 GeV; check" in refused(path, MASS_MODE)
    jets, _, counts = read(path, MASS_MODE, skip_bad=True)
    np.testing.assert_allclose(jets.column("m"), GEV["m"].drop(4), rtol=1e-6, atol=1e-6)
    assert "left out: 1 of 6 jets" in counts.lines()[0]


def test_where_most_energies_are_below_the_momentum_they_are_no_energies(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", GEV.assign(E=GEV["m"]))
    assert "row 0: E is 40 GeV, below the momentum" not in refused(tmp_path / "a.csv")
    assert "below the momentum of" in refused(tmp_path / "a.csv")


@pytest.mark.parametrize("suffix", [".parquet", ".h5"])
def test_decoded_energies_below_the_momentum_give_no_mass(tmp_path: Path, suffix: str) -> None:
    path, frame = tmp_path / f"a{suffix}", below(GEV, 0, 1, 2, 4)[NO_MASS]
    about = {UNIT: "GeV", ORIGIN: "{}"}
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs.update(about)
            for column in frame:
                file[column] = frame[column].to_numpy()
    else:
        pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(about), path)
    jets, _, counts = read(path, (*FOUR_MOMENTUM, "m"))
    assert jets.column("m")[[0, 1, 2, 4]].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(jets.column("m")[3], GEV["m"][3], rtol=1e-9)
    np.testing.assert_array_equal(jets.column("E"), frame["E"])
    assert counts.lines() == ["4 of 6 jets have E below the momentum; the mass of 4 is taken as 0"]


# Bad jets ----------------------------------------------------------------------------------------------------------

BAD = {"pt": 0.0, "eta": np.nan, "phi": 171.0, "m": -2.0}


@pytest.mark.parametrize("column", BAD)
@pytest.mark.parametrize(("name", "write"), (FLAT | LISTS).values(), ids=FLAT | LISTS)
def test_bad_jets_are_left_out(
    tmp_path: Path, name: str, write: Callable, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jet_files, "ROWS", 2)
    frame = GEV.copy()
    frame.loc[3, column] = BAD[column]
    write(tmp_path / name, frame)
    jets, kept, counts = read(tmp_path / name, MASS_MODE, skip_bad=True)
    np.testing.assert_allclose(jets.values, GEV.drop(index=3)[list(MASS_MODE)], rtol=1e-14)
    assert kept.index.tolist() == [0, 1, 2, 4, 5]
    assert (counts.jets, counts.skipped) == (5, 1)
    (line,) = counts.lines()
    assert line.startswith(f"left out: 1 of 6 jets, the first: {tmp_path / name}, ")
    if jets.events is not None:
        np.testing.assert_array_equal(jets.events, np.delete(EVENTS, 3))


def test_kept_columns_and_chunks_without_a_good_jet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jet_files, "ROWS", 2)
    frame = GEV.assign(pt=[-1, -1, 250, 25.5, np.nan, 40.0], n=range(6))
    write_csv(tmp_path / "a.csv", frame)
    jets, kept, counts = read(tmp_path / "a.csv", FOUR_MOMENTUM, ("n",), skip_bad=True)
    assert jets.column("pt").tolist() == [250, 25.5, 40]
    assert kept["n"].tolist() == kept.index.tolist() == [2, 3, 5]
    assert counts.skipped == 3


def test_only_bad_jets(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", GEV.assign(pt=-1.0))
    said = refused(tmp_path / "a.csv", skip_bad=True)
    assert "has only jets that had to be left out, 6 of them; the first: " in said
    assert "row 0: pt is -1 GeV" in said


@pytest.mark.parametrize("value", ["x", "True"])
def test_text_is_not_left_out(tmp_path: Path, value: str) -> None:
    write_csv(tmp_path / "a.csv", GEV.assign(eta=[value, *["0"] * 5]))
    assert f"row 0: eta is {value!r}" in refused(tmp_path / "a.csv", skip_bad=True)


def test_the_data_set_of_files_tells_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_csv(tmp_path / "a.csv", GEV.assign(pt=[-1, *GEV["pt"][1:]]))
    with pytest.raises(InputError, match="pt is -1 GeV"):
        load_jets("jets/files", "all", manual_dir=tmp_path, use_tfds=False)
    (tmp_path / "jets.json").write_text('{"skip_bad": true}')
    assert len(load_jets("jets/files", "all", manual_dir=tmp_path, use_tfds=False)) == 5
    assert f"{tmp_path}: left out: 1 of 6 jets" in capsys.readouterr().err
