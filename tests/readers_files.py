"""Stand-ins for the files that README and docs speak of: small ones of every detector, under the names used there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from astropy.io import fits

from particle_zoo.detectors.writers import write
from particle_zoo.simulation import simulate
from particle_zoo.simulation.jets import generate
from tests.camera_runs import frames
from tests.conftest import write_layout, write_pixel_files
from tests.detectors.camera.camera_files import write_hdf5
from tests.evaluation.aod_jets import aod_jets
from tests.patch_files import write_patches

FRAME = (96, 128)

STATISTICS = {
    "mean": {"pt": 65.0, "eta": 0.1, "phi": 0.0, "E": 180.0},
    "std": {"pt": 71.0, "eta": 1.4, "phi": 1.8, "E": 200.0},
}


def write_files(folder: Path) -> dict[str, Path]:
    """Files of a reader in a folder.

    Returns:
        The folder of files of each data set, by its name: what DIR is; of `xaod` those with 27 variables of a jet.
    """
    names = ("ccd_clusters", "timepix1_clusters", "timepix3_clusters", "camera_frames", "patches", "jets", "xaod")
    places = {name: folder / name for name in names}
    _ccd(folder, places["ccd_clusters"])
    _timepix(folder, places["timepix3_clusters"], places["timepix1_clusters"])
    _camera(folder, places["camera_frames"])
    places["patches"].mkdir()
    write_patches(places["patches"] / "patches.npz")
    _jets(folder, places["jets"], places["xaod"])
    return places


def _ccd(folder: Path, layout: Path) -> None:
    write_layout(layout, n=60, seed=5)
    grid = next((layout / "clusters").glob("0*.csv"))
    (folder / "cluster.csv").write_bytes(grid.read_bytes())
    (folder / "folder").mkdir()
    (folder / "folder" / grid.name).write_bytes(grid.read_bytes())
    frame = np.full((90, 70), 3900, np.uint16)
    frame[20:25, 30:35] = frame[60, 5:60] = 6000
    fits.PrimaryHDU(frame).writeto(folder / "frame.fits")


def _timepix(folder: Path, with_times: Path, without: Path) -> None:
    write_pixel_files(without)
    for particle in ("electron", "proton"):
        clusters = simulate("timepix3_500um", particle=particle, n=60, seed=4)
        (with_times / particle).mkdir(parents=True)
        write(with_times / particle / "a.parquet", clusters)
    for name in ("run.t3pa", "run.tpx3", "run.clog"):
        write(folder / name, clusters)


def _camera(folder: Path, files: Path) -> None:
    for seed, (name, n) in enumerate({"train": 16, "calibration": 50, "test": 4}.items()):
        (files / f"pedestal_{name}").mkdir(parents=True)
        np.save(files / f"pedestal_{name}" / "frames.npy", frames(n, seed, shape=FRAME))
    write_hdf5(folder / "run.h5", frames(4, 7, [[(20, 30, 6000.0)], [(33, 50, 9000.0)]], FRAME))


def _jets(folder: Path, files: Path, xaod: Path) -> None:
    files.mkdir()
    xaod.mkdir()
    generate(600, seed=1).to_frame().to_parquet(files / "jets.parquet")
    generate(100, seed=2).to_frame().to_parquet(folder / "jets.parquet")
    aod_jets(600, seed=0).to_frame().to_parquet(xaod / "jets.parquet")
    (folder / "STATISTICS.json").write_text(json.dumps(STATISTICS))
