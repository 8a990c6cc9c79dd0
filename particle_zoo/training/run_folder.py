"""The folder a training writes, and the rules that keep it whole."""

from __future__ import annotations

import platform
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from particle_zoo.cli import read_json, replacing, write_json
from particle_zoo.errors import InputError
from particle_zoo.training.checkpoint import CHECKPOINT, read_state

PACKAGES = ("particle-zoo", "keras", "tensorflow", "jax", "torch", "numpy", "scikit-learn", "tensorflow-datasets")


SETTINGS = (
    "model", "config", "dataset", "fingerprint", "split", "classes", "init", "seed", "precision", "limit", "stream", "train_ids",
)  # fmt: skip
"""Entries of config.json that must not change between two starts of a run."""


def choose(name: str, output: Path | None, *, resume: bool, force: bool) -> Path:
    """The run folder to write; nothing is written or removed yet.

    Without `output`: `runs/NAME-N` with the next free N, or with `resume` the latest one. An existing run is continued
    with `resume`, replaced with `force`. A run killed before its first checkpoint has its config.json and starts over.

    Raises:
        InputError: the folder holds a run and neither flag is given, it holds none to resume, or it is a file.
    """
    if output is None:
        taken = [
            int(p.name.rpartition("-")[2])
            for p in Path("runs").glob(f"{name}-*")
            if p.name.rpartition("-")[2].isdigit()
        ]
        last = max(taken, default=0)
        if resume and not last:
            raise InputError(f"no run to resume in runs/{name}-*; start one without --resume, or name it with --output")
        output = Path("runs") / f"{name}-{last if resume and last else last + 1}"
    if output.exists() and not output.is_dir():
        raise InputError(f"--output {output} is a file; give a folder")
    # A mistyped folder must not start the training anew in silence.
    if resume and not (output / "config.json").exists():
        raise InputError(f"no run to resume in {output}; name the folder of a run, or start one without --resume")
    if (output / "config.json").exists() and not resume and not force:
        raise InputError(
            f"{output} already holds a run; continue it with --resume, replace it with --force, or choose another --output"
        )
    return output


def clear(folder: Path) -> None:
    """Remove the files of an earlier run, and nothing else that lies in the folder."""
    for name in (
        "config.json",
        "model.weights.h5",
        "history.csv",
        "metrics.json",
        "card.json",
        CHECKPOINT,
        "baseline.parquet",
        "pedestal.npz",
        "calibration.json",
        "autoencoder.weights.h5",
        "clustering.csv",
        "clusters.npz",
    ):
        (folder / name).unlink(missing_ok=True)
    for plot in [*(folder / "plots").glob("*.png"), *(folder / "plots").glob("*.gif")]:
        plot.unlink()
    for part in (*(folder / name for name in ("snapshots", "profile", "tensorboard")), *folder.glob("size-*")):
        shutil.rmtree(part, ignore_errors=True)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def start(folder: Path, config: dict[str, Any], *, resume: bool, force: bool = False) -> None:
    """Write config.json of a new run, or check that the run to resume was started with the same settings.

    Args:
        folder: of the run.
        config: its settings.
        resume: whether it goes on.
        force: whether it takes the place of another one, whose files are removed.

    Raises:
        InputError: `resume`, and the settings differ.
    """
    path = folder / "config.json"
    if force and not resume:
        clear(folder)
    if resume and path.exists():
        before = read_json(path, what="run configuration")
        for key in SETTINGS:
            # A key that one of the two does not know cannot be compared: an older version wrote the folder.
            if key not in before or key not in config:
                continue
            old, new = _comparable(before.get(key)), _comparable(config.get(key))
            if old != new:
                raise InputError(
                    f"{folder} was started with {key} {_short(old)}, now it is {_short(new)}; repeat the first command or choose another --output"
                )
    sweep(folder)
    write_json(path, config)
    trim_history(folder)


def _comparable(value: Any) -> Any:
    # Only how far a run shall go may change between two starts. With a learning rate that falls over the whole run, more
    # epochs stretch its schedule: the resumed epochs follow the new length, so the result is not that of one long run.
    # What a scan has found is no setting.
    kept = ("epochs", "found")
    return {k: v for k, v in value.items() if k not in kept} if isinstance(value, dict) else value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 200 else text[:197] + "..."


def trim_history(folder: Path) -> None:
    """Drop rows of epochs that the checkpoint does not know: a kill came between the row and the state."""
    history, state = folder / "history.csv", folder / CHECKPOINT
    if not history.exists():
        return
    if not state.exists():
        history.unlink()
        return
    done = read_state(state, variables=False)[0]["epochs"]
    # As they are, digits and line ends included: a resumed run has the history of one that was never stopped.
    lines = history.read_bytes().splitlines(keepends=True)
    if len(lines) > 1 + done:
        with replacing(history) as temporary:
            temporary.write_bytes(b"".join(lines[: 1 + done]))


def sweep(folder: Path) -> None:
    """Remove what a killed process was writing under a temporary name, which may be as large as the weights."""
    for path in folder.glob(".*.tmp*"):
        if re.fullmatch(r"\..+\.\d+\.tmp(\..+)?", path.name) is None:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
