from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from particle_zoo import InputError, data
from particle_zoo.data import jets as jet_data
from particle_zoo.data.jets import SPLITS, fingerprint, load_jets
from particle_zoo.data.jets_source import Simulated
from particle_zoo.jets import AOD_25, AOD_27, Jets
from particle_zoo.simulation.jets import generate


def of_files(folder: Path, split: str = "all", **options: Any) -> Jets:
    return load_jets("jets/files", split, manual_dir=folder, use_tfds=False, **options)


def frame(n: int, seed: int = 0) -> pd.DataFrame:
    return generate(n, seed).to_frame()


def aod(n: int) -> pd.DataFrame:
    """Jets with all 27 variables; those that are no momentum are small positive numbers."""
    found = frame(n)
    rng = np.random.default_rng(1)
    return found[["pt", "eta", "phi", "m"]].assign(**{name: rng.random(n) for name in AOD_27[4:]})


def test_simulated_jets_are_those_of_the_simulation() -> None:
    whole = load_jets(split="all", use_tfds=False)
    assert len(whole) == 139_723
    assert whole.columns == ("pt", "eta", "phi", "m", "E")
    assert whole.events is not None
    np.testing.assert_array_equal(whole.values, generate(139_723, 1).values[whole.events])


def test_every_jet_is_in_one_split() -> None:
    parts = [load_jets("jets/simulated", split, use_tfds=False) for split in SPLITS]
    assert [len(part) for part in parts] == [97_806, 20_959, 20_958]
    events = np.concatenate([part.events for part in parts if part.events is not None])
    assert len(np.unique(events)) == 139_723
    np.testing.assert_array_equal(events, load_jets(split="all", use_tfds=False).events)
    # In each the source's order, but no stretch of it: the spectrum is the same.
    assert all((np.diff(part.events) > 0).all() for part in parts if part.events is not None)
    means = [part.column("pt").mean() for part in parts]
    np.testing.assert_allclose(means, means[0], rtol=0.03)


def test_a_limit_takes_the_first() -> None:
    part = load_jets(use_tfds=False, limit=10)
    np.testing.assert_array_equal(part.values, load_jets(use_tfds=False).values[:10])
    assert len(load_jets(use_tfds=False, split="test", limit=10**9)) == 20_958


def test_variables_are_those_asked_for() -> None:
    jets = load_jets(use_tfds=False, limit=5, want=("m", "pt", "phi", "eta"))
    assert jets.columns == ("m", "pt", "phi", "eta")
    np.testing.assert_array_equal(jets.values, load_jets(use_tfds=False, limit=5).select(jets.columns).values)
    with pytest.raises(InputError, match="these jets have no ActiveArea; they have pt, eta, phi, m, E"):
        load_jets(use_tfds=False, want=AOD_27)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "jets/real"}, "jets has no configuration 'real'; there is simulated, files"),
        ({"dataset": "ccd_clusters"}, "unknown data set of jets 'ccd_clusters'; there is jets"),
        ({"split": "training"}, "must be train, validation, test or all; received 'training'"),
        ({"dataset": "jets/files"}, "name their folder with --manual-dir"),
        ({"limit": 0}, "limit must be a whole number of 1 or more; received 0"),
    ],
)
def test_names_that_are_not_there(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_jets(use_tfds=False, **options)


def test_clusters_of_it_name_the_commands() -> None:
    with pytest.raises(InputError, match=r"holds jets, not clusters; particle_zoo.train.*ae_3d_200"):
        data.load("jets/simulated")
    with pytest.raises(InputError, match=r"there is ccd_clusters.*jets"):
        data.load("jet")


def test_everything_that_makes_a_simulation_is_part_of_its_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Simulated().fingerprint, Simulated(5).fingerprint, Simulated(5, seed=2).fingerprint]
    assert found[0] == fingerprint("jets") == fingerprint("jets/simulated")
    monkeypatch.setattr("particle_zoo.data.jets_source.JETS_VERSION", "other")
    found.append(Simulated().fingerprint)
    assert len(set(found)) == 4
    with pytest.raises(InputError, match="jets is the number to simulate, 1 or more; received 0"):
        Simulated(0)


def test_it_needs_no_tensorflow() -> None:
    code = (
        "import sys; from particle_zoo.data.jets import load_jets; assert len(load_jets(use_tfds=False, limit=3)) == 3; "
        "assert not {'tensorflow', 'tensorflow_datasets', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The user's own files ------------------------------------------------------------------------------------------------


def test_files_give_energy_and_mass_from_one_another(tmp_path: Path) -> None:
    jets = frame(300)
    jets.iloc[:100].drop(columns="E").to_parquet(tmp_path / "b.parquet")
    jets.iloc[100:200].to_csv(tmp_path / "a.csv", index=False)
    jets.iloc[200:].drop(columns="m").to_parquet(tmp_path / "c.parquet")
    found = of_files(tmp_path)
    assert found.columns == ("pt", "eta", "phi", "m", "E")
    assert found.events is not None
    # In the order of the names of the files, each jet an event.
    expected = pd.concat([jets.iloc[100:200], jets.iloc[:100], jets.iloc[200:]]).to_numpy()
    np.testing.assert_allclose(found.values, expected[found.events], rtol=1e-9)
    assert [len(of_files(tmp_path, split)) for split in SPLITS] == [210, 45, 45]


@pytest.mark.parametrize("names", [AOD_27, AOD_25])
def test_files_with_the_variables_of_the_xaod_study_give_them(names: tuple[str, ...], tmp_path: Path) -> None:
    jets = aod(60)[list(names)]
    jets.to_parquet(tmp_path / "jets.parquet")
    found = of_files(tmp_path)
    assert found.columns == (*names, "E")
    assert found.events is not None
    np.testing.assert_array_equal(found.select(names).values, jets.to_numpy()[found.events])
    assert of_files(tmp_path, want=names).columns == names


def test_a_variable_that_one_file_lacks_is_named(tmp_path: Path) -> None:
    aod(30).to_parquet(tmp_path / "a.parquet")
    aod(31).drop(columns="Timing").to_parquet(tmp_path / "b.parquet")
    assert of_files(tmp_path).columns == ("pt", "eta", "phi", "m", "E")
    with pytest.raises(InputError, match=r"b.parquet has no column for Timing"):
        of_files(tmp_path, want=AOD_27)


def test_jets_of_an_event_stay_together(tmp_path: Path) -> None:
    jets = frame(400).assign(run_event=np.repeat(np.arange(1000, 1100), 4))
    # Half of the events go on in the second file.
    jets.iloc[::2].to_csv(tmp_path / "a.csv", index=False)
    jets.iloc[1::2].to_csv(tmp_path / "b.csv", index=False)
    (tmp_path / "jets.json").write_text(json.dumps({"event": "run_event"}))
    parts = [of_files(tmp_path, split).events for split in SPLITS]
    assert [len(part) for part in parts if part is not None] == [280, 60, 60]
    groups = [set(np.unique(part).tolist()) for part in parts if part is not None]
    assert set.union(*groups) == set(range(1000, 1100))
    assert sum(len(group) for group in groups) == 100


def test_entries_of_two_files_are_different_events(tmp_path: Path) -> None:
    jets = frame(120)
    for name, part in (("a", jets.iloc[:60]), ("b", jets.iloc[60:])):
        lists = {column: [part[column].to_numpy()[i : i + 3] for i in range(0, 60, 3)] for column in part}
        pd.DataFrame(lists).to_parquet(tmp_path / f"{name}.parquet")
    found = of_files(tmp_path)
    assert found.events is not None
    assert sorted(found.events.tolist()) == np.repeat(np.arange(40), 3).tolist()
    parts = [of_files(tmp_path, split).events for split in SPLITS]
    assert sum(len(np.unique(part)) for part in parts if part is not None) == 40


def test_settings_of_the_folder_are_kept_to(tmp_path: Path) -> None:
    jets = frame(50)
    renamed = jets.assign(pt=1000 * jets["pt"], mass=1000 * jets["m"]).rename(columns={"pt": "momentum"})
    renamed[["momentum", "eta", "phi", "mass"]].to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "jets.json").write_text(json.dumps({"columns": {"pt": "momentum"}, "unit": "MeV"}))
    found = of_files(tmp_path)
    assert found.events is not None
    np.testing.assert_allclose(found.values, jets.to_numpy()[found.events], rtol=1e-9)


def test_everything_of_the_files_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    frame(20).to_csv(tmp_path / "a.csv", index=False)
    found = [fingerprint("jets/files", manual_dir=tmp_path)]
    (tmp_path / "notes.txt").write_text("no jets")
    assert fingerprint("jets/files", manual_dir=tmp_path) == found[0]
    (tmp_path / "jets.json").write_text("{}")
    found.append(fingerprint("jets/files", manual_dir=tmp_path))
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    found.append(fingerprint("jets/files", manual_dir=tmp_path))
    frame(21).to_csv(tmp_path / "b.csv", index=False)
    found.append(fingerprint("jets/files", manual_dir=tmp_path))
    assert len(set(found)) == 4


def test_a_copy_would_be_in_two_splits(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        frame(20).to_csv(tmp_path / name, index=False)
    with pytest.raises(InputError, match=r"b.csv is a copy of a.csv; remove one of them"):
        of_files(tmp_path)


def test_files_that_give_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        of_files(tmp_path / "none")
    with pytest.raises(InputError, match="holds no file of jets"):
        of_files(tmp_path)
    frame(1).to_csv(tmp_path / "one.csv", index=False)
    assert len(of_files(tmp_path, "all")) == 1
    empty = next(split for split in SPLITS if not len(of_files(tmp_path, split, allow_empty=True)))
    assert of_files(tmp_path, empty, allow_empty=True).columns == ("pt", "eta", "phi", "m", "E")
    with pytest.raises(InputError, match=rf"jets/files has no jets in split {empty}; try --split all"):
        of_files(tmp_path, empty)


def test_the_configurations_are_named() -> None:
    assert jet_data.parse("jets") == jet_data.parse("jets/simulated") == jet_data.CONFIGS[0]
    assert jet_data.parse("jets/files") == "files"
