"""The user's own files of jets: every format gives the same jets."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.data import jet_files
from particle_zoo.data.jet_files import JetFileSettings, find, iter_jets, settings_of
from particle_zoo.data.jet_tables.root import short_names
from particle_zoo.jets import AOD_27, ENERGIES, FOUR_MOMENTUM, MASS_MODE, Jets
from tests.data.jet_tables import EVENTS, FLAT, GEV, LISTS, MEV, write_csv, write_lists, write_parquet


def read(path: Path, want: tuple[str, ...] = FOUR_MOMENTUM, keep: tuple[str, ...] = (), **pairs: object) -> Jets:
    return Jets.concat([jets for jets, _ in iter_jets(path, want, JetFileSettings.from_pairs(pairs), keep=keep)])


def same(jets: Jets, *, want: tuple[str, ...] = FOUR_MOMENTUM, rtol: float = 1e-14) -> None:
    assert jets.columns == want
    np.testing.assert_allclose(jets.values, GEV[list(want)], rtol=rtol, atol=1e-15)


# Formats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["GeV", "MeV"])
@pytest.mark.parametrize(("name", "write"), (FLAT | LISTS).values(), ids=FLAT | LISTS)
def test_every_format_gives_the_same_jets(tmp_path: Path, name: str, write, unit: str) -> None:
    write(tmp_path / name, (GEV if unit == "GeV" else MEV)[["m", "E", "eta", "pt", "phi"]])
    same(read(tmp_path / name, unit=unit))
    same(read(tmp_path / name, MASS_MODE, unit=unit), want=MASS_MODE)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(("name", "write"), (FLAT | LISTS).values(), ids=FLAT | LISTS)
def test_chunks_give_the_same_as_the_whole(
    tmp_path: Path, name: str, write, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / name, GEV)
    monkeypatch.setattr(jet_files, "ROWS", rows)
    chunks = [jets for jets, _ in iter_jets(tmp_path / name, FOUR_MOMENTUM)]
    # Rows of a file with lists are events.
    assert len(chunks) > 1
    same(Jets.concat(chunks))


@pytest.mark.parametrize(("name", "write"), LISTS.values(), ids=LISTS)
def test_entries_with_lists_of_jets_are_events(
    tmp_path: Path, name: str, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / name, GEV)
    np.testing.assert_array_equal(read(tmp_path / name).events, EVENTS)
    monkeypatch.setattr(jet_files, "ROWS", 2)
    np.testing.assert_array_equal(read(tmp_path / name).events, EVENTS)


def test_values_of_an_event_are_repeated_for_its_jets(tmp_path: Path) -> None:
    write_lists(tmp_path / "a.root", GEV)
    path = tmp_path / "a.root"
    ((jets, kept),) = iter_jets(path, ("pt",), JetFileSettings(event="run"), keep=["run", "Jet_m"])
    np.testing.assert_array_equal(jets.events, EVENTS + 7)
    np.testing.assert_array_equal(kept["run"], EVENTS + 7)
    np.testing.assert_array_equal(kept["Jet_m"], GEV["m"])


def test_a_flat_file_has_events_where_a_column_tells_them(tmp_path: Path) -> None:
    for kind in ("int64", "uint64", "float32", "int16"):
        write_parquet(tmp_path / "a.parquet", GEV.assign(run=EVENTS.astype(kind)))
        np.testing.assert_array_equal(read(tmp_path / "a.parquet", event="run").events, EVENTS)
    assert read(tmp_path / "a.parquet").events is None
    # Two events that no float can tell apart.
    large = 2**62 + np.array([0, 0, 1, 1, 1, 2])
    write_csv(tmp_path / "a.csv", GEV.assign(run=large))
    np.testing.assert_array_equal(read(tmp_path / "a.csv", event="run").events, large)


def test_a_data_set_of_two_dimensions_is_read_by_column(tmp_path: Path) -> None:
    path = tmp_path / "g.hdf5"
    with h5py.File(path, "w") as file:
        file["jet_features"] = GEV[["pt", "eta", "m", "phi"]].to_numpy(np.float32)
        file.create_dataset("particle_features", data=np.zeros((6, 30, 4)))
    jets = read(path, pt="jet_features:0", eta="jet_features:1", m="jet_features:2", phi=0.0)
    np.testing.assert_allclose(jets.column("E"), GEV["E"], rtol=1e-6)
    assert (jets.column("phi") == 0).all()


def test_columns_of_a_compound_field(tmp_path: Path) -> None:
    # As PyTables writes a DataFrame.
    path = tmp_path / "a.h5"
    rows = np.zeros(6, [("index", np.int64), ("values_block_0", np.float64, (4,))])
    rows["values_block_0"] = GEV[["pt", "eta", "phi", "m"]]
    with h5py.File(path, "w") as file:
        file["table/table"] = rows
    columns = {name: f"table/table/values_block_0:{i}" for i, name in enumerate(("pt", "eta", "phi", "m"))}
    same(read(path, **columns))


def test_a_name_that_is_no_utf_8_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in GEV:
            file[name] = GEV[name].to_numpy()
        file.create_dataset("énergie".encode("latin-1"), data=GEV["E"].to_numpy())
    same(read(path))
    same(read(path, E=r"\xe9nergie"))


@pytest.mark.parametrize("kind", ["zstd", "gzip", "snappy"])
def test_compression_categories_and_decimals(tmp_path: Path, kind: str) -> None:
    table = pa.table(
        {
            "pt": pa.array(GEV["pt"]).dictionary_encode(),
            "eta": pa.array(GEV["eta"]),
            "phi": pa.array(GEV["phi"]).cast(pa.decimal128(8, 4)),
            "E": pa.array(GEV["E"]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", compression=kind)
    same(read(tmp_path / "a.parquet"))


@pytest.mark.parametrize("text", ["pt;eta;phi;E", "pt\teta\tphi\tE", "# pt, eta, phi, E", "\ufeffpt,eta,phi,E"])
def test_csv_of_spreadsheets_and_numpy(tmp_path: Path, text: str) -> None:
    separator = next((mark for mark in ";\t" if mark in text), ",")
    rows = [separator.join(map(repr, row)) for row in GEV[list(FOUR_MOMENTUM)].to_numpy().tolist()]
    (tmp_path / "a.csv").write_text("\r\n".join([text, *rows, ""]), encoding="utf-8")
    same(read(tmp_path / "a.csv"))


def test_content_goes_before_the_name(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.pq", GEV)
    same(read(tmp_path / "a.pq"))
    write_lists(tmp_path / "DAOD.1._000001.pool.root.1", GEV)
    same(read(tmp_path / "DAOD.1._000001.pool.root.1"))
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        for name in GEV:
            file[name] = GEV[name].to_numpy()
    same(read(tmp_path / "a.h5"))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.floats(1, 2000), st.floats(-4.5, 4.5), st.floats(-3.1, 3.1), st.floats(0, 200)), min_size=1)
)
def test_mev_and_gev_are_the_same_jets(tmp_path: Path, rows: list[tuple[float, ...]]) -> None:
    gev = pd.DataFrame(rows, columns=["pt", "eta", "phi", "m"])
    mev = gev.assign(pt=gev["pt"] * 1000, m=gev["m"] * 1000)
    write_parquet(tmp_path / "g.parquet", gev)
    write_parquet(tmp_path / "m.parquet", mev)
    np.testing.assert_allclose(
        read(tmp_path / "g.parquet").values, read(tmp_path / "m.parquet", unit="MeV").values, rtol=1e-14
    )


def test_only_energies_have_a_unit(tmp_path: Path) -> None:
    values = pd.DataFrame({name: [1500.0] for name in AOD_27})
    values[["eta", "phi", "ActiveArea4vec_phi", "ActiveArea4vec_eta"]] = 0.5
    write_parquet(tmp_path / "a.parquet", values)
    jets = read(tmp_path / "a.parquet", AOD_27, unit="MeV")
    for name in AOD_27:
        assert jets.column(name)[0] == values[name][0] / (1000 if name in ENERGIES else 1)


# Columns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("pT", "Eta", "PHI", "mass"),
        ("PT", "eta", "phi", "energy"),
        ("jet_pt", "jet_eta", "jet_phi", "jet_e"),
        ("Jet.PT", "Jet.Eta", "Jet.Phi", "Jet.Mass"),
        *(
            tuple(f"{prefix}{name}" for name in ("pt", "eta", "phi", "m"))
            for prefix in (
                "AnalysisJetsAuxDyn.",
                "AnalysisJetsAuxDyn:",
                "HLT_xAOD__JetContainer_TrigHLTJetDSSelectorCollectionAuxDyn.",
            )
        ),
    ],
)
def test_columns_are_found_by_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    last = "E" if names[-1].lower().endswith(("e", "energy")) else "m"
    frame = GEV[["pt", "eta", "phi", last]].set_axis(list(names), axis=1)
    write_parquet(tmp_path / "a.parquet", frame.assign(N=1, jet_pt_raw=0.0, weight=2.0))
    same(read(tmp_path / "a.parquet"))


def test_branches_in_branches() -> None:
    keys = ["JetsAux.", "JetsAux./JetsAux.pt", "a", "a/pt", "b/pt", "run"]
    assert short_names(keys) == ("JetsAux.", "JetsAux.pt", "a", "a/pt", "b/pt", "run")


def test_a_longer_name_is_another_variable(tmp_path: Path) -> None:
    frame = GEV[["pt", "eta", "phi", "m"]]
    area = frame.add_prefix("ActiveArea4vec_") * 0.1
    write_parquet(tmp_path / "a.parquet", pd.concat([area, frame], axis=1).add_prefix("XAuxDyn."))
    same(read(tmp_path / "a.parquet"))


def test_the_plainest_name_wins(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pd.concat([GEV.add_prefix("truth_") * 2, GEV.assign(M=1, pT=1)], axis=1))
    same(read(tmp_path / "a.parquet"))


def test_one_given_column_says_which_jets(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, pd.concat([GEV.add_prefix("FatJet_") * 1.5, GEV.add_prefix("Jet_")], axis=1))
    with pytest.raises(InputError, match=r"several kinds of jets \(FatJet_pt, Jet_pt\); say which.*pt=FatJet_pt"):
        read(path)
    same(read(path, pt="Jet_pt"))
    # The others must not be of another kind.
    write_parquet(path, pd.concat([GEV.add_prefix("FatJet_"), GEV[["pt", "eta"]].add_prefix("Jet_")], axis=1))
    with pytest.raises(InputError, match="no column for phi"):
        read(path, pt="Jet_pt")
    # Not even by a name without a prefix.
    write_parquet(path, pd.concat([GEV * 3, GEV.add_prefix("Jet_")], axis=1))
    same(read(path, pt="Jet_pt"))
    # What is not needed is not looked for.
    write_parquet(path, pd.concat([GEV.add_prefix("FatJet_"), GEV[["pt", "eta"]].add_prefix("Jet_")], axis=1))
    assert read(path, ("eta", "pt"), pt="Jet_pt").columns == ("eta", "pt")
    # Columns that are all given may be of any kind.
    same(read(path, pt="Jet_pt", eta="FatJet_eta", phi="FatJet_phi", m="FatJet_m"))


def test_energy_from_the_given_mass(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", GEV.assign(E=GEV["E"] + 500).rename(columns={"m": "calibrated_m"}))
    same(read(tmp_path / "a.parquet", pt="pt", eta="eta", m="calibrated_m"))


def test_a_number_has_the_unit_of_the_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", MEV[["pt", "eta", "phi"]])
    jets = read(tmp_path / "a.csv", MASS_MODE, m=5000, unit="MeV")
    assert (jets.column("m") == 5).all()


def test_columns_kept_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jet_files, "ROWS", 3)
    extra = {"label": list("abcdef"), "weight": [0.5, 1, 1, 1, 1, 2], "n": range(6), "code": [*"xyz", "1", "2", "3"]}
    write_csv(tmp_path / "a.csv", GEV.assign(**extra))
    kept = pd.concat(
        [rows for _, rows in iter_jets(tmp_path / "a.csv", FOUR_MOMENTUM, keep=list(extra))], ignore_index=True
    )
    pd.testing.assert_frame_equal(kept, pd.DataFrame(extra))
    write_csv(tmp_path / "a.csv", GEV.assign(weight=[1, 1, 1, 0.5, 1, 1]))
    kept = [rows["weight"] for _, rows in iter_jets(tmp_path / "a.csv", FOUR_MOMENTUM, keep=["weight"])]
    assert kept[0].tolist() == [1, 1, 1]
    (tmp_path / "a.csv").write_text("pt,n\n30,1\n30,2\n30,3\n30,4.5\n")
    with pytest.raises(InputError, match="n is float64 from row 3 on, before it is int64; write it alike"):
        list(iter_jets(tmp_path / "a.csv", ("pt",), keep=["n"]))


def test_a_missing_whole_number_stays_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jet_files, "ROWS", 3)
    table = pa.table({"pt": GEV["pt"], "n": pa.array([1, 2, 3, None, 5, 6], pa.int64())})
    pq.write_table(table, tmp_path / "a.parquet")
    first, second = (rows["n"] for _, rows in iter_jets(tmp_path / "a.parquet", ("pt",), keep=["n"]))
    assert first.tolist() == [1, 2, 3]
    assert second.isna().tolist() == [True, False, False]
    assert second.tolist()[1:] == [5, 6]


# Folders -----------------------------------------------------------------------------------------------------------


def test_files_and_settings_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "c.H5", "d.pool.root.2", "jets.json", "notes.txt", ".e.csv"):
        (tmp_path / name).touch()
    (tmp_path / "f.csv").mkdir()
    assert [path.name for path in find(tmp_path)] == ["a.parquet", "b.csv", "c.H5", "d.pool.root.2"]
    given = {"columns": {"pt": "Jet_pt", "phi": 0.0}, "unit": "MeV", "tree": "T", "event": "run", "trust_unit": True}
    (tmp_path / "jets.json").write_text(json.dumps(given))
    assert settings_of(tmp_path) == JetFileSettings(**given)
    flat = given.pop("columns") | given
    assert JetFileSettings.from_pairs(flat) == settings_of(tmp_path)
    (tmp_path / "jets.json").unlink()
    assert settings_of(tmp_path) == JetFileSettings()


def test_a_file_of_this_package_states_its_unit(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pandas(MEV)
    pq.write_table(table.replace_schema_metadata({b"particle_zoo_unit": b"MeV"}), path)
    same(read(path))
    same(read(path, unit="MeV"))
    with pytest.raises(InputError, match="states its energies in MeV; leave out unit=GeV"):
        read(path, unit="GeV")
    pq.write_table(table.replace_schema_metadata({b"particle_zoo_unit": b"keV"}), path)
    with pytest.raises(InputError, match="states its energies in 'keV'; expected GeV or MeV"):
        read(path)


def test_a_tree_in_a_folder_of_the_file(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        for name, scale in (("a/T", 1.0), ("b/T", 2.0)):
            tree = file.mktree(name, {"pt": "float32"})
            tree.extend({"pt": np.array([30.0 * scale], np.float32)})
    assert read(tmp_path / "a.root", ("pt",), tree="b/T").values.tolist() == [[60.0]]
    with pytest.raises(InputError, match=r"holds the trees a/T, b/T; say which with tree=NAME"):
        read(tmp_path / "a.root", ("pt",))


# Examples of the README --------------------------------------------------------------------------------------------


def test_nanoaod(tmp_path: Path) -> None:
    counts = np.bincount(EVENTS)
    branches = {
        f"{kind}_{name}": ak.unflatten((GEV[own] * scale).to_numpy(np.float32), counts)
        for kind, scale in (("FatJet", 2.0), ("Jet", 1.0), ("GenJet", 0.9))
        for name, own in (("pt", "pt"), ("eta", "eta"), ("phi", "phi"), ("mass", "m"))
    }
    with uproot.recreate(tmp_path / "nano.root") as file:
        tree = file.mktree("Events", dict.fromkeys(branches, "var * float32") | {"event": "uint64"})
        tree.extend(branches | {"event": np.arange(len(counts), dtype=np.uint64) + 238962455})
        file.mktree("Runs", {"run": "uint32"}).extend({"run": np.array([1], np.uint32)})
    (tmp_path / "jets.json").write_text('{"tree": "Events", "columns": {"pt": "Jet_pt"}}')
    (path,) = find(tmp_path)
    ((jets, _),) = iter_jets(path, FOUR_MOMENTUM, settings_of(tmp_path))
    same(jets, rtol=1e-6)
    np.testing.assert_array_equal(jets.events, EVENTS)


def test_the_27_variables_of_xaod(tmp_path: Path) -> None:
    prefix = "HLT_xAOD__JetContainer_TrigHLTJetDSSelectorCollectionAuxDyn."
    counts = np.bincount(EVENTS)
    values = pd.DataFrame({name: np.linspace(0.1, 0.2, 6) for name in AOD_27}).assign(**MEV[["pt", "eta", "phi", "m"]])
    with uproot.recreate(tmp_path / "DAOD.1._000263.pool.root.1") as file:
        tree = file.mktree("CollectionTree", {prefix + name: "var * float32" for name in AOD_27})
        tree.extend({prefix + name: ak.unflatten(values[name].to_numpy(np.float32), counts) for name in AOD_27})
        file.mktree("MetaData", {"n": "int32"}).extend({"n": np.array([1], np.int32)})
    (tmp_path / "jets.json").write_text('{"tree": "CollectionTree", "unit": "MeV"}')
    (path,) = find(tmp_path)
    ((jets, _),) = iter_jets(path, AOD_27, settings_of(tmp_path))
    same(jets.select(MASS_MODE), want=MASS_MODE, rtol=1e-6)
    np.testing.assert_allclose(jets.column("NegativeE"), values["NegativeE"] / 1000, rtol=1e-6)
    np.testing.assert_allclose(jets.column("Width"), values["Width"], rtol=1e-6)
