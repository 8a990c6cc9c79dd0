"""A reader's place of work, where what README and docs tell to type is run in a small form."""

from __future__ import annotations

import re
from pathlib import Path

import particle_zoo
from particle_zoo.cli import read_json
from tests.forms import ALL

SIMULATED = re.compile("/(satram_)?simulated")
"""Data sets that take minutes to make."""

STAND_INS = {
    "vae": "tiny_vae",
    "pedestal_ae": "tiny_pedestal_ae",
    "idec": "tiny_dec",
    "effnet_ae_mask25": "tiny_effnet_ae",
    "effnet_classifier": "tiny_effnet_classifier",
    "ae_3d_200": "tiny_jet_ae",
}
"""Small models of the same families."""

SMALLER = {
    "train cnn": "--set pretrain_epochs=0",
    "train ccd_clusters": "--epochs 1 --limit 24 --batch-size 8",
    "train timepix3_clusters": "--epochs 1 --batch-size 8 --set epoch_clusters=32 --set watch_clusters=16 --set fresh_statistics=32",
    "train timepix1_clusters": "--epochs 1 --limit 32 --batch-size 8",
    "train camera_frames": "--epochs 1",
    "train patches": "--epochs 1 --set cluster_steps=6 --set k=3",
    "train jets": "--epochs 2 --limit 300 --batch-size 100",
    "search ccd_clusters": "--epochs 1 --limit 24 --trials 2",
    "export": "--examples 10",
    "simulate": "--n 300",
}
"""Options that are added to a command on a data set; of two values the last one counts."""


class Desk:
    """A reader's place of work: the commands of a section, on stand-ins."""

    def __init__(self, places: dict[str, Path]) -> None:
        self.places = places
        self.runs: dict[str, list[str]] = {}
        """Options that name the data of runs trained on files in the place of a simulated set."""

    def adapted(self, words: list[str]) -> list[str]:
        """A command in its small form."""
        name = words[0].split(".")[-1]
        # Of the published ones only the small one is soon evaluated.
        stand_ins = STAND_INS if ALL or name != "evaluate" else {**STAND_INS, "cnn": "tiny_cnn"}
        words = [stand_ins.get(word, word) for word in words]
        place = self._place(words)
        own = self.places.get(place)
        if "ae_27d_z14" in words:
            own = self.places["xaod"]
        files = {"DIR": own, "OTHER": own, "CROPS": self.places["patches"], "CHIP": "typical"}
        words = [str(files.get(word, word)) for word in words]
        dataset = self._dataset(words)
        if SIMULATED.search(dataset):
            words = [word for word in words if word not in ("--dataset", dataset)]
        if SIMULATED.search(dataset) or (not dataset and name in ("train", "search", "evaluate", "embed")):
            words += self._data(words, name, place)
        if name == "search" and "--folds" in words:
            words += ["--folds", "2"]
        smaller = [SMALLER.get(key, "") for key in (name, f"{name} {place}", " ".join([name, *words[1:2]]))]
        return [*words, *" ".join(smaller).split()]

    def _dataset(self, words: list[str]) -> str:
        """What is given with --dataset, "" for nothing."""
        return words[words.index("--dataset") + 1] if "--dataset" in words else ""

    def _place(self, words: list[str]) -> str:
        """Whose files a command reads, "" for none."""
        dataset = self._dataset(words)
        if not dataset and Path(words[1], "config.json").exists():
            dataset = read_json(Path(words[1], "config.json"))["dataset"]
        elif not dataset and words[1] in particle_zoo.list_models():
            dataset = particle_zoo.info(words[1]).default_dataset
        place = dataset.partition("/")[0]
        return "patches" if place == "camera_frames" and "tiny_dec" in words else place

    def _data(self, words: list[str], name: str, place: str) -> list[str]:
        """Files in the place of a simulated set."""
        if words[1] not in particle_zoo.list_models():
            return self.runs.get(words[1], [])
        config = "damic_labelled" if place == "ccd_clusters" else "files"
        where = ["--manual-dir", str(self.places[place])]
        if name == "train" and "--output" in words:
            self.runs[words[words.index("--output") + 1]] = where
        return ["--dataset", f"{place.replace('patches', 'camera_frames')}/{config}", *where]
