"""Run folders after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from particle_zoo.training import run_folder
from particle_zoo.training.checkpoint import CHECKPOINT

HEADER = b"epoch,loss\r\n"
ROWS = [b"0,1.1056207418441772\r\n", b"1,0.3\r\n", b"2,0.1000000014901161\r\n", b"3,0.2"]
"""As Keras writes them; a kill has cut the last one."""


def killed(folder: Path, done: int) -> None:
    (folder / "history.csv").write_bytes(HEADER + b"".join(ROWS))
    state = {"epochs": done, "variables": 0}
    with (folder / CHECKPOINT).open("wb") as file:
        np.savez(file, state=np.array(json.dumps(state)))
    (folder / "config.json").write_text("{}")


def test_rows_beyond_the_checkpoint_go_and_the_others_stay_as_they_are(tmp_path: Path) -> None:
    killed(tmp_path, done=2)
    run_folder.start(tmp_path, {}, resume=True)
    assert (tmp_path / "history.csv").read_bytes() == HEADER + ROWS[0] + ROWS[1]
    run_folder.start(tmp_path, {}, resume=True)
    assert (tmp_path / "history.csv").read_bytes() == HEADER + ROWS[0] + ROWS[1]


def test_what_a_killed_process_was_writing_goes_and_nothing_else(tmp_path: Path) -> None:
    killed(tmp_path, done=2)
    for name in (".model.weights.h5.123.tmp.weights.h5", ".checkpoint.npz.7.tmp.npz"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".profile.123.tmp").mkdir()
    (tmp_path / ".profile.123.tmp" / "trace").write_text("half")
    kept = {".notes.tmp", ".gitignore", "3.tmp", "config.json", "history.csv", CHECKPOINT}
    for name in kept - {"config.json", "history.csv", CHECKPOINT}:
        (tmp_path / name).write_text("mine")
    run_folder.start(tmp_path, {}, resume=True)
    assert {path.name for path in tmp_path.iterdir()} == kept
