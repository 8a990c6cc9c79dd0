from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from particle_zoo import InputError, data
from particle_zoo.clusters import Clusters
from particle_zoo.data import mix, timepix1, timepix3
from particle_zoo.data.timepix import TimepixSource
from particle_zoo.datasets.timepix1_clusters.timepix1_clusters_dataset_builder import Builder as Timepix1
from particle_zoo.datasets.timepix3_clusters.timepix3_clusters_dataset_builder import Builder as Timepix3
from tests.conftest import write_pixel_files

pytestmark = pytest.mark.filterwarnings("ignore")

ORBIT = "satram_simulated_orbit"
FIELD = "simulated_field"
SMALL = {"clusters": 200, "block": 120}


def small(source: TimepixSource, **changes: Any) -> dict[str, mix.Mix]:
    return {name: mixed.model_copy(update=SMALL | changes) for name, mixed in source.mixes.items()}


def counted(source: TimepixSource, config: str, manual_dir: Path | None = None) -> dict[str, int]:
    split = np.concatenate([part.table["in_split"] for part in source.clusters(config, manual_dir)])
    names, counts = np.unique(split, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


class Simulated:
    """TFDS's own checks: registration, tags, keys, shapes, splits, disjointness, reload."""

    DATASET_CLASS: Any
    EXAMPLE_DIR = str(Path(__file__).parent)
    SKIP_CHECKSUMS = True

    @classmethod
    def setUpClass(cls) -> None:
        cls.patch = pytest.MonkeyPatch()
        source = cls.DATASET_CLASS.SOURCE
        cls.patch.setitem(source.__dict__, "mixes", small(source))
        cls.SPLITS = counted(source, cls.BUILDER_CONFIG_NAMES_TO_TEST[0])
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        cls.patch.undo()


class TestTimepix1(Simulated, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Timepix1
    BUILDER_CONFIG_NAMES_TO_TEST = [ORBIT, "satram_simulated_benchmark"]  # noqa: RUF012


class TestTimepix3(Simulated, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Timepix3
    BUILDER_CONFIG_NAMES_TO_TEST = [FIELD]  # noqa: RUF012


class TestFiles(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Timepix1
    BUILDER_CONFIG_NAMES_TO_TEST = ["files"]  # noqa: RUF012
    SKIP_CHECKSUMS = True

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        cls.EXAMPLE_DIR = str(write_pixel_files(cls.folder / "files"))
        cls.SPLITS = counted(timepix1.SOURCE, "files", Path(cls.EXAMPLE_DIR))
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        shutil.rmtree(cls.folder)


def prepare(builder: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(compute_stats="skip", **options) if options else None
        )
    return builder


def examples(builder: Any) -> dict[str, list[dict[str, Any]]]:
    return {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}


def assert_same(first: dict[str, list[dict[str, Any]]], second: dict[str, list[dict[str, Any]]]) -> None:
    assert list(first) == list(second)
    for split in first:
        for one, other in zip(first[split], second[split], strict=True):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(("dataset", "source"), [("timepix1", timepix1.SOURCE), ("timepix3", timepix3.SOURCE)])
def test_the_published_configuration_is_the_one_that_is_used(dataset: str, source: TimepixSource) -> None:
    text = (Path(data.__file__).parents[1] / "datasets" / f"{dataset}_clusters" / "README.md").read_text()
    for name, mixed in source.mixes.items():
        if mixed.balanced is None:
            assert f"### {name}\n\n```yaml\n{mix.printed(mixed)}```" in text


def test_hits_and_truth_survive_storage(tmp_path: Path) -> None:
    """Times and energies in double precision: float32 would be 1 us off after ten seconds."""
    builder = prepare(Timepix3(config=FIELD, data_dir=str(tmp_path), clusters=120))
    source: Clusters = Clusters.concat(builder.source.clusters(FIELD, None))
    rows = {name: i for i, name in enumerate(source.ids)}
    found = [example for split in examples(builder).values() for example in split]
    assert len(found) == 120
    for example in found:
        i = rows[example["id"].decode()]
        np.testing.assert_array_equal(example["hits"], source[i].hits)
        assert example["hits"].dtype == np.float64
        assert example["energy_mev"] == source.table["energy_mev"][i]
        assert example["time_ns"] == source.table["time_ns"][i]
        assert builder.info.metadata["classes"][example["label"]] == source.labels[i] == example["particle"].decode()
        assert example["energy_sum"] == pytest.approx(source[i].column("energy").sum())


@pytest.mark.slow
def test_beam_gives_the_same_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    monkeypatch.setitem(timepix1.SOURCE.__dict__, "mixes", small(timepix1.SOURCE, block=300))
    workers = PipelineOptions(["--direct_num_workers=2", "--direct_running_mode=multi_threading"])
    for balanced, clusters in ((False, 400), (True, 1500)):
        options: dict[str, Any] = {"config": ORBIT, "clusters": clusters, "balanced": balanced}
        plain = prepare(Timepix1(data_dir=str(tmp_path / f"plain-{balanced}"), **options))
        beam = prepare(Timepix1(data_dir=str(tmp_path / f"beam-{balanced}"), **options), beam_options=workers)
        assert plain.fingerprint == beam.fingerprint
        found = examples(plain)
        assert_same(found, examples(beam))
        n = sum(map(len, found.values()))
        assert 400 <= n < clusters if balanced else n == clusters


def test_beam_reads_files(tmp_path: Path) -> None:
    folder = write_pixel_files(tmp_path / "files")
    (folder / "clustering.json").write_text('{"balanced": {"least": 20}}')
    plain = prepare(Timepix1(config="files", data_dir=str(tmp_path / "plain"), manual_dir=folder))
    beam = prepare(Timepix1(config="files", data_dir=str(tmp_path / "beam"), manual_dir=folder, beam=True))
    assert plain.info.metadata["classes"] == beam.info.metadata["classes"] == ["electron", "proton"]
    assert_same(examples(plain), examples(beam))


def test_without_beam_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "particle_zoo.data.beam", None)
    with pytest.raises(InputError, match="needs the package apache-beam"):
        prepare(Timepix1(config=ORBIT, data_dir=str(tmp_path), clusters=100, beam=True))
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_one_folder_never_answers_for_another_configuration(tmp_path: Path) -> None:
    prepare(Timepix1(config=ORBIT, data_dir=str(tmp_path), clusters=100))
    prepare(Timepix1(config=ORBIT, data_dir=str(tmp_path), clusters=100))
    with pytest.raises(InputError, match="prepared from another source"):
        prepare(Timepix1(config=ORBIT, data_dir=str(tmp_path), clusters=120))


def test_nothing_is_left_beside_the_data(tmp_path: Path) -> None:
    builder = prepare(Timepix1(config=ORBIT, data_dir=str(tmp_path), clusters=100))
    assert [path.name for path in Path(builder.data_dir).parent.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize(
    "options", [{"clusters": 0}, {"config": "files", "clusters": 5}, {"config": "files", "balanced": True}]
)
def test_settings_that_cannot_be(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"clusters|simulation"):
        Timepix1(**{"config": ORBIT, "data_dir": str(tmp_path)} | options)
