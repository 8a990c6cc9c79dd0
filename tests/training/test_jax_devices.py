"""Trainings on several devices and in several processes under JAX."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from particle_zoo.errors import InputError
from tests.forms import ALL

if importlib.util.find_spec("jax") is None:
    pytest.skip("jax is not installed", allow_module_level=True)

from particle_zoo.training.devices import jax_processes

ROOT = Path(__file__).parents[2]

QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
"""XLA compiles for longer than it computes here."""

ABSENT = "tensorflow,tensorflow_datasets,sklearn,matplotlib"
"""What Keras loads wherever it is installed, and no training under JAX needs."""


def start(module: str, *arguments: str, cache: Path, flags: str = "", **variables: str) -> subprocess.Popen[str]:
    """A Python of its own whose backend is JAX; what it compiles is kept in `cache`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    own = {
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": f"{QUICK} {flags}",
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *sys.path])),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "tests.absent", ABSENT, module, *map(str, arguments)]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env={**kept, **own, **variables}, **streams)


def pair(folder: Path, cache: Path, killed: int = -1) -> list[subprocess.Popen[str]]:
    """Two processes that train three epochs; the first of them is killed in the given one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"}
    return [
        start(
            "tests.training.jax_process",
            str(folder),
            "3",
            *(["--killed", str(killed)] if k == 0 else []),
            cache=cache,
            JAX_PROCESS_ID=str(k),
            **variables,
        )
        for k in (0, 1)
    ]


def ends(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each."""
    try:
        said = [process.communicate(timeout=900) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def found(folder: Path, cache: Path) -> dict[str, Any]:
    """What the trainings of `two_jax_devices` came to, by name."""
    flags = "--xla_force_host_platform_device_count=2"
    program = start("tests.training.two_jax_devices", str(folder), cache=cache, flags=flags)
    ((code, output, errors),) = ends([program])
    assert code == 0, errors
    return {name: value for line in output.splitlines() for name, value in json.loads(line).items()}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["uneven", "jets", *(("vae", "patches") if ALL else ())])
def test_two_devices_learn_what_one_learns(found: dict[str, Any], case: str) -> None:
    one, two = found[case]
    assert (one["number"], two["number"]) == (1, 2)
    assert one["logs"].keys() == two["logs"].keys()
    for name, curve in one["logs"].items():
        np.testing.assert_allclose(two["logs"][name], curve, rtol=1e-4, atol=1e-4, err_msg=name)
    for outputs in zip(two["outputs"], one["outputs"], strict=True):
        np.testing.assert_allclose(*outputs, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_each_device_computes_its_rows_unless_they_cannot_be_divided(found: dict[str, Any]) -> None:
    # 75 clusters in batches of 32, and 37 in the validation.
    assert sorted(map(tuple, found["uneven"][1]["rows"])) == [(5, 5), (11, 11), (16, 32), (16, 32)]
    assert sorted(map(tuple, found["uneven"][0]["rows"])) == [(5, 5), (11, 11), (32, 32), (32, 32)]


@pytest.mark.slow
def test_callbacks_find_the_model_on_one_device(found: dict[str, Any]) -> None:
    assert found["uneven"][1]["copies"] == [1, 1]


@pytest.mark.slow
def test_more_devices_than_there_are(found: dict[str, Any]) -> None:
    assert found["too many"] == (
        "--devices 3: there are 2 CPUs; leave it out, or set XLA_FLAGS=--xla_force_host_platform_device_count=3, which "
        "divides the processor"
    )


@pytest.mark.slow
@pytest.mark.skipif(not ALL, reason="the small form kills a host under TensorFlow")
def test_a_training_of_two_processes_goes_on_after_its_chief_was_killed(
    found: dict[str, Any], folder: Path, cache: Path, tmp_path: Path
) -> None:
    (code, _, _), (other, output, errors) = ends(pair(tmp_path, cache, killed=1))
    assert (code, other) == (-9, 1)
    assert output == ""
    last = errors.splitlines()[-1]
    assert last.startswith("error: another of the 2 processes has ended: ")
    assert "Gloo" in last
    assert last.endswith("; start all of them again with --resume")

    (code, output, errors), (other, silent, more) = ends(pair(tmp_path, cache))
    assert (code, other) == (0, 0), errors + more
    assert silent == ""
    told = json.loads(output)
    assert told["number"] == 2
    # The first of the three epochs was not repeated.
    np.testing.assert_allclose(told["loss"], found["interrupted"]["logs"]["loss"][1:], atol=1e-5)
    with np.load(folder / "weights.npz") as whole, np.load(tmp_path / "weights.npz") as parts:
        assert whole.files == parts.files
        for name in whole.files:
            np.testing.assert_allclose(parts[name], whole[name], atol=1e-5, err_msg=name)


WHOLE = {"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}


def test_the_variables_of_several_processes() -> None:
    assert jax_processes.read(WHOLE) == ("10.0.0.1:1234", 4, 3)
    assert jax_processes.read({}) is None
    assert jax_processes.read({**WHOLE, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}) is None


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES is a whole number; received 'two'"),
        ({"JAX_NUM_PROCESSES": "0"}, "JAX_NUM_PROCESSES is a number of processes, 1 or more; received 0"),
        ({"JAX_PROCESS_ID": "4"}, "JAX_PROCESS_ID counts from 0 to JAX_NUM_PROCESSES - 1, here 3; received 4"),
        ({"JAX_PROCESS_ID": "-1"}, "JAX_PROCESS_ID is a whole number; received '-1'"),
        ({"JAX_PROCESS_ID": ""}, "received JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES without JAX_PROCESS_ID"),
        ({"JAX_COORDINATOR_ADDRESS": "10.0.0.1"}, "JAX_COORDINATOR_ADDRESS is HOST:PORT of process 0.*'10.0.0.1'"),
        ({"JAX_COORDINATOR_ADDRESS": "host:99999"}, "JAX_COORDINATOR_ADDRESS is HOST:PORT of process 0.*'host:99999'"),
    ],
)
def test_malformed_variables(changed: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        jax_processes.read({**WHOLE, **changed})


def test_a_chief_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(jax_processes, "WAIT_S", 0)
    for name, value in {**WHOLE, "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(jax_processes.PeerLostError, match=f"process 0 of the 4 does not answer at 127.0.0.1:{port}"):
        jax_processes.join()


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        for name, value in {**WHOLE, "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_PROCESS_ID": "0"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=f"process 0 cannot listen at 127.0.0.1:{port} .*; take another JAX_COORD"):
            jax_processes.join()


def test_what_tells_a_lost_process_from_other_errors() -> None:
    assert jax_processes.loss(ValueError("shapes do not match")) is None
    gone = ValueError("INTERNAL: Error dispatching computation: Gloo all-reduce failed: reset\nmore")
    outer = RuntimeError("Array has been deleted")
    outer.__context__ = gone
    assert jax_processes.loss(outer) is gone
    assert str(jax_processes.lost(3, gone)) == (
        "another of the 3 processes has ended: Gloo all-reduce failed: reset; start all of them again with --resume"
    )
