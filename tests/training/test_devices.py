"""Trainings on several devices and hosts: the same as on one, and what is said when it cannot be."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import InputError
from particle_zoo.cli import read_json
from particle_zoo.errors import PeerLostError
from particle_zoo.train import train
from particle_zoo.training import devices
from particle_zoo.training.checkpoint import CHECKPOINT, read_state
from particle_zoo.training.devices import meeting
from particle_zoo.training.devices.tensorflow_devices import check
from particle_zoo.training.devices.tf_config import Cluster, read_cluster
from tests.forked import forked_processes
from tests.training import two_devices

ROOT = Path(__file__).parents[2]
EPOCHS = 4
KILLED_IN_STEP = 10
"""Of three steps of training an epoch and one of validation: in the third epoch, of which no checkpoint knows."""

PROGRAM = f"""
import os, signal, sys
from particle_zoo.cli import load_keras
load_keras()
from particle_zoo.training.devices.strategy_step import StrategyStep
step, done, mode = StrategyStep.__call__, [], sys.argv.pop(1)
def counted(self, batch):
    done.append(1)
    if len(done) == {KILLED_IN_STEP} and mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch)
StrategyStep.__call__ = counted
from particle_zoo.train import main
main()
"""
"""The command, which may kill its own process in the middle of a training."""


LOG = re.compile(r"[IWE]\d{4} |WARNING: All log messages|To enable the following|20\d\d-")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What trainings on one device and on two have found."""
    output = tmp_path_factory.mktemp("devices") / "found.json"
    program = [sys.executable, "-m", "tests.training.two_devices", str(output)]
    with forked_processes():
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return read_json(output)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in two_devices.CURVES if case not in two_devices.LONG])
def test_two_devices_have_the_loss_curve_of_one(found: dict[str, Any], case: str) -> None:
    one, two = found[case]["one"], found[case]["two"]
    assert list(one) == list(two)
    assert all(len(values) >= 2 and np.ptp(values) > 0 for name, values in one.items() if name.endswith("loss"))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, err_msg=name)


@pytest.mark.slow
def test_an_overflow_on_one_device_skips_the_step_on_all(found: dict[str, Any]) -> None:
    overflow = found["overflow"]
    assert overflow["bad"] == 0
    assert overflow["good"] > 0
    assert overflow["scales"] == [2.0**15, 2.0**14, 2.0**14]


# === Several hosts ===


@contextlib.contextmanager
def bound(n: int) -> Iterator[list[socket.socket]]:
    """Sockets that have ports of this host."""
    with contextlib.ExitStack() as stack:
        doors = [stack.enter_context(socket.socket()) for _ in range(n)]
        for door in doors:
            door.bind(("127.0.0.1", 0))
        yield doors


def addresses(n: int) -> list[str]:
    with bound(n) as doors:
        return [f"127.0.0.1:{door.getsockname()[1]}" for door in doors]


def config(hosts: list[str], index: Any, kind: str = "worker") -> str:
    return json.dumps({"cluster": {"worker": hosts}, "task": {"type": kind, "index": index}})


def begin(hosts: list[str], index: int, arguments: list[str], mode: str = "whole") -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CONFIG": config(hosts, index), "PYTHONPATH": str(ROOT)}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    program = [sys.executable, "-c", PROGRAM, mode, *arguments]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Exit codes and what was said on stderr, without the log of TensorFlow's libraries."""
    found = []
    try:
        for process in processes:
            said = process.communicate(timeout=300)[1]
            found.append((process.returncode, "\n".join(x for x in said.splitlines() if not LOG.match(x))))
    finally:
        for process in processes:
            process.kill()
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_a_killed_host_ends_all_and_resumed_they_train_as_if_nothing_had_happened(
    one_layout: Path, tmp_path: Path
) -> None:
    common = ["tiny_cnn", "--dataset", "ccd_clusters/damic_labelled", "--manual-dir", str(one_layout)]
    common += ["--data-dir", str(tmp_path / "data"), "--limit", "24", "--batch-size", "8", "--epochs", str(EPOCHS)]
    alone, run = tmp_path / "alone", tmp_path / "run"
    result = CliRunner().invoke(train, [*common, "--output", str(alone)], catch_exceptions=False)
    assert result.exit_code == 0, result.output

    hosts = addresses(2)
    arguments = [*common, "--output", str(run)]
    (chief, said), (killed, _) = end([begin(hosts, 0, arguments), begin(hosts, 1, arguments, "killed")])
    assert killed == -9
    assert chief == 1
    sentences = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(sentences) == 1, said
    assert re.match(
        r"error: another of the 2 processes has ended: .+; start all of them again with --resume$", sentences[0]
    )
    assert "Traceback" not in said
    assert read_state(run / CHECKPOINT, variables=False)[0]["epochs"] == 2
    assert not (run / "metrics.json").exists()
    assert not list(run.glob(".*"))

    hosts = addresses(2)
    arguments.append("--resume")
    (chief, said), (worker, also_said) = end([begin(hosts, i, arguments) for i in range(2)])
    assert (chief, worker) == (0, 0), said + also_said
    histories = [pd.read_csv(folder / "history.csv") for folder in (alone, run)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)
    for ours, theirs in zip(*(read_state(folder / CHECKPOINT)[1] for folder in (alone, run)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert (run / "metrics.json").exists()


@pytest.mark.parametrize("text", ["", " ", "{}", config(["host1:5000"], 0), '{"task": {"type": "worker", "index": 0}}'])
def test_a_tf_config_without_other_hosts_changes_nothing(text: str) -> None:
    assert read_cluster(text) is None


def test_the_chief_comes_first() -> None:
    cluster = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    found = read_cluster(json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    assert found == Cluster(("c:3", "a:1", "b:2"), 2)
    assert (found.chief, found.own) == ("c:3", "b:2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "TF_CONFIG is no JSON"),
        ("[1]", "TF_CONFIG holds a list in the place of an object"),
        ('{"cluster": {"worker": "a:1"}}', "is no object of lists of HOST:PORT"),
        ('{"cluster": {"worker": ["a", "b:2"]}}', "is no object of lists of HOST:PORT"),
        ('{"cluster": {"worker": ["a:1", "b:99999"]}}', "is no object of lists of HOST:PORT"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:2"]}}', "tasks 'ps', and only chief and worker"),
        (config(["a:1", "a:1"], 0), "names an address twice: a:1, a:1"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}}', "has no task with a type and an index; received None"),
        (config(["a:1", "b:2"], 2), r"worker 2, which is none of its cluster \(worker 0, worker 1\)"),
        (config(["a:1", "b:2"], 0, "chief"), "chief 0, which is none of its cluster"),
    ],
)
def test_a_malformed_tf_config_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_cluster(text)


def test_a_port_in_use_is_named() -> None:
    with bound(2) as doors:
        doors[1].listen()
        hosts = [f"127.0.0.1:{door.getsockname()[1]}" for door in doors]
        with pytest.raises(InputError, match=rf"port {hosts[1][10:]} of {hosts[1]}.* cannot be used"):
            meeting.meet(Cluster(tuple(hosts), 1))


@pytest.mark.parametrize("process", [0, 1])
def test_a_process_that_waits_says_so_and_gives_up(
    process: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(meeting, "SILENT", 0.0)
    hosts = addresses(2)
    with pytest.raises(PeerLostError, match="did not come together"):
        meeting.meet(Cluster(tuple(hosts), process), patience=0.5)
    expected = [
        f"the chief at {hosts[0]} is waiting for {hosts[1]}",
        f"waiting at {hosts[1]} for the chief, {hosts[0]}",
    ]
    assert capsys.readouterr().err == expected[process] + "\n"


# === Choosing ===


@pytest.mark.parametrize(
    ("n", "kind", "there", "said"),
    [
        (3, "GPU", 2, "--devices 3: there are 2 GPUs; give --devices 2 or less"),
        (
            2,
            "CPU",
            1,
            "--devices 2: there is 1 CPU; leave it out, or set XLA_FLAGS=--xla_force_host_platform_device_count=2",
        ),
    ],
)
def test_too_few_devices_are_counted(n: int, kind: str, there: int, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        check(n, there, kind)


def test_the_command_refuses_devices_that_are_not_there_before_it_writes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--devices 99: there (is 1|are \d+) (CPU|GPU)"):
        CliRunner().invoke(
            train, ["tiny_cnn", "--devices", "99", "--output", str(tmp_path / "run")], catch_exceptions=False
        )
    assert not (tmp_path / "run").exists()


def test_one_device_is_the_one_that_keras_takes() -> None:
    assert type(devices.spread(1)) is devices.Devices
    assert devices.current().chief
    assert devices.current().decide(True)
