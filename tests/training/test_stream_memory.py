"""A training on a set larger than the memory it may use, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from particle_zoo import Clusters
from particle_zoo.data import files
from particle_zoo.data.cluster_stream import ClusterStream
from tests.conftest import write_pixel_files

DATASET = "timepix1_clusters/files"

SIDE = 64
"""Of the squares that are the clusters, px."""

ALLOWANCE = 84 * 2**20
"""Bytes beside what a training of a few clusters has taken."""

LAUNCH = """
import os, resource, sys

# The limit counts the stack of every thread in full: small stacks, and threads for two cores.
resource.setrlimit(resource.RLIMIT_STACK, (2 * 2**20, resource.getrlimit(resource.RLIMIT_STACK)[1]))
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""

CHILD = """
import ctypes, faulthandler, gc, json, resource, sys

import keras, psutil
from click.testing import CliRunner

from particle_zoo.cli import reuse_memory
from particle_zoo import data
from particle_zoo.data import cluster_stream
from particle_zoo.pipelines import stream_order
from particle_zoo.train import train
from particle_zoo.training import session

# A child that is stuck says where.
faulthandler.dump_traceback_later(240, exit=True)
reuse_memory()
# Everything is as much smaller as the set is smaller than those that this is for.
session.SAMPLE, cluster_stream.RECORDS, stream_order.WINDOW_BYTES = 32, 32, 2 * 2**20
options, folder, allowance = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
process, fit, resident = psutil.Process(), session.fit, []


class Watch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        # What is free but kept for the next step is no growth.
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        resident.append(process.memory_info().rss)


def run(name, *more):
    arguments = ["tiny_timepix_cnn", *options, *more, "--quiet", "--output", f"{folder}/{name}"]
    CliRunner().invoke(train, arguments, catch_exceptions=False)


def data_bytes():
    # What RLIMIT_DATA limits: private memory that can be written.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))


session.fit = lambda *a, **o: fit(*a, **o | {"callbacks": [*o["callbacks"], Watch()]})
run("warm", "--stream", "--limit", "64", "--epochs", "1")
resident.clear()
before = data_bytes()
resource.setrlimit(resource.RLIMIT_DATA, (before + allowance, resource.RLIM_INFINITY))
run("streamed", "--stream", "--epochs", "10")
resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
given = dict(zip(options[::2], options[1::2]))
clusters = data.load(given["--dataset"], "train", manual_dir=given["--manual-dir"], data_dir=given["--data-dir"])
print(json.dumps({"streamed": resident, "in memory": process.memory_info().rss}))
"""


def squares(number: int) -> Clusters:
    """A hundred clusters of one shape, each of another energy."""
    place = np.indices((SIDE, SIDE)).reshape(2, -1).T
    hits = [np.column_stack([place, np.full(SIDE**2, 1 + number + i)]) for i in range(100)]
    return Clusters.from_list(hits, id=[f"{number}-{i}" for i in range(100)])


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options that name a prepared set of 3,200 clusters of 4,096 pixels."""
    place = {"manual_dir": write_pixel_files(tmp_path / "files", ("proton/a.clog", "electron/a.clog"))}
    place["data_dir"] = tmp_path / "data"

    def read(path: Path, *_: Any) -> Iterator[Clusters]:
        first = 0 if path.parent.name == "proton" else 16
        yield from (squares(number) for number in range(first, first + 16))

    with monkeypatch.context() as patch:
        patch.setattr(files, "_read", read)
        stream = ClusterStream.open(DATASET, **place)
    assert len(stream) * SIDE**2 * stream.hit_bytes > 1.2 * ALLOWANCE
    return place


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold processes to RLIMIT_DATA")
def test_a_training_on_a_set_larger_than_memory(large: dict[str, Any], tmp_path: Path) -> None:
    options = ["--dataset", DATASET, "--batch-size", 16, "--set", "epoch_clusters=256", "--set", "size=48"]
    options += ["--set", "watch_clusters=32", "--set", "patience=0"]
    options += ["--manual-dir", large["manual_dir"], "--data-dir", large["data_dir"]]
    arguments = [json.dumps([str(o) for o in options]), str(tmp_path), str(ALLOWANCE)]
    command = [sys.executable, "-c", LAUNCH, CHILD, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "streamed" / "metrics.json").read_text())
    assert metrics["epochs"] == 10
    assert metrics["train_n"] > 2_000
    resident = json.loads(done.stdout.splitlines()[-1])
    epochs = resident["streamed"]
    assert len(epochs) == 10
    # The window in hand comes and goes, by 16 MB, and can be there in five epochs of five. Clusters that were kept would be 60 MB
    # after five epochs more.
    assert min(epochs[5:]) - min(epochs[:5]) < 24 * 2**20, epochs
    # A training in memory, which loads the clusters first, would have ended there under the same limit.
    assert resident["in memory"] - epochs[9] > ALLOWANCE
