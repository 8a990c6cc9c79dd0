"""Weights of PyTorch become models of the zoo."""

from __future__ import annotations

import itertools
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.testing import assert_allclose, assert_array_equal

import particle_zoo
from particle_zoo import InputError
from particle_zoo.conversion import torch_net
from particle_zoo.conversion.jet_ae import layers_in, looks_like, put, widths
from particle_zoo.conversion.layers import layers_of
from particle_zoo.conversion.normalisation import with_statistics
from particle_zoo.convert import convert
from particle_zoo.pipelines.jets import JetPreprocessor

NEEDS_TORCH = "reads and compares weights of PyTorch; installed with particle-zoo[torch]"

HEAD = (4, 200, 100, 50, 3, 50, 100, 200, 4)
NAMES = ("en1", "en2", "en3", "en4", "de1", "de2", "de3", "de4")
STATISTICS = {
    "mean": {"pt": 65.0, "eta": 0.1, "phi": 0.0, "E": 180.0},
    "std": {"pt": 71, "eta": 1.4, "phi": 1.8, "E": 200},
}


def arrays(sizes: tuple[int, ...] = HEAD, names: tuple[str, ...] = NAMES, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights and biases of linear layers as PyTorch has them: (outputs, inputs)."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, ins, outs in zip(names, sizes[:-1], sizes[1:], strict=True):
        found[f"{name}.weight"] = rng.normal(0, ins**-0.5, (outs, ins)).astype(np.float32)
        found[f"{name}.bias"] = rng.normal(0, 0.3, outs).astype(np.float32)
    return found


def normed(sizes: tuple[int, ...], step: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """A net as AE_bn_LeakyReLU of the group: Linear, LeakyReLU, BatchNorm1d, the last layer plain."""
    rng, half, found = np.random.default_rng(seed), len(sizes) // 2, {}
    for i, (ins, outs) in enumerate(itertools.pairwise(sizes)):
        part, number = ("encoder", i) if i < half else ("decoder", i - half)
        found |= arrays((ins, outs), (f"{part}.{step * number}",), seed + i)
        if i < len(sizes) - 2:
            name = f"{part}.{step * number + step - 1}"
            for kind, values in (("weight", rng.normal(1, 0.2, outs)), ("bias", rng.normal(0, 0.2, outs)),
                                 ("running_mean", rng.normal(0, 0.2, outs)), ("running_var", rng.uniform(0.5, 2, outs))):  # fmt: skip
                found[f"{name}.{kind}"] = values.astype(np.float32)
            found[f"{name}.num_batches_tracked"] = np.array(7)
    return found


WIDE = (27, 200, 200, 200, 14, 200, 200, 200, 27)


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        tuple(f"module.{name}" for name in NAMES),
        tuple(f"{part}.{2 * i}" for part in ("encoder", "decoder") for i in range(4)),
        tuple(f"{part}.{i}" for part in ("encoder", "decoder") for i in (0, 2, 9, 10)),
        tuple(f"net.{i}" for i in range(0, 16, 2)),
        ("one", "two", "three", "code", "four", "five", "six", "result"),
    ],
)
def test_layers_are_taken_in_the_order_of_the_net_whatever_their_names(names: tuple[str, ...]) -> None:
    model = particle_zoo.create("ae_3d_200")
    named = arrays(names=names)
    if names[0] != "one":
        # Some programs sort the names of what they save.
        named = dict(sorted(named.items()))
    put(layers_of(named), model)
    jets = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    assert_allclose(model.decode(model.encode(jets)), by_hand(arrays(), jets), atol=1e-5)
    assert [layer.name for layer in layers_of(named)] == list(names)


def by_hand(named: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """de4(tanh(de3(... tanh(de1(tanh(en4(tanh(...)))))))), with HEAD's names."""
    for name in NAMES[:4]:
        x = (np.tanh(x) if name != "en1" else x) @ named[f"{name}.weight"].T + named[f"{name}.bias"]
    for name in NAMES[4:]:
        x = np.tanh(x) @ named[f"{name}.weight"].T + named[f"{name}.bias"]
    return x


def test_batch_normalisation_follows_the_activation_and_the_last_layer_has_none() -> None:
    model = particle_zoo.create("ae_27d_z14")
    named = normed(WIDE)
    layers = layers_of(named)
    assert [layer.norm is not None for layer in layers] == [True] * 7 + [False]
    put(layers, model)
    x = jets = np.random.default_rng(1).normal(size=(50, 27)).astype(np.float32)
    for i in range(4):
        x = x @ named[f"encoder.{3 * i}.weight"].T + named[f"encoder.{3 * i}.bias"]
        norm = {
            kind: named[f"encoder.{3 * i + 2}.{kind}"] for kind in ("weight", "bias", "running_mean", "running_var")
        }
        x = (np.where(x > 0, x, 0.01 * x) - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5)
        x = x * norm["weight"] + norm["bias"]
    assert_allclose(model.encode(jets), x, atol=1e-4)


def test_what_was_put_in_comes_out_again() -> None:
    model = particle_zoo.create("tiny_jet_ae", activation="leaky_relu", batch_norm=True)
    layers = layers_of(normed((4, 16, 8, 3, 8, 16, 4)))
    put(layers, model)
    for before, after in zip(layers, layers_in(model), strict=True):
        assert_array_equal(before.weight, after.weight)
        assert_array_equal(before.bias, after.bias)
        assert (before.norm is None) == (after.norm is None)
        if before.norm and after.norm:
            assert_array_equal(before.norm.variance, after.norm.variance)
            assert_array_equal(before.norm.mean, after.norm.mean)


def test_a_layer_without_bias_has_a_bias_of_0() -> None:
    named = arrays()
    del named["de4.bias"]
    assert_array_equal(layers_of(named)[-1].bias, np.zeros(4))


@pytest.mark.parametrize(
    ("name", "settings", "named", "said"),
    [
        ("ae_3d_200", {}, normed(WIDE), r"layer encoder.0 has weights of shape \(200, 27\) where ae_3d_200 .* needs "
         r"\(200, 4\); that looks like ae_27d_z14: give --model ae_27d_z14"),
        ("ae_3d_200", {}, arrays((*HEAD[:4], 5, *HEAD[5:])), r"layer en4 has .* \(5, 50\) .* \(3, 50\); that looks like --set "
         r"hidden=\[200,100,50\] --set latent=5$"),
        ("ae_3d_200", {}, arrays((4, 8, 3, 8, 4), NAMES[:4]), r"holds 4 linear layers, 4-8-3-8-4, and .* 8; .*--set hidden=\[8\]"),
        ("ae_3d_200", {}, arrays((7, 8, 3, 8, 4), NAMES[:4]), "no model of the zoo has the layers 7-8-3-8-4"),
        ("ae_3d_200", {"hidden": [20]}, arrays(), "that looks like ae_3d_200 without --set"),
        ("ae_27d_z14", {}, arrays(WIDE), "layer en1 has no batch normalisation where .* has one; .*--set batch_norm=false"),
        ("ae_3d_200", {}, normed(HEAD), "layer encoder.0 has batch normalisation where .* has no; .*--set batch_norm=true"),
        ("ae_3d_200", {"hidden": [200, 200, 20], "variables": "m_pt_phi_eta"},
         arrays((4, 200, 200, 20, 3, 20, 200, 200, 4), ("enc_l1", "enc_l2", "enc_l3", "latent", "dec_l1", "dec_l2", "dec_l3", "output")),
         "AE_3D_200_LeakyReLU, whose decoder does not begin with a tanh"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_are_named_with_what_they_look_like(
    name: str, settings: dict[str, Any], named: dict[str, np.ndarray], said: str
) -> None:
    model = particle_zoo.create(name, **settings)
    before = model.get_weights()
    with pytest.raises(InputError, match=said):
        put(layers_of(named), model)
    for weights, kept in zip(model.get_weights(), before, strict=True):
        assert_array_equal(weights, kept)


def test_settings_that_are_proposed_fit() -> None:
    layers = layers_of(arrays((25, 30, 7, 30, 25), NAMES[:4]))
    said = looks_like(layers, particle_zoo.create("ae_27d_z14"))
    settings = particle_zoo.cli.parse_settings(tuple(said.partition("--set ")[2].split(" --set ")))
    model = particle_zoo.create("ae_27d_z14", **settings)
    put(layers, model)
    assert widths(layers_in(model)) == "25-30-7-30-25"


def test_nets_that_no_model_can_be_are_refused() -> None:
    with pytest.raises(InputError, match=r"conv has weight \(4, 2, 3\).*; give a net of linear layers"):
        layers_of({"conv.weight": np.ones((4, 2, 3))})
    with pytest.raises(InputError, match=r"en1 has weight \(4, 2\), gate \(3,\)"):
        layers_of({"en1.weight": np.ones((4, 2)), "en1.gate": np.ones(3)})
    with pytest.raises(InputError, match="which are of two layers"):
        layers_of({"en1.weight": np.ones((4, 2)), "en1.bias": np.ones(2)})
    with pytest.raises(InputError, match=r"encoder.1 follows encoder.0 at once, so that net normalises before"):
        layers_of(normed(HEAD, step=2))
    broken = arrays()
    broken["en2.bias"][7] = np.nan
    with pytest.raises(InputError, match=r"en2.bias has values that are not finite; take a checkpoint"):
        layers_of(broken)
    one = {f"bn.{kind}": np.ones(4) for kind in ("weight", "bias", "running_mean", "running_var")}
    with pytest.raises(InputError, match="bn normalises the inputs"):
        layers_of(one)
    with pytest.raises(InputError, match=r"bn does not belong to en1, which has 200 outputs: .*\(4,\)"):
        layers_of({**arrays(HEAD[:2], NAMES[:1]), **one})
    twice = {**one, **{name.replace("bn", "bo"): array for name, array in one.items()}}
    with pytest.raises(InputError, match="bo normalises what en1 gives a second time"):
        layers_of({**arrays((7, 4), NAMES[:1]), **twice})
    one["bn.running_var"] = -one["bn.running_var"]
    with pytest.raises(InputError, match="variances from -1"):
        layers_of({**arrays((7, 4), NAMES[:1]), **one})


def test_statistics_come_from_a_file_by_name_in_gev(tmp_path: Path) -> None:
    fresh = JetPreprocessor()
    (tmp_path / "s.json").write_text(json.dumps(STATISTICS))
    found = with_statistics(fresh, str(tmp_path / "s.json"))
    assert found.mean == (65.0, 0.1, 0.0, 180.0)
    assert found.scale == (71.0, 1.4, 1.8, 200.0)
    (tmp_path / "s.csv").write_text("variable,mean,std\nE,180e3,200e3\nphi,0,1.8\npT,65e3,71e3\neta,0.1,1.4\n")
    assert with_statistics(fresh, str(tmp_path / "s.csv"), "MeV") == found
    (tmp_path / "l.json").write_text('{"mean": [65, 0.1, 0, 180], "scale": [71, 1.4, 1.8, 200]}')
    assert with_statistics(fresh, str(tmp_path / "l.json")) == found
    with pytest.raises(
        InputError, match=r"read as GeV, the mean pt is 6.5e\+04 GeV, .*; give the unit with --unit MeV"
    ):
        with_statistics(fresh, str(tmp_path / "s.csv"))
    assert with_statistics(fresh, "none") == fresh
    custom = JetPreprocessor("m_pt_phi_eta", "custom")
    assert with_statistics(custom, None) == custom
    with pytest.raises(InputError, match="fixed constants"):
        with_statistics(custom, "none")
    with pytest.raises(
        InputError, match=r"a state dict does not say by which means and scales; give .*--normalisation FILE"
    ):
        with_statistics(fresh, None)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("s.json", "[1, 2]", "must hold a JSON object"),
        ("s.json", '{"mean": [1, 2, 3, 4]}', "has mean, no mean and std"),
        ("s.json", '{"mean": {"pt": 1, "eta": 0}, "std": {}}', "mean lacks phi, E; it has pt, eta"),
        ("s.json", '{"mean": [1, 2, 3], "std": [1, 2, 3]}', "one finite number for each of pt, eta, phi, E; received"),
        ("s.json", '{"mean": [1, 2, 3, "4"], "std": [1, 2, 3, 4]}', "one finite number for each"),
        ("s.json", '{"mean": [1, 2, 3, NaN], "std": [1, 2, 3, 4]}', "one finite number for each"),
        ("s.json", '{"mean": [1, 2, 3, 4], "std": [1, 2, 0, 4]}', "the std of phi is 0"),
        ("s.csv", "", "cannot be read as CSV"),
        ("s.csv", "variable;mean;std\npt;1;2\n", "has the columns variable;mean;std"),
        ("s.csv", "variable,mean,std\npt,1,2\n", "mean lacks eta, phi, E"),
    ],
)  # fmt: skip
def test_statistics_that_cannot_be_used(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        with_statistics(JetPreprocessor(), str(tmp_path / name))


def command(file: Path, output: Path, *more: str, model: str = "ae_3d_200") -> Result:
    return CliRunner().invoke(
        convert, ["pytorch", str(file), "--model", model, "--output", str(output), *more], standalone_mode=False
    )


def refused(result: Result) -> str:
    assert isinstance(result.exception, InputError), result.exception or result.output
    return str(result.exception)


def test_without_pytorch_a_sentence_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    said = refused(command(tmp_path / "a.pth", tmp_path / "run", "--normalisation", "none"))
    assert said.endswith("which is not installed; install it with: pip install 'particle-zoo[torch]'")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason=NEEDS_TORCH)


def saved(torch: Any, path: Path, named: dict[str, np.ndarray], **more: Any) -> Path:
    state = {name: torch.from_numpy(np.array(array)) for name, array in named.items()}
    torch.save({"model": state, **more} if more else state, path)
    return path


def test_a_converted_folder_is_a_model_with_the_statistics_given(torch: Any, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(STATISTICS))
    file = saved(torch, tmp_path / "a.pth", arrays())
    more = ("--normalisation", str(tmp_path / "s.json"), "--json", str(tmp_path / "n.json"))
    result = command(file, tmp_path / "run", *more)
    assert result.exception is None, result.exception
    assert "4-200-100-50-3-50-100-200-4, 52,607 parameters" in result.output
    assert "a state dict does not tell activations; taken: tanh after every layer but the latent" in result.output
    assert "largest difference" in result.output
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert numbers["layers"] == list(NAMES)
    assert set(numbers["differences"]) == {"encode", "decode", "whole"}
    assert max(numbers["differences"].values()) < 1e-5
    model = particle_zoo.load("ae_3d_200", weights=tmp_path / "run")
    assert model.preprocessor.mean == (65.0, 0.1, 0.0, 180.0)
    x = np.random.default_rng(5).normal(size=(20, 4)).astype(np.float32)
    assert_allclose(model.decode(model.encode(x)), by_hand(arrays(), x), atol=1e-5)
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["converted_from"]["file"] == "a.pth"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "card.json",
        "config.json",
        "model.weights.h5",
    ]

    before = (tmp_path / "run" / "card.json").read_bytes()
    other = saved(torch, tmp_path / "b.pth", arrays(seed=1))
    said = refused(command(other, tmp_path / "run", "--normalisation", "none"))
    assert said.endswith("already holds a run; replace it with --force or choose another --output")
    assert "is a file; give a folder" in refused(command(other, file, "--normalisation", "none"))
    assert (tmp_path / "run" / "card.json").read_bytes() == before
    result = command(other, tmp_path / "run", "--normalisation", "none", "--force", "--quiet")
    assert result.exception is None
    assert "activations" not in result.output
    model = particle_zoo.load("ae_3d_200", weights=tmp_path / "run")
    assert_allclose(model.decode(model.encode(x)), by_hand(arrays(seed=1), x), atol=1e-5)


def test_a_wide_net_in_the_old_format_with_half_precision(torch: Any, tmp_path: Path) -> None:
    named = normed((25, *WIDE[1:4], 8, *WIDE[5:8], 25))
    state = {name: torch.from_numpy(np.array(array)) for name, array in named.items()}
    state["encoder.0.weight"] = state["encoder.0.weight"].bfloat16()
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    result = command(tmp_path / "a.pth", tmp_path / "run", model="ae_25d_z8")
    assert result.exception is None, result.exception
    assert "normalised by the fixed constants" in result.output
    assert "LeakyReLU with slope 0.01" in result.output


class L:
    """In the place of fastcore's list, in which fastai keeps the settings of its optimizer."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_of_fastai_is_read_without_its_optimizer(torch: Any, tmp_path: Path, zipped: bool) -> None:
    from particle_zoo.conversion.state_dict import read

    state = {name: torch.from_numpy(array) for name, array in arrays().items()}
    optimizer = {
        "state": [{"mom": torch.ones(3), "grad_avg": torch.ones(3), "step": 7} for _ in state],
        "hypers": L([{"lr": np.float64(1e-3), "wd": np.array([1e-2]), "eps": 1e-5}]),
    }
    file = tmp_path / "a.pth"
    torch.save({"model": state, "opt": optimizer}, file, _use_new_zipfile_serialization=zipped)
    found = read(file)
    assert list(found) == list(arrays())
    assert_array_equal(found["en1.weight"], arrays()["en1.weight"])


class Runs:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, ("ran",)


def test_files_without_a_state_dict(torch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    none = ("--normalisation", "none")
    whole = saved(torch, tmp_path / "whole.pth", arrays()).read_bytes()

    def said(name: str) -> str:
        text = refused(command(tmp_path / name, tmp_path / "run", *none))
        assert not (tmp_path / "run").exists()
        assert "\n" not in text
        assert text.count(";") == 1
        return text

    assert "there is no file" in said("missing.pth")
    for name, content in {
        "cut.pth": whole[: len(whole) // 2],
        "text.pth": b"en1, en2",
        "empty.pth": b"",
        "pickle.pth": pickle.dumps({"en1.weight": [1.0]}),
        "runs.pth": pickle.dumps({"en1.weight": Runs()}),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert "cannot be read as a state dict of PyTorch" in said(name)
    for name, held, expected in (
        ("module.pth", torch.nn.Linear(2, 2), "holds a Linear and no state dict"),
        ("tensor.pth", torch.ones(3), "holds a Tensor and no state dict"),
        ("nothing.pth", {}, "holds nothing and no state dict"),
        ("lists.pth", {"en1.weight": [1.0]}, "holds a list under 'en1.weight' where a state dict has tensors only"),
        ("own.pth", {"en1.weight": Runs()}, "cannot be read as a state dict"),
        ("own-2.pth", {"en1.weight": L([1])}, "holds a L under 'en1.weight'"),
    ):
        torch.save(held, tmp_path / name)
        assert expected in said(name)
    assert not (tmp_path / "ran").exists()


def test_other_nets_leave_nothing_behind(torch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(torch, tmp_path / "a.pth", arrays())
    none = ("--normalisation", "none")
    assert "give --model ae_3d_200" in refused(command(file, tmp_path / "run", model="ae_27d_z14"))
    assert "no autoencoder of jets" in refused(command(file, tmp_path / "run", *none, model="tiny_cnn"))
    residual = command(file, tmp_path / "run", *none, "--set", "block=residual")
    assert "take block=dense" in refused(residual)

    def without_first(layers: Any, activation: str) -> Any:
        return torch_net._sequential(layers[4:], activation, bare=("de4",))

    monkeypatch.setattr(torch_net, "decoder", without_first)
    assert "differ by" in refused(command(file, tmp_path / "run", *none))
    assert not (tmp_path / "run").exists()
