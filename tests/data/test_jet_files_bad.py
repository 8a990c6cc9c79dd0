"""Files of jets that cannot be read as they are: one sentence each, which says what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from particle_zoo import InputError
from particle_zoo.data import jet_files
from particle_zoo.data.jet_files import JetFileSettings, iter_jets, settings_of
from particle_zoo.jets import FOUR_MOMENTUM, MASS_MODE
from tests.data.jet_tables import FLAT, FORMATS, GEV, MEV, refused, write_csv, write_lists, write_parquet

# Values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "want", "message"),
    [
        ("pt", np.nan, FOUR_MOMENTUM, "pt is nan; remove such jets"),
        ("eta", np.inf, FOUR_MOMENTUM, "eta is inf"),
        ("phi", -np.inf, MASS_MODE, "phi is -inf"),
        ("m", np.nan, MASS_MODE, "m is nan"),
        ("pt", 0.0, FOUR_MOMENTUM, "pt is 0 GeV, expected more than 0"),
        ("pt", -25.5, MASS_MODE, "pt is -25.5 GeV, expected more than 0"),
        ("m", -1.5, MASS_MODE, "m is -1.5 GeV, expected 0 or more"),
        ("phi", 171.0, FOUR_MOMENTUM, "phi is 171; expected an angle in rad"),
    ],
)
@pytest.mark.parametrize(("name", "write"), FORMATS.values(), ids=FORMATS)
def test_values_that_no_jet_has(
    tmp_path: Path,
    name: str,
    write: Callable,
    column: str,
    value: float,
    want: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jet_files, "ROWS", 2)
    frame = GEV.copy()
    frame.loc[4, column] = value
    write(tmp_path / name, frame)
    said = refused(tmp_path / name, want)
    flat = any(write is found for _, found in FLAT.values())
    assert (", row 4: " if flat else ", entry 2, jet 2: ") in said
    assert message in said


def test_values_that_are_not_asked_for_may_be_anything(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", GEV.assign(m=-1.0, E=np.nan, note="x"))
    ((jets, _),) = iter_jets(tmp_path / "a.csv", ("pt", "eta", "phi"))
    assert len(jets) == 6


def test_no_finite_energy(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", GEV.assign(eta=[0, 0, 0, 0, 0, 1e3])[["pt", "eta", "phi", "m"]])
    assert "row 5: E or m is not finite; check which column" in refused(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("frame", "pairs", "message"),
    [
        (MEV, {}, "read as GeV, the median pt is 5.2e+04 GeV; give unit=MeV (--set unit=MeV), or trust_unit=true"),
        (GEV, {"unit": "MeV"}, "read as MeV, the median pt is 0.052 GeV; give unit=GeV (--set unit=GeV)"),
        (GEV.assign(pt=0.01), {}, "the median pt is 0.01 GeV; write the file in GeV or MeV, or trust_unit=true"),
    ],
)
def test_a_unit_that_the_scale_contradicts(tmp_path: Path, frame: pd.DataFrame, pairs: dict, message: str) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, frame[["pt", "eta", "phi", "m"]])
    assert message in refused(path, **pairs)
    settings = JetFileSettings.from_pairs({**pairs, "trust_unit": True})
    assert sum(len(jets) for jets, _ in iter_jets(path, FOUR_MOMENTUM, settings)) == 6


def test_nothing_is_given_before_the_scale_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jet_files, "ROWS", 2)
    write_csv(tmp_path / "a.csv", MEV)
    with pytest.raises(InputError, match="median pt"):
        next(iter_jets(tmp_path / "a.csv", FOUR_MOMENTUM))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("eta", ["0.1", "x1", "2"], "row 1: eta is 'x1' (str); expected a number"),
        ("eta", [True, False, True], "row 0: eta is 'True' (bool); expected a number"),
        ("eta", ["1", "2", "3"], "row 0: eta is '1' (str); expected a number"),
        ("eta", pd.to_datetime(["2020-01-01"] * 3), "expected a number"),
    ],
)
def test_text_in_a_column_of_numbers(tmp_path: Path, column: str, values: list, message: str) -> None:
    write_parquet(tmp_path / "a.parquet", GEV[:3].assign(**{column: values}))
    said = refused(tmp_path / "a.parquet")
    assert message.replace("(str)", "") in said.replace("(str)", "").replace("(object)", "")
    if values[1] == "x1":
        write_csv(tmp_path / "a.csv", GEV[:3].assign(**{column: values}))
        assert "row 1: eta is 'x1'" in refused(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.5] * 6, "row 0: run is 1.5; expected the number of an event"),
        (["a"] * 6, "row 0: run is 'a'"),
        ([1, np.nan, 2, 3, 4, 5], "row 1: run is nan"),
        ([1e300] * 6, "run is 1e+300; expected the number of an event"),
        (np.full(6, 2**63 + 5, np.uint64), "run is 9223372036854775813; expected the number of an event"),
    ],
)
def test_events_that_are_no_numbers(tmp_path: Path, values: list, message: str) -> None:
    write_parquet(tmp_path / "a.parquet", GEV.assign(run=values))
    assert message in refused(tmp_path / "a.parquet", event="run")


# Columns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pairs", "message"),
    [
        (["pt", "eta", "phi"], {}, "has no column for E; give E=COLUMN, or E=NUMBER that stands for it"),
        (["pt", "eta", "phi0", "m"], {}, "has no column for phi (did you mean phi0?); give phi=COLUMN"),
        (["pt", "eta", "phi", "m"], {"m": "Jet_m"}, "has no column 'Jet_m' for m (did you mean m?); it has pt, eta"),
        (["pt", "eta", "phi", "Mass", "M"], {}, "has Mass, M for m; say which is meant with m=COLUMN"),
        (["pt", "eta", "phi", "m"], {"event": "run"}, "has no column 'run' for event; it has pt, eta, phi, m"),
        (["pt", "eta", "phi", "m"], {"tree": "Events"}, "is parquet, which has no trees; leave out tree=Events"),
        (["x", "a_pt", "a_eta"], {}, "has no column for phi"),
        (["a_pt", "a_eta", "a_phi", "a_m", "b_pt", "b_eta", "b_phi", "b_m"], {}, "(a_pt, b_pt); say which is meant"),
        (
            ["x", "a_eta", "a_phi", "a_m", "b_eta", "b_phi", "b_m"],
            {"pt": "x"},
            "(a_eta, b_eta); say which is meant, e.g. eta=a_eta",
        ),
        (["pt"], {"pt": 30, "eta": 0, "phi": 0, "m": 1}, "every variable is a number in the settings"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, names: list[str], pairs: dict, message: str) -> None:
    write_parquet(tmp_path / "a.parquet", pd.DataFrame(np.ones((3, len(names))), columns=names))
    assert message in refused(tmp_path / "a.parquet", **pairs)


def test_what_a_wide_file_has_is_shortened(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame(np.ones((2, 900)), columns=[f"v{i}" for i in range(900)]))
    assert "of v0, v1, v2, v3, v4, v5, v6, v7, ... (900 in all)" in refused(tmp_path / "a.csv")


def test_names_with_line_breaks_stay_in_one_sentence(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pd.DataFrame(np.ones((2, 3)), columns=["a\npt", "p\nt", "x\n_pt"]))
    assert "no column for pt (did you mean" in refused(tmp_path / "a.parquet", ("pt",))


def test_columns_to_keep_that_are_not_there(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", GEV.assign(weight=1))
    assert "no column 'wieght' for the output (did you mean weight?)" in refused(tmp_path / "a.csv", keep=("wieght",))


def test_a_column_twice(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("pt,eta,pt\n30,1,31\n")
    assert "has pt, pt for pt; say which is meant" in refused(tmp_path / "a.csv", ("pt", "eta"))
    assert "has 2 columns 'pt'; rename all but one" in refused(tmp_path / "a.csv", ("pt", "eta"), pt="pt")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("jet_features:4", "jet_features has 4 columns, numbered from 0; received '4'"),
        ("jet_features:-1", "jet_features has 4 columns, numbered from 0; received '-1'"),
        ("jet_features:pt", "jet_features has 4 columns, numbered from 0; received 'pt'"),
        ("jet_features", "jet_features has 4 columns; name one, e.g. jet_features:0"),
        ("particle_features", "particle_features has the shape (6, 30, 4); expected one value"),
        ("particle_features:0", "no column 'particle_features:0'"),
        ("number", "number has the shape ()"),
        ("group", "group is a group; name a data set in it: short, x"),
        ("jets", "jets has fields; name one, e.g. jets/pt"),
        ("jets/ptt", "no column 'jets/ptt' for pt (did you mean jets/pt?)"),
        ("group/x:0", "no column 'group/x:0' for pt (did you mean group/x"),
        ("jets/pt/x", "no column 'jets/pt/x'"),
        ("jets/pt:0", "no column 'jets/pt:0'"),
        ("group/short", "has 6 rows, group/short has 5; name columns of the same jets"),
        ("", "no column '' for pt"),
        ("/", "/ is a group; name a data set in it: group, "),
        ("../x", "no column '../x' for pt"),
    ],
)
def test_data_sets_that_are_no_columns(tmp_path: Path, column: str, message: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["jet_features"] = np.ones((6, 4))
        file["particle_features"] = np.ones((6, 30, 4))
        file["number"] = 5.0
        file["group/x"] = np.ones(6)
        file["group/short"] = np.ones(5)
        file["jets"] = GEV[["pt"]].to_records(index=False)
    said = refused(tmp_path / "a.h5", ("eta", "pt"), pt=column, eta="group/x")
    assert message in said


def test_lists_of_different_lengths(tmp_path: Path) -> None:
    lists = {"Jet_pt": ak.Array([[30.0], [40.0, 50.0]]), "Jet_eta": ak.Array([[0.0], [1.0]])}
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("T", dict.fromkeys(lists, "var * float64")).extend(lists)
    assert "entry 1: Jet_pt has 2 jets, Jet_eta has 1; name columns of one kind" in refused(
        tmp_path / "a.root", ("pt", "eta")
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (ak.Array([[[30.0]], [[40.0], [50.0]]]), "Jet_pt holds var * var * float64; expected a number, or a list"),
        (ak.Array([{"x": 1.0}, {"x": 2.0}]), "Jet_pt holds {x: float64}; expected a number"),
        (ak.Array(["a", "b"]), "row 0: Jet_pt is 'a'"),
    ],
)
def test_branches_that_are_no_columns(tmp_path: Path, array: ak.Array, message: str) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mkrntuple("T", {"Jet_pt": array})
    assert message in refused(tmp_path / "a.root", ("pt",), pt="Jet_pt")


def test_parquet_columns_of_lists_of_lists_and_records(tmp_path: Path) -> None:
    for values in ([[[30.0]]], [{"x": 1.0}], [[{"x": 1.0}]], [[[1.0], None]]):
        pq.write_table(pa.table({"pt": values}), tmp_path / "a.parquet")
        assert "expected a number" in refused(tmp_path / "a.parquet", ("pt",))


def test_trees_that_are_not_there(tmp_path: Path) -> None:
    write_lists(tmp_path / "a.root", GEV)
    assert "has no tree 'events'; there is Events" in refused(tmp_path / "a.root", tree="events")
    with uproot.recreate(tmp_path / "b.root") as file:
        file["h"] = np.histogram(np.ones(3))
    assert "holds no tree; it has h" in refused(tmp_path / "b.root")


def test_one_value_an_event_is_no_variable_of_its_jets(tmp_path: Path) -> None:
    pq.write_table(pa.table({"pt": [[30.0], [40.0, 50.0]], "eta": [0.0, 1.0]}), tmp_path / "a.parquet")
    assert "eta has one value an event, other columns a list of jets" in refused(tmp_path / "a.parquet", ("pt", "eta"))


def test_uproot_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lists(tmp_path / "a.root", GEV)
    monkeypatch.setitem(sys.modules, "uproot", None)
    assert "needs uproot; install it with: pip install 'particle-zoo[root]'" in refused(tmp_path / "a.root")


# Settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"pT": "x"}, "columns: pT is no variable of a jet (did you mean pt?); KEY is unit, tree, event, trust_unit"),
        ({"ActiveAera": "x"}, "(did you mean ActiveArea?)"),
        ({"zzz": "x"}, "zzz is no variable of a jet (did you mean pt, eta, phi, m, E?)"),
        ({"columns": {"pt": "x"}}, "columns.columns: Input should be a valid string"),
        ({"unit": "TeV"}, "unit: Input should be 'GeV' or 'MeV'"),
        ({"tree": 5}, "tree: Input should be a valid string"),
        ({"trust_unit": "yes"}, "trust_unit: Input should be a valid boolean"),
        ({"pt": True}, "columns.pt"),
        ({"pt": None}, "columns.pt"),
        ({"pt": float("nan")}, "columns.pt"),
        ({"pt": ["Jet_pt"]}, "columns.pt"),
    ],
)
def test_settings_that_cannot_be(pairs: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        JetFileSettings.from_pairs(pairs)
    assert message in str(error.value)
    assert str(error.value).startswith("--set KEY=VALUE: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"units": "GeV"}',
            "units: Extra inputs are not permitted; it may set columns, unit, tree, event, trust_unit",
        ),
        ('{"pt": "Jet_pt"}', "pt: Extra inputs are not permitted; it may set columns, unit"),
        ('{"columns": {"pT": "x"}}', "pT is no variable of a jet"),
        ('{"columns": ["pt"]}', "columns: Input should be a valid dictionary"),
        ("[]", "must hold a JSON object"),
        ("{", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
    ],
)
def test_a_settings_file_that_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "jets.json").write_text(text)
    with pytest.raises(InputError) as error:
        settings_of(tmp_path)
    assert message in str(error.value)
    assert "jets.json" in str(error.value)
