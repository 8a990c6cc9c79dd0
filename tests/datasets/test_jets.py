from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from particle_zoo import InputError
from particle_zoo.data import jets as jet_data
from particle_zoo.data import jets_prepared, jets_source
from particle_zoo.data.jets import SPLITS, load_jets
from particle_zoo.data.jets_source import Simulated
from particle_zoo.datasets.jets.jets_dataset_builder import Builder
from particle_zoo.jets import Jets
from particle_zoo.simulation.jets import generate

pytestmark = pytest.mark.filterwarnings("ignore")

COUNT = 60
COUNTS = {"train": 42, "validation": 9, "test": 9}


def write(folder: Path, n: int = COUNT) -> Path:
    """Two files of jets, one without energies."""
    folder.mkdir(parents=True)
    jets = generate(n, 2).to_frame()
    jets.iloc[: n // 2].to_csv(folder / "a.csv", index=False)
    jets.iloc[n // 2 :].drop(columns="E").to_parquet(folder / "b.parquet")
    return folder


class TestSimulated(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks: registration, tags, keys, shapes, splits, disjointness, reload."""

    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["simulated"]  # noqa: RUF012
    EXAMPLE_DIR = str(Path(__file__).parent)
    SKIP_CHECKSUMS = True
    SPLITS = COUNTS

    @classmethod
    def setUpClass(cls) -> None:
        cls.patch = pytest.MonkeyPatch()
        # TFDS gives a builder nothing but folder, configuration and version.
        cls.patch.setattr(Builder, "__init__", functools.partialmethod(Builder.__init__, jets=COUNT))
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        cls.patch.undo()


class TestFiles(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["files"]  # noqa: RUF012
    SKIP_CHECKSUMS = True
    SPLITS = COUNTS

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        cls.EXAMPLE_DIR = str(write(cls.folder / "files"))
        # The default configuration, which is full size, is built but not prepared.
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        shutil.rmtree(cls.folder)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """`jets/simulated` has 60 jets."""
    monkeypatch.setattr(jet_data, "Simulated", functools.partial(Simulated, COUNT))


def same(one: Jets, other: Jets) -> None:
    assert one.columns == other.columns
    np.testing.assert_array_equal(one.values, other.values)
    assert one.events is not None
    assert other.events is not None
    np.testing.assert_array_equal(one.events, other.events, strict=True)


@pytest.mark.parametrize("config", ["simulated", "files"])
@pytest.mark.usefixtures("few")
def test_jets_are_the_same_without_tfds(config: str, tmp_path: Path) -> None:
    options = {"dataset": f"jets/{config}", "manual_dir": write(tmp_path / "files")}
    for split in (*SPLITS, "all"):
        through = load_jets(split=split, data_dir=tmp_path / "data", use_tfds=True, **options)
        same(through, load_jets(split=split, use_tfds=False, **options))
        assert len(through) == COUNTS.get(split, COUNT)


@pytest.mark.usefixtures("few")
def test_a_set_is_prepared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jets_prepared, "MANY", COUNT)
    first = load_jets(data_dir=tmp_path, use_tfds=True)
    out, said = capsys.readouterr()
    assert out == ""
    assert f"preparing {COUNT} jets of jets/simulated once, in {tmp_path}" in said
    monkeypatch.setattr(jets_source, "generate", lambda *_: pytest.fail("simulated again"))
    same(load_jets(data_dir=tmp_path, use_tfds=True), first)
    part = load_jets(data_dir=tmp_path, use_tfds=True, limit=4, want=("E", "pt"))
    np.testing.assert_array_equal(part.values, first.values[:4, [4, 0]])
    assert part.columns == ("E", "pt")
    assert "preparing" not in capsys.readouterr().err


def test_a_split_without_jets_is_empty(tmp_path: Path) -> None:
    folder = write(tmp_path / "files", n=2)
    parts = [
        load_jets("jets/files", split, manual_dir=folder, data_dir=tmp_path, use_tfds=True, allow_empty=True)
        for split in SPLITS
    ]
    assert sorted(len(part) for part in parts) == [0, 1, 1]
    assert {part.columns for part in parts} == {("pt", "eta", "phi", "m", "E")}


def test_more_jets_than_a_batch_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jets_prepared, "BATCH", 16)
    source = Simulated(100)
    same(jets_prepared.read(source, SPLITS, tmp_path), jet_data.direct(source, SPLITS))


def test_others_read_it_without_this_package(tmp_path: Path) -> None:
    source = Simulated(COUNT)
    train = jets_prepared.read(source, ["train"], tmp_path)
    (place,) = tmp_path.glob("source-*/jets/simulated/1.0.0")
    assert "particle_zoo" not in (place / "features.json").read_text()
    builder = tfds.builder_from_directory(place)
    assert builder.info.metadata["columns"] == ["pt", "eta", "phi", "m", "E"]
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == COUNTS
    examples: list[dict[str, Any]] = list(tfds.as_numpy(builder.as_dataset(split="train")))
    assert examples[0]["jet"].dtype == np.float64
    # To the last bit, in order.
    np.testing.assert_array_equal([example["jet"] for example in examples], train.values)
    np.testing.assert_array_equal([example["event"] for example in examples], train.events)
    np.testing.assert_array_equal(
        source.jets.values[[example["position"] for example in examples]],
        train.values,
    )


def test_info_comes_from_the_texts_beside_the_builder(tmp_path: Path) -> None:
    builder = Builder(config="simulated", data_dir=str(tmp_path))
    assert "QCD" in builder.info.description
    assert "Wulff" in builder.info.citation
    assert builder.info.features["jet"].shape == (5,)


def test_one_folder_never_answers_for_another_set(tmp_path: Path) -> None:
    """Through TFDS alone, without the folder a fingerprint of `particle_zoo.data`."""

    def prepare(**options: Any) -> Builder:
        builder = Builder(data_dir=str(tmp_path / "data"), **options)
        manual = str(tmp_path / "files") if options["config"] == "files" else None
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual))
        return builder

    assert prepare(config="simulated", jets=5).fingerprint == Simulated(5).fingerprint
    prepare(config="simulated", jets=5)
    with pytest.raises(InputError, match="prepared from another source"):
        prepare(config="simulated", jets=6)
    folder = write(tmp_path / "files")
    assert prepare(config="files").fingerprint == jet_data.fingerprint("jets/files", manual_dir=folder)
    prepare(config="files")
    generate(9, 9).to_frame().to_csv(folder / "a.csv", index=False)
    with pytest.raises(InputError, match="prepared from another source"):
        prepare(config="files")


def test_a_damaged_set_is_one_sentence(tmp_path: Path) -> None:
    source = Simulated(COUNT)
    jets_prepared.read(source, SPLITS, tmp_path)
    (path,) = tmp_path.rglob("*train.tfrecord*")
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    record = len(whole) // COUNTS["train"]
    for content in (bytes(changed), whole[:-7], whole[: record * 41]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"is damaged \(train\); remove the folder"):
            jets_prepared.read(source, ["train"], tmp_path)
        assert len(jets_prepared.read(source, ["test"], tmp_path)) == COUNTS["test"]


def test_files_that_cannot_be_read_leave_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "files")
    jets = generate(5, 5).to_frame()
    jets.loc[3, "pt"] = -1.0
    jets.to_csv(folder / "c.csv", index=False)
    with pytest.raises(InputError, match=r"c.csv.*pt is -1"):
        load_jets("jets/files", manual_dir=folder, data_dir=tmp_path / "data", use_tfds=True)
    assert not list((tmp_path / "data").rglob("*"))


@pytest.mark.parametrize("options", [{"config": "files", "jets": 5}, {"config": "simulated", "jets": 0}])
def test_settings_that_cannot_be_built(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Builder(data_dir=str(tmp_path), **options)


def test_the_readme_states_the_settings() -> None:
    text = (Path(jet_data.__file__).parents[1] / "datasets" / "jets" / "README.md").read_text()
    for name in (*jet_data.CONFIGS, *SPLITS, "jets.json", "jet", "event", "position"):
        assert f"`{name}`" in text
