from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from particle_zoo import InputError
from particle_zoo.data import ccd
from particle_zoo.datasets.ccd_clusters.ccd_clusters_dataset_builder import Builder

pytestmark = pytest.mark.filterwarnings("ignore")


class TestSimulated(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks: registration, tags, keys, shapes, splits, disjointness, reload."""

    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["simulated"]  # noqa: RUF012
    SPLITS = {"train": 43, "validation": 8, "test": 9}  # noqa: RUF012
    EXAMPLE_DIR = str(Path(__file__).parent)
    SKIP_CHECKSUMS = True

    @classmethod
    def setUpClass(cls) -> None:
        cls.patch = pytest.MonkeyPatch()
        cls.patch.setitem(ccd.SIMULATED, "simulated", (60, 1))
        ccd._simulated.cache_clear()
        ids = ccd._simulated(*ccd.SIMULATED["simulated"])
        split = ccd.splits.assign(ids.ids, ids.labels)
        cls.SPLITS = {name: int((split == name).sum()) for name in ("train", "validation", "test")}
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        cls.patch.undo()
        ccd._simulated.cache_clear()


def test_info_comes_from_the_texts_beside_the_builder(tmp_path: Path) -> None:
    builder = Builder(config="damic_labelled", data_dir=str(tmp_path))
    assert "hit lists" in builder.info.description
    assert "Preuss" in builder.info.citation
    assert builder.info.metadata["unit"] == "mask"
    assert builder.info.metadata["classes"][:4] == ["other", "xray", "electron", "muon"]


def test_labels_and_hits_survive_storage(layout: Path, tmp_path: Path) -> None:
    builder = Builder(config="damic_labelled", data_dir=str(tmp_path / "d"), manual_dir=layout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder.download_and_prepare()
    examples: list[dict[str, Any]] = list(tfds.as_numpy(builder.as_dataset(split="all")))
    source = {
        c.ids[0]: c for part in ccd.clusters("damic_labelled", layout) for c in (part[i] for i in range(len(part)))
    }
    assert len(examples) == 60
    for example in examples:
        original = source[example["id"].decode()]
        np.testing.assert_array_equal(example["hits"], original.hits)
        assert ccd.CLASSES[example["label"]] == original.labels[0]


def test_one_folder_never_answers_for_another_source(layout: Path, tmp_path: Path) -> None:
    """Through TFDS alone, without the folder a fingerprint of `particle_zoo.data`."""

    def prepare() -> Builder:
        builder = Builder(config="damic_labelled", data_dir=str(tmp_path / "d"))
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(layout)))
        return builder

    assert prepare().fingerprint == ccd.fingerprint("damic_labelled", layout)
    prepare()
    next((layout / "clusters").glob("0*.csv")).write_text("0,0,0\n0,1,0\n0,0,0\n")
    with pytest.raises(InputError, match="prepared from other source files"):
        prepare()
