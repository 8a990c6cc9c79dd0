"""What is inside an exported graph, run in Keras: the same as the preprocessing on the host, from raw values on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.camera import PedestalModel
from particle_zoo.errors import InputError
from particle_zoo.evaluation.classifier import probabilities
from particle_zoo.exporting import ccd, clusters, families, resample, timepix
from particle_zoo.exporting.graph import Examples, Graph
from particle_zoo.exporting.jets import _normalised, _physical
from particle_zoo.jets import AOD_27, Jets
from particle_zoo.pipelines.rasterise import downscale_weights, rasterise
from particle_zoo.simulation.jets import generate
from tests.camera_runs import frames
from tests.export_runs import SMALL_META, about, build
from tests.shallow import shallow_efficientnet

CCD, PIXEL = ["xray", "electron", "muon"], ["proton", "electron"]
NOTHING = {"dataset": None, "data_dir": None, "manual_dir": None, "split": "test"}


def run(graph: Graph, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    found = graph.call({name: ops.convert_to_tensor(value) for name, value in inputs.items()})
    return {tensor.name: np.asarray(found[tensor.name]) for tensor in graph.outputs}


def assert_same(graph: Graph, examples: Examples, tolerance: float = 5e-6) -> None:
    for start, end in examples.spans():
        found, expected = run(graph, examples.some(start, end)), examples.expected(start, end)
        assert {tensor.name for tensor in graph.outputs} <= set(expected)
        for tensor in graph.outputs:
            assert found[tensor.name].shape == (end - start, *tensor.shape)
            np.testing.assert_allclose(
                found[tensor.name], expected[tensor.name], atol=tolerance * np.abs(expected[tensor.name]).max()
            )


@pytest.mark.parametrize("k", [0, 1, 7, 150, 900])
def test_weights_of_shrinking_are_those_of_the_host(k: int) -> None:
    found = np.asarray(resample._binomial(np.full((1, k + 3), k, np.int32), np.arange(-1, k + 2, dtype=np.int32)[None]))
    weights = np.pad(downscale_weights(k), 1)
    np.testing.assert_allclose(found[0], weights, atol=2e-6 * weights.max())


@pytest.mark.parametrize(("size", "values"), [(16, "mask"), (16, "energy"), (64, "energy")])
def test_ccd_images_are_drawn_as_on_the_host(simulated: Clusters, size: int, values: str) -> None:
    some = simulated[:40]
    model = build("tiny_cnn", some, size=size, input=values, test_time_average=False)
    images: list[np.ndarray] = []

    def seen(image: Any, training: bool) -> Any:
        images.append(np.asarray(image))
        return ops.zeros((len(some), 3))

    graph = ccd.graph(model, about(model, CCD))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "__call__", lambda self, image, training: seen(image, training))
        run(graph, ccd.inputs(model, some))
    assert (rasterise(some, 512, "mask").any(2).sum(1) > 16).any()
    np.testing.assert_allclose(images[0], model.preprocess(some), atol=2e-6)


@pytest.mark.parametrize("before", [(5, 2), (4150, 2), (2, 4150)])
def test_a_cluster_may_lie_anywhere_on_a_raster_of_any_size(three_classes: Clusters, before: tuple[int, int]) -> None:
    model = build("cnn_meta", three_classes, size=16, **SMALL_META)
    graph = ccd.graph(model, about(model, CCD))
    inputs = ccd.inputs(model, three_classes[:6])
    first = run(graph, inputs)["probability"]
    moved = {**inputs, "pixels": np.pad(inputs["pixels"], ((0, 0), (before[0], 9), (before[1], 31)))}
    np.testing.assert_allclose(run(graph, moved)["probability"], first, atol=1e-6)
    one = {"pixels": inputs["pixels"][2:3], "energy_sum": inputs["energy_sum"][2:3]}
    np.testing.assert_allclose(run(graph, one)["probability"], first[2:3], atol=1e-6)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("values", ["mask", "energy"])
def test_ccd_probabilities_are_those_that_predict_gives(three_classes: Clusters, values: str, average: bool) -> None:
    model = build("cnn_meta", three_classes, size=16, input=values, test_time_average=average, **SMALL_META)
    config = about(model, CCD)
    graph = families.graph(model, config)
    assert_same(graph, clusters.examples(graph, config, three_classes[:30], "", ccd.inputs))


def test_an_unknown_energy_sum_is_the_mean_one(three_classes: Clusters) -> None:
    some = three_classes[:5]
    table = some.table.assign(energy_sum=[np.nan, 1e4, 2e4, np.nan, 3e4])
    some = Clusters(some.hits, some.columns, some.offsets, table, some.unit)
    model = build("tiny_vae", three_classes)
    inputs = ccd.inputs(model, some)
    assert inputs["energy_sum"].tolist() == [0, 1e4, 2e4, 0, 3e4]
    graph = families.graph(model, about(model))
    assert_same(graph, clusters.examples(graph, about(model), some, "", ccd.inputs))


def test_images_that_hang_on_places_of_maxima_are_not_exported(three_classes: Clusters) -> None:
    outputs = {}
    for use_indices in (True, False):
        model = build("tiny_vae", three_classes, use_indices=use_indices)
        graph = families.graph(model, about(model))
        outputs[use_indices] = [tensor.name for tensor in graph.outputs]
    assert outputs == {True: ["z_mean", "z_log_var"], False: ["reconstruction", "z_mean", "z_log_var"]}
    assert_same(graph, clusters.examples(graph, about(model), three_classes[:20], "", ccd.inputs))


@pytest.mark.parametrize(
    "settings", [{}, {"time": "zero"}, {"time": "drop"}, {"test_time_average": True}, {"over_kev": 5.0}]
)
def test_timepix_probabilities_are_those_that_predict_gives(timepix3: Clusters, settings: dict[str, Any]) -> None:
    model = build("tiny_timepix_cnn", timepix3, size=16, **settings)
    config = about(model, PIXEL)
    graph = families.graph(model, config)
    # Some are enlarged, some are not, and some are averaged over blocks.
    assert len(set(np.sign(model.factors(timepix3) - 1))) == 3
    assert ("time" in [t.name for t in graph.inputs]) == (settings.get("time", "toa") == "toa")
    assert_same(graph, clusters.examples(graph, config, timepix3, "", timepix.inputs))


def test_clusters_in_another_unit_are_refused(simulated: Clusters) -> None:
    model = build("tiny_timepix_cnn", size=16)
    graph = families.graph(model, about(model, PIXEL))
    with pytest.raises(InputError, match="these clusters are in ADU"):
        clusters.examples(graph, about(model, PIXEL), simulated, "", timepix.inputs)


def test_times_count_from_any_moment_and_pixels_without_energy_do_not(timepix3: Clusters) -> None:
    model = build("tiny_timepix_cnn", timepix3, size=16)
    graph = families.graph(model, about(model, PIXEL))
    inputs = timepix.inputs(model, timepix3[:8])
    expected = run(graph, inputs)["probability"]
    later = {"energy": inputs["energy"] - (inputs["energy"] == 0), "time": inputs["time"] + 512}
    np.testing.assert_allclose(run(graph, later)["probability"], expected, atol=1e-6)


def test_a_pixel_hit_twice_has_the_sum_and_the_earlier_time(timepix3: Clusters) -> None:
    one = timepix3[:1]
    twice = np.concatenate([one.hits, one.hits[:3]])
    twice[-3:, one.columns.index("toa")] += 30
    doubled = Clusters(twice, one.columns, np.array([0, len(twice)]), one.table, one.unit)
    model = build("tiny_timepix_cnn", timepix3, size=16)
    graph = families.graph(model, about(model, PIXEL))
    found = run(graph, timepix.inputs(model, doubled))["probability"]
    np.testing.assert_allclose(found, probabilities(model, doubled), atol=1e-6)


def test_a_model_that_saw_no_times_asks_for_none(timepix3: Clusters) -> None:
    chosen = [timepix3.columns.index(name) for name in ("row", "col", "energy")]
    untimed = Clusters(
        timepix3.hits[:, chosen], ("row", "col", "energy"), timepix3.offsets, timepix3.table, timepix3.unit
    )
    model = build("tiny_timepix_cnn", untimed, size=16)
    config = about(model, PIXEL)
    graph = families.graph(model, config)
    assert [tensor.name for tensor in graph.inputs] == ["energy"]
    assert_same(graph, clusters.examples(graph, config, timepix3[:20], "", timepix.inputs))


@pytest.mark.parametrize("latent", ["pool", "dense"])
def test_autoencoders_give_heads_and_embedding_in_one_pass(timepix3: Clusters, latent: str) -> None:
    with shallow_efficientnet(one_stage=True):
        model = build("tiny_effnet_ae", timepix3, size=32, latent=latent)
    config = about(model)
    graph = families.graph(model, config)
    tried = clusters.examples(graph, config, timepix3[:6], "", timepix.inputs)
    assert_same(graph, tried, 2e-5)
    found = run(graph, tried.some(0, 6))
    embedded = model.encode(model.preprocess(timepix3[:6]))
    np.testing.assert_allclose(found["latent"], embedded, atol=2e-5 * np.abs(embedded).max())


@pytest.mark.parametrize("shape", [(36, 50), (35, 51), (36, 51)])
@pytest.mark.parametrize("common_mode", [False, True])
def test_frames_are_normalised_as_on_the_host(shape: tuple[int, int], common_mode: bool) -> None:
    model = build("tiny_pedestal_ae", frames(12, 0, shape=shape), common_mode=common_mode)
    pedestal = model.preprocessor.pedestal
    hot = np.zeros(shape, bool)
    hot[3, 4] = True
    fields = {name: getattr(pedestal, name) for name in ("mean", "sigma", "rtn", "level", "common_mode")}
    model.preprocessor = type(model.preprocessor)(common_mode=common_mode, pedestal=PedestalModel(**fields, hot=hot))
    graph = families.graph(model, about(model))
    raw = frames(3, 1, [[(10, 20, 4e4)]], shape).astype(np.float32)
    raw[1, :, 7] += 50
    raw[2, 5] -= 30
    found = run(graph, {"frames": raw})
    expected = model.preprocess(raw)
    assert np.abs(expected).max() == model.preprocessor.clip
    np.testing.assert_allclose(found["reconstruction"] + found["residual"], expected, atol=2e-5)
    assert_same(graph, families.examples(graph, about(model), 3, 0, NOTHING), 1e-5)


@pytest.mark.parametrize("scaling", ["sqrt", "log"])
def test_patches_are_scaled_as_on_the_host(scaling: str) -> None:
    rng = np.random.default_rng(0)
    patches = rng.normal(0, 3, (6, 32, 32)).astype(np.float32)
    patches[:, :4, :4] = [[0, 1e4, -1e4, 20]]
    model = build("tiny_dec", patches, scaling=scaling)
    graph = families.graph(model, about(model))
    expected = {k: np.asarray(v) for k, v in model.predict_on_batch(model.preprocess(patches)).items()}
    for name, value in run(graph, {"patches": patches}).items():
        np.testing.assert_allclose(value, expected[name], atol=5e-6 * np.abs(expected[name]).max())


@pytest.mark.parametrize("settings", [{}, {"variables": "m_pt_phi_eta"}])
def test_jets_go_in_and_come_out_in_gev(settings: dict[str, Any]) -> None:
    model = build("tiny_jet_ae", generate(500, 1), **settings)
    graph = families.graph(model, about(model))
    assert_same(graph, families.examples(graph, about(model), 50, 0, NOTHING))
    assert [t.by_column for t in graph.outputs] == [False, True]


def test_all_27_variables_have_their_constants_in_the_graph() -> None:
    rng = np.random.default_rng(2)
    values = rng.uniform(0.1, 30, (20, 27))
    values[:, AOD_27.index("NegativeE")] *= -1
    values[:, AOD_27.index("CentroidR")] += 1000
    model = build("ae_27d_z8", hidden=[8])
    found = _normalised(ops.convert_to_tensor(values.astype(np.float32)), model.preprocessor)
    np.testing.assert_allclose(found, model.preprocess(Jets(values, AOD_27)), atol=2e-5)
    np.testing.assert_allclose(_physical(found, model.preprocessor), values, rtol=1e-4, atol=1e-4)


def test_a_timepix_cluster_may_lie_far_away_on_a_large_raster(timepix3: Clusters) -> None:
    model = build("tiny_timepix_cnn", timepix3, size=16)
    graph = families.graph(model, about(model, PIXEL))
    inputs = timepix.inputs(model, timepix3[:4])
    moved = {name: np.pad(values, ((0, 0), (4150, 50), (3, 4))) for name, values in inputs.items()}
    np.testing.assert_allclose(run(graph, moved)["probability"], run(graph, inputs)["probability"], atol=1e-6)


@pytest.mark.parametrize("rows", [5, 4200])
def test_a_raster_without_a_hit_is_an_empty_image(rows: int) -> None:
    box = resample.boxes(np.zeros((2, rows, 7), bool))
    assert [np.asarray(part).tolist() for part in box] == [[0, 0]] * 4


def test_a_box_is_found_beyond_the_longest_side_of_a_cluster() -> None:
    hit = np.zeros((1, 4200, 7), bool)
    hit[0, 4150:4155, 2] = True
    assert [np.asarray(part).tolist() for part in resample.boxes(hit)] == [[4150], [2], [5], [1]]
