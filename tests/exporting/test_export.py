"""`python -m particle_zoo.export`: files that other runtimes read, checked before they are there."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import pytest
from click.testing import CliRunner

from particle_zoo import registry
from particle_zoo.cli import read_json
from particle_zoo.diagnosis import devices
from particle_zoo.errors import FormatRefusedError, InputError, ParticleZooError
from particle_zoo.export import export as command
from particle_zoo.exporting import formats
from particle_zoo.exporting.check import Difference
from particle_zoo.exporting.clusters import load
from particle_zoo.exporting.graph import Tensor
from particle_zoo.exporting.write import export
from particle_zoo.simulation import ccd
from tests import camera_runs, jet_runs
from tests.export_runs import SMALL_META, write_run
from tests.forms import unless_all
from tests.shallow import shallow_efficientnet

CCD, PIXEL = ["xray", "electron", "muon"], ["proton", "electron"]
NOTHING = {"dataset": None, "data_dir": None, "manual_dir": None, "split": "test"}
FAMILIES = {
    "cnn_meta": {"pixels", "energy_sum"},
    "tiny_vae": {"pixels", "energy_sum"},
    "tiny_timepix_cnn": {"energy", "time"},
    "tiny_effnet_ae": {"energy", "time"},
    "tiny_effnet_classifier": {"energy", "time"},
    "tiny_dec": {"patches"},
    "tiny_pedestal_ae": {"frames"},
    "tiny_jet_ae": {"jets"},
}
"""A model of each family, and what its graph takes."""

EXPORTS = [(family, kind) for family in FAMILIES for kind in ("onnx", "litert")]

SHORT = [
    pair
    for pair in EXPORTS
    if pair not in unless_all([("tiny_effnet_ae", "litert"), ("tiny_effnet_classifier", "onnx")])
]
"""The classifier has the encoder of the autoencoder: in the small form each is tried in one format."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    some = ccd.generate(60, 3)
    write_run(root / "cnn_meta", "cnn_meta", CCD, some, size=16, **SMALL_META)
    write_run(root / "tiny_vae", "tiny_vae", None, some)
    write_run(root / "tiny_timepix_cnn", "tiny_timepix_cnn", PIXEL, size=16)
    with shallow_efficientnet(one_stage=True):
        write_run(root / "tiny_effnet_ae", "tiny_effnet_ae", None, size=32)
        write_run(root / "tiny_effnet_classifier", "tiny_effnet_classifier", PIXEL, size=32)
    write_run(root / "tiny_dec", "tiny_dec")
    camera_runs.write_run(root / "tiny_pedestal_ae")
    jet_runs.write_run(root / "tiny_jet_ae")
    jet_runs.write_run(root / "wide", hidden=[64, 64])
    return root


@pytest.fixture(autouse=True)
def _shallow() -> Iterator[None]:
    with shallow_efficientnet(one_stage=True):
        yield


@pytest.fixture
def run(runs: Path) -> Path:
    """The one whose export takes no time."""
    return runs / "tiny_jet_ae"


def made(
    run: Path, kind: str, output: Path, *, examples: int = 4, force: bool = False, **options: Any
) -> dict[str, Any]:
    return export(run, kind, output, examples=examples, seed=0, force=force, options=NOTHING | options)


@pytest.mark.parametrize(
    ("family", "kind"),
    [pytest.param(*pair, marks=pytest.mark.slow if "effnet" in pair[0] else ()) for pair in SHORT],
)
def test_every_family_runs_in_other_runtimes(runs: Path, family: str, kind: str, tmp_path: Path) -> None:
    found = made(runs / family, kind, tmp_path)
    about = read_json(tmp_path / f"{family}.export.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"{family}.export.json", Path(found["file"]).name])
    assert {tensor["name"] for tensor in about["inputs"]} == FAMILIES[family]
    assert set(found["difference"]) == {tensor["name"] for tensor in about["outputs"]}
    assert max(found["difference"].values()) < 2e-5
    assert found["bytes"] == Path(found["file"]).stat().st_size
    assert found["latency"]["ms"]["1"] > 0
    assert about["files"][kind]["difference"] == found["difference"]


def test_a_saved_model_needs_nothing_of_this_package(runs: Path, tmp_path: Path) -> None:
    found = made(runs / "cnn_meta", "saved_model", tmp_path)
    import tensorflow as tf

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith("particle_zoo.models")]:
            patch.delitem(sys.modules, name)
        serve = tf.saved_model.load(found["file"]).signatures["serving_default"]
    pixels = np.zeros((2, 40, 30), np.float32)
    pixels[0, 2:5, 3] = pixels[1, 10:39, 20:22] = 1
    said = serve(pixels=tf.constant(pixels), energy_sum=tf.constant([2e4, 9e4]))["probability"].numpy()
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-6)
    assert found["bytes"] == sum(p.stat().st_size for p in Path(found["file"]).rglob("*") if p.is_file())
    again = made(runs / "cnn_meta", "saved_model", tmp_path, force=True)
    assert again["difference"] == found["difference"]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_an_onnx_file_says_what_it_takes(run: Path, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(made(run, "onnx", tmp_path)["file"])
    props = {prop.key: prop.value for prop in proto.metadata_props}
    tensors = json.loads(props["tensors"])
    assert tensors["inputs"][0]["units"] == "pt, eta, phi, E; GeV and rad"
    assert [value.name for value in proto.graph.input] == ["jets"]
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert {value.name for value in proto.graph.output} == {"latent", "decoded"}


def test_int8_is_smaller_and_says_what_it_costs(runs: Path, tmp_path: Path) -> None:
    whole = made(runs / "wide", "litert", tmp_path)
    found = made(runs / "wide", "litert_int8", tmp_path, examples=33)
    assert found["bytes"] < whole["bytes"]
    assert Path(found["file"]).name == "tiny_jet_ae_int8.tflite"
    assert 1e-4 < max(found["rms"].values()) < 0.2
    assert found["quantisation"].startswith("dynamic range")
    assert set(found["latency"]["ms"]) == set(found["latency"]["keras_ms"]) == {"1", "32"}
    # Both are described in one file.
    assert set(read_json(tmp_path / "tiny_jet_ae.export.json")["files"]) == {"litert", "litert_int8"}


def test_int8_of_a_classifier_is_scored_with_labels(runs: Path, tmp_path: Path) -> None:
    found = made(runs / "cnn_meta", "litert_int8", tmp_path, examples=20)
    assert found["agreement"] >= 0.9
    assert abs(found["accuracy"] - found["accuracy_keras"]) <= 1 - found["agreement"]


def test_nothing_to_quantise_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no kernel of tiny_jet_ae is large enough .* leave out --int8"):
        made(run, "litert_int8", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_what_it_writes(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [str(run), "--format", "onnx", "--examples", "5", "--output", "out", "--json", "numbers.json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    numbers = read_json(Path("numbers.json"))
    assert numbers["file"] == "out/tiny_jet_ae.onnx"
    assert numbers["examples"] == {"n": 5, "data": "simulated like jets/simulated, seed 0"}
    for part in ("decoded", "5 examples", "file: out/tiny_jet_ae.onnx", "about: out/tiny_jet_ae.export.json"):
        assert part in result.output
    assert f"{numbers['latency']['ms']['1']:g} ms" in result.output


def test_without_output_it_lies_in_the_run(run: Path) -> None:
    result = CliRunner().invoke(
        command, [str(run), "--format", "onnx", "--examples", "2", "--quiet"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert (run / "export" / "tiny_jet_ae.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "onnx", "--int8"], "--int8 is for --format litert; received --format onnx"),
        (
            ["--format", "onnx", "--manual-dir", "."],
            "--manual-dir holds the files of a data set; name it with --dataset",
        ),
        (["--format", "onnx", "--dataset", "ccd_clusters/simulated"], "jets"),
        (["--format", "onnx", "--output", "file"], "--output file is a file; give a folder"),
        (["--format", "onnx", "--output", "old"], "old/tiny_jet_ae.onnx exists; replace it with --force"),
        (["--format", "litert", "--output", "other"], "other/tiny_jet_ae.export.json is of other weights"),
        (["--format", "tflite"], "tflite"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    run: Path, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("precious")
    Path("old").mkdir()
    Path("old/tiny_jet_ae.onnx").write_text("precious")
    Path("other").mkdir()
    Path("other/tiny_jet_ae.export.json").write_text('{"weights_sha256": "0"}')
    refused([str(run), "--output", "new", *arguments], message)


def refused(arguments: list[str], message: str) -> None:
    before = {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        command.main([*arguments, "--quiet"], standalone_mode=False)
    text = error.value.format_message() if isinstance(error.value, click.ClickException) else str(error.value)
    assert message in text
    assert "\n" not in text
    assert {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()} == before


def test_a_name_without_weights_and_one_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(["effnet_ae_mask0_imagehead", "--format", "onnx"], "no model.weights.h5 for effnet_ae_mask0_imagehead")
    refused(["tiny_cnnn", "--format", "onnx"], "did you mean tiny_cnn")


def test_a_missing_package_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(InputError, match=r"tf2onnx cannot be imported .* pip install 'particle-zoo\[export\]'"):
        made(run, "onnx", tmp_path)


def test_another_backend_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="the backend is jax; unset KERAS_BACKEND"):
        made(run, "onnx", tmp_path)


def test_differences_are_shares_of_the_largest_value() -> None:
    together, apart = Difference(Tensor("a", (2,), "")), Difference(Tensor("a", (2,), "", by_column=True))
    expected = np.array([[1000.0, 1.0], [500.0, -2.0]])
    for difference in (together, apart):
        difference.add(expected[:1], expected[:1])
        difference.add(expected[1:] + np.array([0, 0.5]), expected[1:])
    assert (together.share, apart.share) == (0.0005, 0.25)
    spread = np.sqrt(0.5**2 / 2) / np.std([1.0, -2.0])
    assert apart.rms == pytest.approx(spread)
    with pytest.raises(FormatRefusedError, match=r"gives a of shape \(2, 1\), Keras \(2, 2\); .* another --format"):
        together.add(expected[:, :1], expected)


@pytest.mark.real_data
@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_hundred_real_clusters_give_the_same(real_data: Path, runs: Path, kind: str, tmp_path: Path) -> None:
    where = {"dataset": "ccd_clusters/damic_labelled", "manual_dir": real_data / "ccd", "split": "all"}
    found = made(runs / "cnn_meta", kind, tmp_path, examples=100, data_dir=tmp_path / "data", **where)
    assert found["examples"]["n"] == 100
    assert max(found["difference"].values()) < 2e-5
    assert found["agreement"] == 1


def test_examples_are_simulated_like_the_data_of_the_model() -> None:
    model = registry.build("tiny_timepix_cnn")
    name, found = load(model, {"classes": PIXEL}, 12, 0, NOTHING)
    assert name == "simulated like timepix1_clusters/satram_simulated_benchmark, seed 0"
    assert len(found) == 12
    assert set(found.labels) <= set(PIXEL)


def test_exports_side_by_side_are_all_described(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = formats.FORMATS["onnx"]

    def slow(graph: Any, path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            # As another process would.
            patch.setattr("os.getpid", lambda: 1)
            made(run, "litert", tmp_path)
        form.write(graph, path)

    monkeypatch.setitem(formats.FORMATS, "onnx", dataclasses.replace(form, write=slow))
    made(run, "onnx", tmp_path)
    assert set(read_json(tmp_path / "tiny_jet_ae.export.json")["files"]) == {"litert", "onnx"}


def test_a_saved_model_that_cannot_be_replaced_stays(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Path(made(run, "saved_model", tmp_path)["file"])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    rename = Path.rename

    def fail(self: Path, to: Path) -> Path:
        if self.parent.name.endswith(".tmp") and self.name == target.name:
            raise OSError("no room")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no room"):
        made(run, "saved_model", tmp_path, force=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_runs_and_is_timed_on_the_cores_of_the_process(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ai_edge_litert import interpreter

    threads: list[int | None] = []

    class Counted(interpreter.Interpreter):
        def __init__(self, *args: Any, num_threads: int | None = None, **more: Any) -> None:
            threads.append(num_threads)
            super().__init__(*args, num_threads=num_threads, **more)

    monkeypatch.setattr(interpreter, "Interpreter", Counted)
    monkeypatch.setattr(devices, "usable_cores", lambda: 3)
    monkeypatch.setattr(formats, "usable_cores", lambda: 3)
    assert made(run, "litert", tmp_path)["latency"]["cores"] == 3
    assert threads == [3]
