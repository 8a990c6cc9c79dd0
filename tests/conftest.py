from __future__ import annotations

import contextlib
import functools
import gc
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before numpy is loaded. Workers share the cores; more threads each would burn them in waiting for one another.
    _threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    os.environ.update(dict.fromkeys(_threads, "1"))

import hypothesis
import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from particle_zoo.cli import hushed
from particle_zoo.clusters import Clusters
from particle_zoo.simulation import ccd, simulate
from tests.forked import forked_processes
from tests.shallow import shallow_efficientnet

SLOW = 30
"""A slow test takes about as long as so many others."""


def pytest_configure(config: pytest.Config) -> None:
    """Import Keras in the processes that run tests; the one that hands them out to others would do so in vain."""
    # Else files with many tests come first, and a long one with few of them last.
    config.option.loadscopereorder = False
    if config.getoption("dist", "no") == "no":
        with warnings.catch_warnings(), hushed():
            # Third parties warn while they are imported; only what our own calls cause is an error.
            warnings.simplefilter("ignore")
            import keras  # noqa: F401
            import tensorflow_datasets  # noqa: F401


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Longest files first where several processes share them: at the end none waits for a file of another."""
    if hasattr(config, "workerinput"):
        weights = Counter[Path]()
        for item in items:
            weights[item.path] += SLOW if item.get_closest_marker("slow") else 1
        items.sort(key=lambda item: -weights[item.path])


def pytest_collection_finish() -> None:
    """What libraries and collected tests hold for good is not looked through again whenever Keras has memory freed."""
    gc.collect()
    gc.freeze()


# The first call of a compiled function compiles it, which no deadline allows for.
hypothesis.settings.register_profile("compiled", deadline=None)
hypothesis.settings.load_profile("compiled")


@pytest.fixture
def real_data() -> Path:
    """Folder of the real files, named by PARTICLE_ZOO_REAL_DATA."""
    folder = Path(os.environ.get("PARTICLE_ZOO_REAL_DATA", ""))
    if not os.environ.get("PARTICLE_ZOO_REAL_DATA") or not (folder / "ccd").is_dir():
        pytest.skip("PARTICLE_ZOO_REAL_DATA does not name the folder of the real files")
    return folder


@pytest.fixture(scope="session")
def simulated() -> Clusters:
    """120 labelled clusters in ADU."""
    return ccd.generate(120, seed=3)


@pytest.fixture(scope="session")
def three_classes(simulated: Clusters) -> Clusters:
    """The clusters of the seed's three classes."""
    return simulated[np.isin(simulated.labels, ["xray", "electron", "muon"])]


@pytest.fixture(scope="session")
def timepix3() -> Clusters:
    """60 clusters of electrons and protons in keV with times, alternating, at least 3 px."""
    kinds = {"electron": {"energy_mev": 1.5}, "proton": {"energy_mev": 30.0}}
    parts = [
        simulate("timepix3_500um", particle=name, n=60, seed=4, angles="isotropic", **e) for name, e in kinds.items()
    ]
    chosen = [part[part.sizes >= 3][:30] for part in parts]
    return Clusters.concat(chosen)[np.arange(60).reshape(2, 30).T.ravel()]


@pytest.fixture(autouse=True)
def _fresh_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTICLE_ZOO_HOME", str(tmp_path / "zoo-home"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    import keras

    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def one_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `layout`; no test may change it."""
    return write_layout(tmp_path_factory.mktemp("layout") / "layout", n=60, seed=5)


@pytest.fixture
def layout(one_layout: Path, tmp_path: Path) -> Path:
    """A small folder in the public labelled layout: 60 simulated masks with stray files beside them."""
    return Path(shutil.copytree(one_layout, tmp_path / "layout"))


@contextlib.contextmanager
def eager_steps() -> Iterator[None]:
    """Trainings without graphs: tracing a network takes longer than twenty steps without."""
    from particle_zoo.training.fit import compile_model

    def eagerly(model: Any, steps_per_epoch: int, **options: Any) -> None:
        compile_model(model, steps_per_epoch, **options)
        model.run_eagerly = True

    with pytest.MonkeyPatch.context() as patch:
        for module in ("fit", "jets"):
            patch.setattr(f"particle_zoo.training.{module}.compile_model", eagerly)
        yield


@pytest.fixture
def eager() -> Iterator[None]:
    """`eager_steps` in one test."""
    with eager_steps():
        yield


@pytest.fixture
def forked() -> Iterator[None]:
    """`forked_processes` in one test."""
    with forked_processes():
        yield


@pytest.fixture
def plain_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two columns in the place of UMAP, which compiles for half a minute, where a test is not about it."""

    def first_two(vectors: np.ndarray, **_: Any) -> np.ndarray:
        return vectors[:, :2]

    monkeypatch.setattr("particle_zoo.evaluation.embedding.umap_of", first_two)


def write_layout(folder: Path, n: int, seed: int) -> Path:
    clusters = ccd.generate(n, seed)
    (folder / "clusters" / ".ipynb_checkpoints").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "clusters" / ".ipynb_checkpoints" / "000001-checkpoint.csv").write_text("stray")
    (folder / "clusters" / "notes.csv").write_text("stray")
    codes = {"other": 0, "xray": 1, "electron": 2, "muon": 3, "several": 4}
    numbers = np.arange(n) * 7 + 61
    images = clusters.images(384, "mask")
    for number, image in zip(numbers, images, strict=True):
        rows, cols = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        box = np.pad(image[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1], 1)
        text = "\n".join(",".join(str(int(v)) for v in row) for row in box)
        (folder / "clusters" / f"{number:06d}.csv").write_text(text + "\n")
    np.save(folder / "labels" / "categories_a.npy", np.array([numbers, [codes[label] for label in clusters.labels]]))
    rows_text = "\n".join(f"{i},{number:06d}_A,9,9,{1000.0 * i},{i}" for i, number in enumerate(numbers[:-4]))
    (folder / "cluster_meta.csv").write_text(",cluster,y,x,E,size\n" + rows_text + "\n")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of `tiny_cnn`, trained by the command on a simulated folder in the labelled layout."""
    from click.testing import CliRunner

    from particle_zoo.train import train

    root = tmp_path_factory.mktemp("trained")
    source = write_layout(root / "layout", n=100, seed=11)
    arguments = ["tiny_cnn", "--dataset", "ccd_clusters/damic_labelled", "--manual-dir", str(source)]
    arguments += ["--data-dir", str(root / "data"), "--output", str(root / "run"), "--epochs", "6"]
    result = CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return root / "run"


@pytest.fixture(scope="module")
def shallow() -> Iterator[None]:
    """`shallow_efficientnet` of one stage in a whole module."""
    with shallow_efficientnet(one_stage=True):
        yield


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a reader's files by data set, see `tests.readers_files`."""
    from tests.readers_files import write_files

    return write_files(tmp_path_factory.mktemp("reader"))


@functools.cache
def _in_orbit(particle: str, seed: int) -> Clusters:
    return simulate("timepix_300um", particle=particle, n=60, seed=seed, spectrum="orbit")


def write_pixel_files(
    folder: Path, names: tuple[str, ...] = ("proton/a.parquet", "proton/b.clog", "electron/a.clog")
) -> Path:
    """Simulated Timepix clusters in files of several formats, one sub-folder a particle, with a note beside them."""
    from particle_zoo.detectors.writers import write

    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, _in_orbit(path.parent.name, seed))
    (folder / "notes.txt").write_text("run 7, 155 V\n")
    return folder
