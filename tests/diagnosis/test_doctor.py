"""The command: one screen, an exit code, and no traceback whatever is broken."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from click.testing import CliRunner, Result

from particle_zoo import doctor as command
from particle_zoo.diagnosis import devices, examination, packages
from particle_zoo.diagnosis.child import Answer
from particle_zoo.diagnosis.examination import Examination
from particle_zoo.diagnosis.finding import Finding
from particle_zoo.diagnosis.report import LINES, WIDTH, report

linux = pytest.mark.skipif(platform.system() != "Linux", reason="shell scripts and libraries of Linux")

WORKING = {"import_seconds": 3.0, "step_seconds": 0.5, "loss": 1.0, "xla": False, "gpus": [], "build": {}}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.doctor, arguments)


def fits(text: str) -> bool:
    lines = text.splitlines()
    return len(lines) <= LINES and max(map(len, lines)) <= WIDTH


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a shell script of this name before all others."""

    def put(name: str, script: str) -> None:
        path = tmp_path / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")

    return put


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that works, and no card."""
    monkeypatch.setattr(examination, "ask", lambda *_, **__: Answer(dict(WORKING)))
    monkeypatch.setattr(devices, "cards", lambda: ([], ""))


@linux
def test_a_card_without_its_libraries_is_one_screen_and_no_failure(
    program: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow itself, on a machine that claims to have a card."""
    program("nvidia-smi", "echo 'NVIDIA A100-SXM4-40GB, 40960, 550.54.15, 8.0'")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    result = run("--json", str(tmp_path / "d.json"))
    assert result.exit_code == 0, result.output
    assert fits(result.output)
    found = json.loads((tmp_path / "d.json").read_text())
    assert found["works"] is True
    assert found["backend"]["name"] == "tensorflow"
    assert found["backend"]["source"] == "KERAS_BACKEND"
    assert found["step_seconds"] > 0
    assert {"name": "keras", "version": keras.__version__} in [
        {key: package[key] for key in ("name", "version")} for package in found["packages"]
    ]
    if found["gpus"]:
        pytest.skip("TensorFlow has a GPU here")
    assert found["cards"] == [
        {"name": "NVIDIA A100-SXM4-40GB", "memory_gb": 42.9, "driver": "550.54.15", "capability": "8.0"}
    ]
    assert "NVIDIA A100-SXM4-40GB, 42.9 GB, compute capability 8.0, driver 550.54.15, not used" in result.output
    assert found["precision"][0]["device"] == "CPU"
    assert "libcuda.so.1" in found["missing_libraries"]
    assert "libcuda.so.1 of NVIDIA's driver cannot be loaded" in result.output


@linux
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "raise ImportError('libtensorflow_cc.so.2: no such file')",
            "ImportError: libtensorflow_cc.so.2: no such file",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "ended by SIGILL; this processor lacks"),
        ("import os, sys; print('no CUDA', file=sys.stderr, flush=True); os._exit(3)", "exit code 3 (no CUDA)"),
        ("import time; time.sleep(60)", "took longer than 2 s"),
    ],
)
def test_a_backend_that_cannot_be_imported_is_a_finding(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    # Where nothing hangs, a slow machine may take its time.
    result = run("--timeout", "2" if "sleep" in code else "180", "--json", str(tmp_path / "d.json"))
    assert fits(result.output)
    found = json.loads((tmp_path / "d.json").read_text())
    assert found["works"] is False
    assert said in f"{found['findings'][0]['problem']}; {found['findings'][0]['remedy']}"
    assert "packages" in result.output
    # `run` of the command line makes it exit code 2 and one sentence.
    assert str(result.exception).startswith("importing Keras with this backend (tensorflow)")


def test_a_package_below_the_backend_is_named_where_it_is_the_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas" / "__init__.py").write_text("raise ImportError('numpy.dtype size changed')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    result = run("--quiet")
    assert "numpy.dtype size changed; pip install --force-reinstall pandas" in str(result.exception)


def test_an_unknown_backend_is_exit_code_two_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tf")
    monkeypatch.setattr(sys, "argv", ["doctor", "--quiet"])
    with pytest.raises(SystemExit) as stop:
        command.main()
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert printed.err == (
        "error: KERAS_BACKEND names the backend 'tf', which trains no models; set the environment variable KERAS_BACKEND to "
        "tensorflow, jax or torch\n"
    )
    assert printed.out.startswith("what to do    1. cannot train: KERAS_BACKEND names the backend 'tf'")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name is no longer than those of people: a finding is one line or two."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.usefixtures("working")
def test_folders_that_cannot_be_used_are_findings(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short / "file").touch()
    (short / "keras").mkdir()
    (short / "keras" / "keras.json").write_text('{"backend":')
    monkeypatch.setenv("PARTICLE_ZOO_HOME", str(short / "file" / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(short / "file"))
    monkeypatch.setenv("KERAS_HOME", str(short / "keras"))
    before = sorted(short.rglob("*"))
    result = run()
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert f"the folder of published weights, {short / 'file' / 'cache'}, cannot be used" in said
    assert f"({short / 'file'} is a file); give --data-dir" in said
    assert f"{short / 'keras' / 'keras.json'} cannot be read" in said
    assert sorted(short.rglob("*")) == before


@pytest.mark.usefixtures("working")
def test_what_cannot_be_looked_at_is_a_finding_and_the_rest_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise ModuleNotFoundError("No module named 'psutil'")

    monkeypatch.setattr(devices, "processor", broken)
    monkeypatch.setattr(packages, "packages", broken)
    result = run()
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "the processor could not be looked at (ModuleNotFoundError: No module named 'psutil')" in said
    assert "folders runs: " in said
    assert "packages not known" in said


@pytest.mark.usefixtures("working")
def test_with_nothing_wrong_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "packages", list)
    result = run("--quiet")
    assert result.output == "what to do    nothing; a first training: python -m particle_zoo.train tiny_cnn\n"


def test_the_longest_report_is_one_screen_and_keeps_the_remedies() -> None:
    many = [packages.Package(f"package-{i}", "", ">=1", ("some",), i % 2 == 0, False) for i in range(120)]
    gpus = [{"name": f"NVIDIA {i}", "capability": "9.0", "memory_gb": 80.0} for i in range(8)]
    findings = [Finding(f"problem {i} " + "x" * 500, f"remedy {i}", fatal=not i) for i in range(20)]
    found = Examination(packages=many, answer=Answer({**WORKING, "gpus": gpus}), findings=findings)
    text = report(found)
    assert fits(text)
    assert "(the rest is in --json FILE)" in text
    assert all(f"remedy {i}" in text for i in range(6))
    assert "(14 more in --json FILE)" in text
