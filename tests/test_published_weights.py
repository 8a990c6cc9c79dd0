"""Published weights: packed, verified, found, and refused in one sentence where something is wrong with them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hypothesis
import hypothesis.extra.numpy as extra
import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import particle_zoo
from particle_zoo import InputError, WeightsNotFoundError, packing, verification, weights
from particle_zoo.verification import GOLDEN, verify, write_golden
from particle_zoo.weights import WEIGHTS, load_run, publish
from tests.jet_runs import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `tiny_jet_ae`; no test may change it."""
    keras.config.set_dtype_policy("float32")
    return write_run(tmp_path_factory.mktemp("run") / "run")


def publish_with_golden(run: Path, place: Path, kernels: weights.Kernels = "int8") -> Path:
    folder = publish(run, "tiny_jet_ae", place=place, kernels=kernels)
    model, _ = load_run(folder)
    write_golden(folder, model, np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))
    return folder


@pytest.fixture
def published(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its int8 copy with golden values, where `load` finds it."""
    monkeypatch.setenv("PARTICLE_ZOO_PATH", str(tmp_path / "zoo"))
    return publish_with_golden(run, tmp_path / "zoo")


# --- Kernels as int8 ---


@hypothesis.given(
    extra.arrays(
        np.float32, extra.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-1e3, 1e3, width=32)
    )
)
@hypothesis.example(np.full((2, 2), 1e-43, np.float32))
def test_a_kernel_changes_by_half_a_scale_at_most(kernel: np.ndarray) -> None:
    codes, scale = packing.encode(kernel)
    assert codes.dtype == np.int8
    assert (codes > -128).all()
    # Dividing and multiplying round, too.
    assert (np.abs(codes * scale - kernel) <= scale * (0.5 + 1e-5)).all()
    assert (codes[kernel == 0] == 0).all()


def test_every_output_channel_has_a_scale_of_its_own() -> None:
    dense = np.array([[1.0, 100.0], [-0.5, 50.0]], np.float32)
    assert packing.encode(dense)[1].ravel() == pytest.approx([1 / 127, 100 / 127])
    # The last axis of a depthwise kernel has length one.
    depthwise = np.ones((3, 3, 4, 1), np.float32) * np.arange(1, 5, dtype=np.float32)[:, None]
    assert packing.encode(depthwise)[1].ravel() == pytest.approx(np.arange(1, 5) / 127)


def test_quantised_weights_are_nearly_the_network_and_smaller(run: Path, published: Path) -> None:
    full, packed = load_run(run)[0], particle_zoo.load("tiny_jet_ae")
    for a, b in zip(full.get_weights(), packed.get_weights(), strict=True):
        assert b.dtype == np.float32
        if a.ndim < 2:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, atol=np.abs(a).max() / 250)
    with h5py.File(published / WEIGHTS) as file:
        assert {item["codes"].dtype for item in file.values() if "codes" in item} == {np.dtype("int8")}
    assert (published / WEIGHTS).stat().st_size < (run / WEIGHTS).stat().st_size
    x = np.random.default_rng(1).normal(size=(100, 4)).astype(np.float32)
    before, after = full.predict(x, verbose=0), packed.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.1 * before.std()


# --- Verification ---


def test_verify_repeats_the_golden_examples(published: Path) -> None:
    found = verify("tiny_jet_ae")
    assert found == verify(published)
    assert (found.name, found.folder, found.examples) == ("tiny_jet_ae", published, 5)
    assert found.inputs is None
    assert found.outputs < 1e-6
    assert particle_zoo.verify is verify


def test_verify_repeats_the_preprocessing_of_clusters(trained: Path, three_classes: Any, tmp_path: Path) -> None:
    folder = publish(trained, "tiny_cnn", place=tmp_path)
    model, _ = load_run(folder)
    write_golden(folder, model, model.preprocess(three_classes[:4]), three_classes[:4])
    assert verify(folder).inputs == 0
    # An image that the preprocessing would not have made.
    stored = dict(np.load(folder / GOLDEN))
    stored["inputs/image"] = np.roll(stored["inputs/image"], 1, axis=1)
    np.savez(folder / GOLDEN, **stored)
    with pytest.raises(InputError, match="other results here"):
        verify(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {**a, "outputs/output": a["outputs/output"] * 1.001}, "other results here than where it was made"),
        (lambda a: {**a, "outputs/output": a["outputs/output"] * np.nan}, "other results here than where it was made"),
        (
            lambda a: {**a, "outputs/output": a["outputs/output"][:3]},
            r"of another model: output has the shape \(3, 4\)",
        ),
        (lambda a: {**a, "outputs/mask": a["outputs/output"]}, "mask has the shape .* and is missing here"),
    ],
)
def test_other_results_are_one_sentence(published: Path, change: Any, message: str) -> None:
    np.savez(published / GOLDEN, **change(dict(np.load(published / GOLDEN))))
    with pytest.raises(InputError, match=message):
        verify("tiny_jet_ae")


def test_nothing_to_verify_is_one_sentence(run: Path, published: Path) -> None:
    with pytest.raises(InputError, match=r"holds no golden\.npz, which runs of your own have not"):
        verify(run)
    (published / GOLDEN).write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"golden\.npz is damaged"):
        verify(published)
    with pytest.raises(WeightsNotFoundError):
        verify("ae_25d_z8")


def test_a_copy_of_ones_own_hides_what_came_with_the_package(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARTICLE_ZOO_PATH", raising=False)
    monkeypatch.setenv("PARTICLE_ZOO_HOME", str(tmp_path / "cache"))
    own = publish(run, "tiny_jet_ae")
    came = Path(particle_zoo.__file__).parent / "zoo" / "tiny_jet_ae"
    with pytest.raises(InputError) as caught:
        verify("tiny_jet_ae")
    assert str(caught.value) == (
        f"{own} holds no {GOLDEN}, for it is a copy of your own, which goes before the weights of the package; "
        f"move it away, or verify the folder {came}"
    )
    # Both ways out of it.
    assert verify(came).folder == came
    own.rename(tmp_path / "away")
    assert verify("tiny_jet_ae").folder == came
    # Of other models nothing came.
    monkeypatch.setattr(weights, "shipped", list)
    (tmp_path / "away").rename(own)
    with pytest.raises(InputError, match="no weights of tiny_jet_ae came with it; verify another model"):
        verify("tiny_jet_ae")
    # What came may be incomplete.
    monkeypatch.setattr(weights, "shipped", lambda: [own.parent])
    with pytest.raises(InputError, match=f"no {GOLDEN}, though it came with the package; install the package again"):
        verify("tiny_jet_ae")


# --- Places ---


def test_weights_are_found_in_the_companion(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name anywhere on the path is the companion."""
    companion = tmp_path / "site" / weights.COMPANION
    companion.mkdir(parents=True)
    (companion / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    own, found = weights.shipped()
    assert (own.name, found) == ("zoo", companion)
    publish(run, "tiny_jet_ae", place=companion, kernels="int8")
    assert companion / "tiny_jet_ae" in weights.places("tiny_jet_ae")


def test_what_a_user_published_goes_before_what_is_shipped(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "shipped", lambda: [tmp_path / "shipped"])
    shipped = publish(run, "tiny_jet_ae", place=tmp_path / "shipped")
    assert weights.find("tiny_jet_ae") == shipped
    assert weights.find("tiny_jet_ae") != publish(run, "tiny_jet_ae") == weights.find("tiny_jet_ae")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ae_25d_z8", "need your own files: python -m particle_zoo.train ae_25d_z8 --manual-dir DIR --publish"),
        ("effnet_ae_mask0_imagehead", "none are published; train them with: .* --publish"),
        ("vae", r"pip install \./weights .* --recipe --publish"),
    ],
)
def test_without_weights_the_error_says_how_to_get_them(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "shipped", list)
    with pytest.raises(WeightsNotFoundError, match=message):
        particle_zoo.load(name)


# --- Under stress: one sentence, and nothing broken afterwards ---


def corrupt(folder: Path, kind: str) -> None:
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "corrupted":
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "wrong digest":
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**card, "weights_sha256": "0" * 64}))
    else:
        (folder / "card.json").write_text('{"weights_sha256": ')


@pytest.mark.parametrize("kind", ["truncated", "corrupted", "empty", "wrong digest", "half a card"])
def test_damaged_weights_are_one_sentence_and_an_intact_copy_loads_afterwards(
    kind: str, run: Path, published: Path
) -> None:
    corrupt(published, kind)
    for use in (particle_zoo.load, verify):
        with pytest.raises(InputError, match=r"damaged|cannot be read as JSON") as error:
            use("tiny_jet_ae")
        assert "\n" not in str(error.value)
    publish_with_golden(run, published.parent)
    verify("tiny_jet_ae")


@pytest.mark.parametrize("kind", ["truncated", "empty"])
def test_damage_shows_without_a_digest(kind: str, published: Path) -> None:
    corrupt(published, kind)
    (published / "card.json").unlink()
    with pytest.raises(InputError, match="damaged or belongs to another model"):
        particle_zoo.load("tiny_jet_ae")


def test_weights_of_another_architecture_are_refused(run: Path, published: Path) -> None:
    other = particle_zoo.create("tiny_cnn")
    packing.quantise(other, published / WEIGHTS)
    (published / "card.json").unlink()
    with pytest.raises(InputError, match="belongs to another model than tiny_jet_ae"):
        particle_zoo.load("tiny_jet_ae")


@pytest.mark.usefixtures("forked")
def test_two_processes_load_at_once(published: Path) -> None:
    code = "import particle_zoo as z; print(z.load('tiny_jet_ae').count_params(), z.verify('tiny_jet_ae').examples)"
    command = [sys.executable, "-B", "-c", code]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=300)[0].split() for process in processes] == [["487", "5"]] * 2


def test_loading_needs_no_network(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    verify("tiny_jet_ae")


FULL = """
import resource, signal, sys
from pathlib import Path
import keras, particle_zoo
from particle_zoo.weights import publish
# No file may grow, as on a full disk.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
assert particle_zoo.verify("tiny_jet_ae").outputs < 1e-4
for kernels in ("float32", "float16", "int8"):
    try:
        publish(Path(sys.argv[1]), "tiny_jet_ae", place=Path(sys.argv[2]), kernels=kernels)
    except OSError as error:
        if "too large" in str(error) and "model.weights.h5" in str(error):
            continue
        sys.exit(repr(error))
    sys.exit(f"published as {kernels}")
"""


@pytest.mark.usefixtures("forked")
def test_a_full_disk_is_enough_to_load_and_left_clean_by_publishing(run: Path, published: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-B", "-c", FULL, str(run), str(tmp_path / "other")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [path for path in (tmp_path / "other").rglob("*") if path.is_file()]


def test_loading_needs_no_permission_to_write(published: Path) -> None:
    content = {path.name: path.read_bytes() for path in published.iterdir()}
    for path in (*published.iterdir(), published):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        verify("tiny_jet_ae")
    finally:
        published.chmod(0o755)
    assert {path.name: path.read_bytes() for path in published.iterdir()} == content


def test_golden_values_have_a_stated_tolerance(published: Path) -> None:
    stored = dict(np.load(published / GOLDEN))
    largest = np.abs(stored["outputs/output"]).max()
    stored["outputs/output"] = stored["outputs/output"] + np.float32(0.5 * verification.TOLERANCE * largest)
    np.savez(published / GOLDEN, **stored)
    assert 0 < verify("tiny_jet_ae").outputs <= verification.TOLERANCE


def test_shutil_copies_of_published_folders_work(published: Path, tmp_path: Path) -> None:
    """Weights are a folder of files: copying it to a machine without a network is all it takes."""
    copy = shutil.copytree(published, tmp_path / "elsewhere")
    assert verify(copy).folder == copy
