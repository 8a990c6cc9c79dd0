"""Use every model that comes with weights as a user would; see `gate`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import particle_zoo
from particle_zoo import registry
from particle_zoo.data import camera
from particle_zoo.detectors import writers
from particle_zoo.simulation import ccd, jets
from particle_zoo.simulation.optical_tpc.patches import labelled_patches
from particle_zoo.training import recipe
from particle_zoo.weights import find, shipped

FORMATS = ("onnx", "litert", "saved_model")


def source(name: str, folder: Path) -> Path:
    """A file of simulated data for a model."""
    card = registry.info(name)
    if card.task == "compression":
        path = folder / "jets.parquet"
        jets.generate(500, seed=7).to_frame().to_parquet(path)
    elif card.task == "anomaly":
        path = folder / "frames.npy"
        truth = camera.load_truth(card.default_dataset, limit=2, data_dir=folder / "data")
        np.save(path, np.stack([frame.counts for frame in truth]))
    elif card.task == "deep_clustering":
        path = folder / f"{name}.npz"
        np.savez(path, patches=labelled_patches(20, seed=7, size=card.config["size"]).images)
    elif card.detector == "CCD":
        path = folder / "ccd.parquet"
        writers.write(path, ccd.generate(60, seed=7))
    else:
        path = folder / "timepix3.parquet"
        writers.write(path, particle_zoo.simulate("timepix3_500um", particle="proton", n=60, seed=7, energy_mev=40.0))
    return path


def command(*arguments: object) -> None:
    """Run a command of the package; its output is shown where it fails."""
    words = [sys.executable, "-P", "-m", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")


def main() -> None:
    """Every published model, then one export a family."""
    if not Path(particle_zoo.__file__).is_relative_to(sys.prefix):
        sys.exit(f"{particle_zoo.__file__} is not what was installed into {sys.prefix}")
    with tempfile.TemporaryDirectory(prefix="particle-zoo-gate.") as folder:
        use(Path(folder))


def use(folder: Path) -> None:
    """Write, predict and export into a folder."""
    here = {
        path.name for place in shipped() if place.is_dir() for path in place.iterdir() if (path / "card.json").exists()
    }
    if missing := set(recipe.names()) - here:
        sys.exit(f"no weights of {', '.join(sorted(missing))}")
    for name in sorted(here):
        started = time.perf_counter()
        if find(name).parent not in shipped():
            sys.exit(f"{find(name)} did not come with a package")
        found = particle_zoo.verify(name)
        output = folder / f"{name}.csv"
        command("particle_zoo.predict", name, source(name, folder), "--output", output, "--quiet")
        rows = len(pd.read_csv(output))
        if not rows and registry.info(name).task != "anomaly":
            sys.exit(f"{name} predicted nothing")
        print(
            f"{name}: verified to {found.outputs:.1e}, {rows} rows, {time.perf_counter() - started:.0f} s", flush=True
        )
    families: dict[str, str] = {}
    for name in sorted(here, key=lambda n: registry.info(n).parameters):
        families.setdefault(registry.info(name).family, name)
    for family, name in families.items():
        for kind in FORMATS:
            started = time.perf_counter()
            command("particle_zoo.export", name, "--format", kind, "--output", folder / f"{name}.{kind}", "--quiet")
            print(f"{family}: {name} as {kind}, {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
