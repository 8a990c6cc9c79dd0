"""What `benchmark pipeline` times: the same arrays by every way, packed records, and what it says of the targets."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import Clusters, InputError
from particle_zoo.benchmark import benchmark
from particle_zoo.detectors.camera import CameraFrames, PedestalModel
from particle_zoo.evaluation.pipeline import cluster_speed, epochs, report, rivals
from particle_zoo.evaluation.pipeline.frame_speed import Plan
from particle_zoo.evaluation.pipeline.material import EXTENT, MATERIALS, Material
from particle_zoo.evaluation.pipeline.packed import PackedClusters
from particle_zoo.evaluation.pipeline.reading import batches
from particle_zoo.models.pedestal_ae import TinyPedestalAEConfig
from particle_zoo.pipelines.examples import Examples
from particle_zoo.training.frame_crops import FrameCrops


@pytest.fixture(scope="module", params=list(MATERIALS))
def material(request: pytest.FixtureRequest) -> Material:
    return MATERIALS[request.param](150, 3)


def examples_of(material: Material) -> Examples:
    return Examples(material.clusters, material.preprocess, classes=material.classes, batch_size=32, shuffle=True)


def by_hand(material: Material, order: list[int]) -> Any:
    targets = examples_of(material).targets
    assert targets is not None
    return rivals.generated(list(material.clusters), targets, material.example, order, 32)


def test_the_generator_gives_the_arrays_of_examples(material: Material) -> None:
    examples = examples_of(material)
    order = np.random.default_rng((0, 0, 0)).permutation(150).tolist()
    ours = [examples.batch(step) for step in range(len(examples))]
    theirs = list(by_hand(material, order))
    assert sum(len(images) for images, _ in theirs) == 150
    for (image, target), (other, wanted) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(target, wanted)
        np.testing.assert_allclose(material.filled_up(image), other, atol=cluster_speed.TOLERANCE, rtol=0)
    cluster_speed.check_same(material, iter(ours), iter(theirs))  # type: ignore[arg-type]


def test_rivals_that_give_something_else_are_found_out(material: Material) -> None:
    order = list(range(150))
    changed = [(images + np.float32(1e-3), targets) for images, targets in by_hand(material, order)]
    with pytest.raises(AssertionError, match="the inputs differ"):
        cluster_speed.check_same(material, by_hand(material, order), iter(changed))
    with pytest.raises(AssertionError, match="the targets differ"):
        cluster_speed.check_same(material, by_hand(material, order), by_hand(material, order[::-1]))
    with pytest.raises(AssertionError, match="hold other clusters"):
        cluster_speed.check_equal_sets(material, by_hand(material, order), by_hand(material, order[1:]))


def test_the_loader_gives_the_arrays_of_the_generator(material: Material) -> None:
    pytest.importorskip("torch", reason="compares with PyTorch's DataLoader; installed with particle-zoo[torch]")
    targets = examples_of(material).targets
    assert targets is not None
    data = rivals.Mapped(list(material.clusters), targets, material.example)
    order = np.random.default_rng(1).permutation(150).tolist()
    for (images, found), (other, wanted) in zip(
        rivals.loader(data, order, 32, 0), by_hand(material, order), strict=True
    ):
        np.testing.assert_array_equal(images.numpy(), other)
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_timepix_clusters_fit_and_bear_names_of_the_training_split() -> None:
    from particle_zoo.data.splits import assign_one

    clusters = MATERIALS["effnet"](100, 0).clusters
    assert clusters.features()["long_side"].max() <= EXTENT
    assert len(set(clusters.ids)) == 100
    assert {assign_one(name) for name in clusters.ids} == {"train"}


@pytest.mark.parametrize("common_mode", [True, False])
def test_the_generator_of_crops_takes_what_a_training_takes(common_mode: bool) -> None:
    rng = np.random.default_rng(2)
    counts = rng.normal(100, 3, (11, 40, 50)).round().astype(np.uint16)
    config = TinyPedestalAEConfig(crop=16, crops=3, batch_size=5, common_mode=common_mode)
    frames = CameraFrames.from_array(counts)
    crops = FrameCrops(frames, PedestalModel.fit(frames, common_mode=common_mode), config, seed=4)
    plan = Plan.of(crops)
    assert set(plan.order) == set(range(11))
    cut = [
        rivals.frame_crops((counts[i], places), crops.pedestal, plan.side, config.clip)
        for i, places in zip(plan.order, plan.places, strict=True)
    ]
    groups = (np.stack(cut[i : i + plan.group]) for i in range(0, len(cut), plan.group))
    for ours, theirs in zip(crops.between(0, 1), plan.batches(groups), strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.shape == (5, 16, 16, 1)
            np.testing.assert_allclose(mine, other, atol=1e-4, rtol=0)


def table_of(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(n)],
            "label": ["µ", "", "e"][:n] + ["x"] * (n - 3),
            "time_ns": np.arange(n) + 1e15 + 0.25,
            "seen": np.arange(n) % 2 == 0,
            "primary": np.arange(n, dtype=np.int64) - 2,
        }
    )


def test_packed_records_give_back_what_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hits = [np.column_stack([rng.integers(0, 9, (k, 2)), rng.random((k, 2))]) for k in (3, 1, 4, 1, 5, 9, 2)]
    clusters = Clusters.from_list(hits, table=table_of(7), columns=("row", "col", "energy", "toa"))
    packed = PackedClusters.write(tmp_path / "c.tfrecord", [clusters[:4], clusters[4:]], per_record=3)
    assert [len(packed.read(i)) for i in range(len(packed))] == [3, 1, 3]
    found = Clusters.concat(packed.read(i) for i in range(len(packed)))
    np.testing.assert_array_equal(found.hits, clusters.hits)
    np.testing.assert_array_equal(found.offsets, clusters.offsets)
    assert (found.columns, found.unit, found.hits.dtype) == (clusters.columns, "keV", np.float64)
    for name in clusters.table:
        assert found.table[name].tolist() == clusters.table[name].tolist(), name
    few = PackedClusters(tmp_path / "c.tfrecord", columns=("seen",)).read(0)
    assert set(few.table) == {"id", "label", "seen"}


def test_damaged_and_foreign_records_are_one_sentence(tmp_path: Path, simulated: Clusters) -> None:
    import tensorflow as tf

    path = tmp_path / "c.tfrecord"
    whole = PackedClusters.write(path, [simulated], per_record=50)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in [*rng.integers(0, len(content), 30).tolist(), 0, 8, 12, len(content) - 1]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :])
        with pytest.raises(InputError) as error:
            [PackedClusters(path).read(i) for i in range(len(whole))]
        assert "\n" not in str(error.value)
    for length in (1, 11, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="damaged"):
            PackedClusters(path)
    with tf.io.TFRecordWriter(str(path)) as file:
        file.write(b"something else")
    with pytest.raises(InputError, match="holds no packed clusters"):
        PackedClusters(path).read(0)
    with pytest.raises(InputError, match="cannot be read"):
        PackedClusters(tmp_path / "none")
    with pytest.raises(InputError, match="nothing to pack"):
        PackedClusters.write(tmp_path / "empty", [])
    assert not (tmp_path / "empty").exists()


def test_an_epoch_from_disk_is_a_function_of_seed_and_epoch(tmp_path: Path) -> None:
    material = MATERIALS["ccd"](150, 3)
    packed = PackedClusters.write(tmp_path / "c.tfrecord", [material.clusters], per_record=40)

    def epoch(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        parts = list(batches(packed, material.preprocess, material.classes, batch_size=32, seed=seed, epoch=number))
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]

    images, targets = epoch(0, 0)
    np.testing.assert_array_equal(images, epoch(0, 0)[0])
    expected = material.preprocess(material.clusters)
    for seed, number in ((0, 1), (1, 0)):
        other, labels = epoch(seed, number)
        assert not np.array_equal(other, images)
        assert np.bincount(labels).tolist() == np.bincount(targets).tolist()
        # Every cluster once.
        assert sorted(map(bytes, other)) == sorted(map(bytes, expected))


class _Deadly:
    """Material that ends the process in which it arrives."""

    name = "ccd 64x64"

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_a_process_that_is_killed_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"passes over the records of ccd 64x64 was killed.*; take fewer --clusters"):
        epochs.measure(_Deadly(), tmp_path, batch_size=8, seed=0, epochs=3)  # type: ignore[arg-type]


def row(key: str, **speeds: float) -> dict[str, Any]:
    memory = {"resident_mb": [1.0, 500.0, 510.0, 512.0], "growth_mb": 2.0, "flat": True}
    return {"key": key, "input": key, "speeds": speeds, "ratio": 5.0, "same_order": True, "memory": memory}


def test_verdicts_are_by_the_numbers() -> None:
    good, bad = (
        report.verdicts([row("ccd", first_pass=first, in_memory=90_000.0, cached=cached)])
        for first, cached in ((15_000.0, 100_000.0), (14_999.0, 99_999.0))
    )
    assert [verdict["reached"] for verdict in good] == [True] * 5
    assert [verdict["reached"] for verdict in bad] == [False, False, True, True, True]
    assert bad[0]["found"] == "14,999, 1.00 times that"
    assert good[-1]["found"] == "510, 512 MB after epochs 3 to 4"
    slow = row("effnet", first_pass=1.0, in_memory=20_000.0, cached=1.0) | {"ratio": 4.9, "same_order": False}
    slow["memory"] = {"resident_mb": [float("nan")] * 3, "growth_mb": None, "flat": None}
    assert [verdict["reached"] for verdict in report.verdicts([slow])] == [False, True, False, False, None]


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_the_command_prints_and_writes_every_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "has_torch", lambda: False)
    arguments = [
        "pipeline",
        "--input",
        "ccd",
        "--input",
        "frames",
        "--clusters",
        "200",
        "--frames",
        "10",
        "--epochs",
        "4",
    ]
    arguments += ["--shape", "96", "128", "--repeats", "1", "--json", str(tmp_path / "n.json")]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    found = json.loads((tmp_path / "n.json").read_text())
    assert set(found) == {"rows", "batch_size", "seed", "cores", "load", "torch", "verdicts"}
    clusters, frames = found["rows"]
    assert set(clusters["speeds"]) == set(frames["speeds"]) == set(rivals.WAYS)
    timed = {"first_pass", "packed", "in_memory", "cached", "generator"}
    assert {way for way, speed in clusters["speeds"].items() if speed} == timed
    assert {way for way, speed in frames["speeds"].items() if speed} == timed - {"packed", "cached"}
    assert clusters["clusters"] == 200
    assert clusters["same_order"]
    assert clusters["ratio"] == pytest.approx(clusters["speeds"]["in_memory"] / clusters["speeds"]["generator"])
    assert len(clusters["memory"]["resident_mb"]) == 4
    assert clusters["mb"]["first_pass"] > clusters["mb"]["packed"] > 0
    assert frames["crop"] == [96, 128]
    assert len(found["verdicts"]) == 5
    assert "torch is not installed" in result.output
    for verdict in found["verdicts"]:
        assert verdict["target"] in result.output


def test_growth_from_the_third_epoch_on_takes_a_fourth() -> None:
    refused = CliRunner().invoke(benchmark, ["pipeline", "--epochs", "3"])
    assert refused.exit_code == 2
    assert "3 is not in the range x>=4" in refused.output


def test_without_tfds_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    arguments = ["pipeline", "--json", str(tmp_path / "n.json")]
    with pytest.raises(InputError, match="tensorflow_datasets cannot be imported; install tensorflow-datasets"):
        CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert not (tmp_path / "n.json").exists()
