"""Known jets, and files with them as experiments write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest
import uproot

from particle_zoo import InputError
from particle_zoo.data.jet_files import JetFileSettings, iter_jets
from particle_zoo.jets import FOUR_MOMENTUM

EVENTS = np.array([0, 0, 2, 2, 2, 3])

# Mass and momentum at eta 0 as 3, 4, 5; the last is massless at the rapidity where cosh is 5/4.
GEV = pd.DataFrame(
    {
        "pt": [30.0, 64.0, 250.0, 25.5, 800.0, 40.0],
        "eta": [0.0, 1.5, -2.25, 4.0, 0.1, np.log(2)],
        "phi": [0.0, -3.0, 3.125, 1.0, -0.5, 2.0],
        "m": [40.0, 8.0, 17.5, 3.25, 120.0, 0.0],
    }
)
GEV["E"] = np.sqrt(GEV["pt"] ** 2 + (GEV["pt"] * np.sinh(GEV["eta"])) ** 2 + GEV["m"] ** 2)
assert GEV["E"][0] == 50.0
assert np.isclose(GEV["E"][5], 50.0)

MEV = GEV.assign(**{name: GEV[name] * 1000 for name in ("pt", "m", "E")})


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(path, row_group_size=4)


def write_parquet_lists(path: Path, frame: pd.DataFrame) -> None:
    _listed(frame).to_parquet(path)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(path, index=False)


def write_group(path: Path, frame: pd.DataFrame) -> None:
    with h5py.File(path, "w") as file:
        for name in frame:
            file[f"reco/jets/{name}"] = frame[name].to_numpy()


def write_compound(path: Path, frame: pd.DataFrame) -> None:
    with h5py.File(path, "w") as file:
        file["jets"] = frame.to_records(index=False).astype([(name, ">f8") for name in frame])


def write_tree(path: Path, frame: pd.DataFrame) -> None:
    with uproot.recreate(path) as file:
        file.mktree("nominal", dict.fromkeys(frame, "float64")).extend({name: frame[name].to_numpy() for name in frame})


def write_lists(path: Path, frame: pd.DataFrame) -> None:
    counts = np.bincount(EVENTS)
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", {f"Jet_{name}": "var * float64" for name in frame} | {"run": "int32"})
        lists = {f"Jet_{name}": ak.unflatten(frame[name].to_numpy(), counts) for name in frame}
        tree.extend(lists | {"run": np.arange(len(counts), dtype=np.int32) + 7})


def write_ntuple(path: Path, frame: pd.DataFrame) -> None:
    counts = np.bincount(EVENTS)
    jets = ak.zip({name: frame[name].to_numpy() for name in frame})
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", {"Jet": ak.unflatten(jets, counts), "run": np.arange(len(counts)) + 7})


def _listed(frame: pd.DataFrame) -> pd.DataFrame:
    jets = frame.groupby(EVENTS).agg(list).reindex(range(EVENTS.max() + 1))
    return jets.map(lambda values: values if isinstance(values, list) else [])


FLAT: dict[str, tuple[str, Callable[[Path, pd.DataFrame], None]]] = {
    "parquet": ("a.parquet", write_parquet),
    "csv": ("a.csv", write_csv),
    "csv.gz": ("a.csv.gz", write_csv),
    "group": ("a.h5", write_group),
    "compound": ("a.hdf5", write_compound),
    "tree": ("a.root", write_tree),
}

LISTS: dict[str, tuple[str, Callable[[Path, pd.DataFrame], None]]] = {
    "parquet of lists": ("a.parquet", write_parquet_lists),
    "tree of lists": ("a.root", write_lists),
    "ntuple of records": ("a.root", write_ntuple),
}

FORMATS = FLAT | LISTS


def refused(path: Path, want: tuple[str, ...] = FOUR_MOMENTUM, keep: tuple[str, ...] = (), **pairs: object) -> str:
    with pytest.raises(InputError) as error:
        list(iter_jets(path, want, JetFileSettings.from_pairs(pairs), keep=keep))
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 600
    return message
