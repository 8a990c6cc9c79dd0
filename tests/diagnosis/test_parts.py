"""What the doctor knows about packages, cards, libraries and precision."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from particle_zoo.diagnosis import devices, gpu, libraries, packages, precision, storage
from particle_zoo.diagnosis.backend import Choice, choice
from particle_zoo.diagnosis.child import Answer
from particle_zoo.diagnosis.devices import Card
from particle_zoo.diagnosis.examination import Examination

linux = pytest.mark.skipif(platform.system() != "Linux", reason="libraries of Linux")

A100 = Card("NVIDIA A100", 42.9, "550.54.15", "8.0")
K80 = Card("Tesla K80", 12.0, "470.1", "3.7")
BUILD = {"is_cuda_build": True, "cuda_version": "12.5.1", "cudnn_version": "9"}
BUILD_FROM = {**BUILD, "cuda_compute_capabilities": ["sm_60", "sm_80", "compute_90"]}


# --- Packages ---


def test_packages_are_those_of_the_project_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"numpy": "1.26.4", "keras": "3.15.1", "torch": "2.1.0", "jax": "0.9.0"}
    monkeypatch.setattr(packages, "installed", lambda name: there.get(name, ""))
    found = {package.name: package for package in packages.packages()}
    assert found["keras"].fits
    assert found["keras"].finding is None
    assert str(found["numpy"].finding) == "numpy is 1.26.4, >=2 is needed; pip install 'numpy>=2'"
    assert str(found["h5py"].finding).startswith("h5py is not installed, >=3.11 is needed")
    # Where it is the backend, the trial of that says so; elsewhere nothing is wrong.
    assert found["tensorflow"].required
    assert found["tensorflow"].finding is None
    assert (found["onnx"].required, found["onnx"].extras, found["onnx"].finding) == (False, ("export",), None)
    assert found["torch"].finding is not None
    assert found["jax"].fits
    assert not {"pytest", "ruff"} & set(found)


# --- The backend ---


def test_the_environment_decides_before_the_file_and_the_file_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert choice() == Choice("tensorflow", "the default")
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert choice() == Choice("torch", str(tmp_path / "keras.json"))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert choice() == Choice("jax", "KERAS_BACKEND")
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    found = choice().finding
    assert found is not None
    assert found.fatal


# --- Cards ---


def test_cards_on_the_bus_need_no_driver(tmp_path: Path) -> None:
    for name, vendor, kind in (
        ("0000:01:00.0", "0x10de", "0x030000"),
        ("0000:01:00.1", "0x10de", "0x040300"),
        ("0000:02:00.0", "0x8086", "0x030000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    assert devices._on_the_bus(tmp_path) == ["NVIDIA card at 0000:01:00.0"]


@linux
def test_a_driver_that_does_not_answer_is_said_where_there_is_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver mismatch'\nexit 18\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(devices, "_on_the_bus", lambda: ["NVIDIA card at 0000:01:00.0"])
    found, said = devices.cards()
    assert [card.name for card in found] == ["NVIDIA card at 0000:01:00.0"]
    assert said == "Failed to initialize NVML: Driver mismatch"
    monkeypatch.setattr(devices, "_on_the_bus", list)
    assert devices.cards() == ([], "")


# --- Libraries ---


def test_names_follow_the_versions_that_the_backend_was_built_for() -> None:
    assert {"libcublas.so.12", "libcufft.so.11", "libcudnn.so.9", "libnccl.so.2"} <= set(libraries.names("12.5.1", "9"))
    assert {"libcublas.so.13", "libcufft.so.12", "libcudnn.so.10"} <= set(libraries.names("13.0", "10.1"))
    assert libraries.package("libcublasLt.so.12", "12.5.1") == "nvidia-cublas-cu12"
    assert libraries.package("libcuda.so.1", "12.5.1") == ""
    # Every library but that of the driver comes with a wheel.
    for cuda in libraries.CUDA:
        assert all(libraries.package(name, cuda) for name in libraries.names(cuda, "9")[1:])


@linux
def test_a_library_is_taken_from_a_wheel_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    # One that needs nothing but the C library.
    real = [path for path in mapped if Path(path).name.startswith("libm.so")]
    if not real:
        pytest.skip("this process has not loaded the mathematical library of glibc")
    shutil.copy(real[0], tmp_path / "libcudnn.so.9")
    assert libraries.load("libcudnn.so.9", [tmp_path]) == ""
    (tmp_path / "libnccl.so.2").write_bytes(b"half a download")
    assert str(tmp_path / "libnccl.so.2") in libraries.load("libnccl.so.2", [tmp_path])
    assert "libsurely_not_there.so.1" in libraries.load("libsurely_not_there.so.1", [tmp_path])


# --- Why a card is not used ---


@pytest.mark.parametrize(
    ("backend", "card", "build", "failed", "hidden", "driver", "said"),
    [
        ("tensorflow", A100, BUILD, {}, None, "no NVML", "its driver does not work (no NVML); install NVIDIA's driver"),
        ("tensorflow", A100, BUILD, {}, "", "", "CUDA_VISIBLE_DEVICES='' hides the NVIDIA card; unset it"),
        ("tensorflow", A100, {"is_cuda_build": False}, {}, None, "", "is built without CUDA"),
        ("jax", A100, {}, {}, None, "", "jax sees no GPU although there is an NVIDIA card; pip install 'jax[cuda12]'"),
        ("torch", A100, {"is_cuda_build": False}, {}, None, "", "torch is built without CUDA"),
        (
            "tensorflow", A100, BUILD, {"libcudnn.so.9": "file too short"}, None, "",
            "libcudnn.so.9 cannot be loaded (file too short); pip install nvidia-cudnn-cu12",
        ),
        (
            "tensorflow", A100, BUILD, dict.fromkeys(libraries.names("12", "9")[1:], "gone"), None, "",
            "libnvJitLink.so.12 and 9 other libraries cannot be loaded (gone); pip install 'tensorflow[and-cuda]'",
        ),
        ("tensorflow", K80, BUILD_FROM, {}, None, "", "compute capability 6.0 and later, the card has 3.7"),
        ("tensorflow", A100, BUILD_FROM, {}, None, "", "all libraries can be loaded; unset LD_LIBRARY_PATH"),
    ],
)  # fmt: skip
def test_why_a_card_is_not_used(
    backend: str, card: Card, build: dict[str, object], failed: dict[str, str], hidden: str | None, driver: str, said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(gpu, "ask", lambda *_, **__: Answer({"failed": failed}))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    found = Examination(
        choice=Choice(backend, "KERAS_BACKEND"), cards=[card], answer=Answer({"gpus": [], "build": build})
    )
    gpu.explain(found, driver, timeout=1)
    (finding,) = found.findings
    assert said in str(finding)
    assert not finding.fatal
    assert found.libraries == failed


def test_a_card_that_is_used_and_a_machine_without_one_need_no_word() -> None:
    used = [{"name": "NVIDIA A100", "capability": "8.0"}]
    for cards, gpus in (([A100], used), ([], [])):
        found = Examination(choice=Choice("jax", "x"), cards=cards, answer=Answer({"gpus": gpus, "build": {}}))
        gpu.explain(found, "", timeout=1)
        assert found.findings == []


def test_native_windows_is_told_of_wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    answer = Answer({"gpus": [], "build": {"is_cuda_build": False}})
    found = Examination(choice=Choice("tensorflow", "x"), cards=[A100], answer=answer)
    gpu.explain(found, "", timeout=1)
    assert "inside WSL2" in found.findings[0].remedy


# --- Precision and folders ---


@pytest.mark.parametrize(
    ("name", "capability", "policy"),
    [
        ("CPU", "", "float32"),
        ("NVIDIA H100", "9.0", "mixed_bfloat16"),
        ("NVIDIA B200", "10.0", "mixed_bfloat16"),
        ("NVIDIA A100", "8.0", "mixed_bfloat16"),
        ("Tesla T4", "7.5", "mixed_float16"),
        ("Tesla P100", "6.0", "float32"),
        ("Apple arm (mps)", "", "float32"),
    ],
)
def test_precision_by_device(name: str, capability: str, policy: str) -> None:
    assert precision.advice(name, capability)[0] == policy


def test_little_room_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage.look("runs", tmp_path / "new" / "runs", "go elsewhere").problem == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3e8))
    finding = storage.look("runs", tmp_path, "go elsewhere").finding
    assert str(finding) == f"only 0.3 GB are free for runs in {tmp_path}; go elsewhere"
    assert not list(tmp_path.iterdir())
